//! `cargo xtask generate`: a capture of any size with valid sequence numbers, the same for the same arguments.
//!
//! The load is that of sysbench's `oltp_read_write` (`sysbench`), of redis-benchmark (`redis`) or of wrk (`http`), over many connections at once; every
//! connection begins with its handshakes and login.

mod connection;
mod http;
mod packets;
mod redis;
mod sysbench;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use connection::Connection;

/// What goes over the connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Load {
    #[default]
    Mysql,
    Redis,
    Http,
}

impl Load {
    /// The plugin that decodes it.
    pub(crate) fn plugin(self) -> &'static str {
        match self {
            Self::Mysql => "mysql",
            Self::Redis => "redis",
            Self::Http => "http",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Mysql => 3306,
            Self::Redis => 6379,
            Self::Http => 80,
        }
    }

    fn client(self, number: u32, random: &mut Random, prepared: bool) -> Box<dyn Client> {
        let connection = Connection::new(number, self.port(), random);
        match self {
            Self::Mysql => Box::new(sysbench::Sysbench::new(connection, prepared)),
            Self::Redis => Box::new(redis::Benchmark::new(connection, number)),
            Self::Http => Box::new(http::Wrk::new(connection)),
        }
    }
}

/// A client with its connection.
trait Client {
    /// Connects, and logs in.
    fn open(&mut self, capture: &mut Capture) -> Result<()>;
    /// Asks once, and is answered.
    fn turn(&mut self, capture: &mut Capture, random: &mut Random) -> Result<()>;
    /// Takes its leave.
    fn close(&mut self, capture: &mut Capture) -> Result<()>;
}

/// What to generate.
#[derive(Args, Clone, Debug)]
pub(crate) struct Generate {
    /// Frames to write (the last exchange may go a few beyond)
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) packets: u64,
    /// Connections at once
    #[arg(long, default_value_t = 100)]
    pub(crate) connections: u32,
    /// The protocol
    #[arg(long, value_enum, default_value_t)]
    pub(crate) load: Load,
    /// With MySQL: prepare the statements once and execute them with parameters, as sysbench does unless it is told otherwise
    #[arg(long)]
    pub(crate) prepared: bool,
    /// The pcap file to write
    pub(crate) file: PathBuf,
}

/// Nanoseconds between two frames: about 300,000 frames a second.
const FRAME_GAP: u64 = 3_333;

impl Generate {
    pub(crate) fn run(&self) -> Result<()> {
        let file = File::create(&self.file).with_context(|| self.file.display().to_string())?;
        let mut capture = Capture {
            out: BufWriter::with_capacity(1 << 20, file),
            time: 1_767_225_600_000_000_000,
            frames: 0,
        };
        capture.header()?;
        let mut random = Random(1);
        let mut clients: Vec<_> =
            (0..self.connections.max(1)).map(|n| self.load.client(n, &mut random, self.prepared)).collect();
        for client in &mut clients {
            client.open(&mut capture)?;
        }
        while capture.frames < self.packets {
            let index = random.below(clients.len() as u64);
            let index = usize::try_from(index).unwrap_or(0);
            if let Some(client) = clients.get_mut(index) {
                client.turn(&mut capture, &mut random)?;
            }
        }
        for client in &mut clients {
            client.close(&mut capture)?;
        }
        capture.out.flush()?;
        Ok(())
    }
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}

/// A nanosecond pcap file in the making.
struct Capture {
    out: BufWriter<File>,
    time: u64,
    frames: u64,
}

impl Capture {
    fn header(&mut self) -> Result<()> {
        let mut header = Vec::new();
        header.extend(0xa1b2_3c4d_u32.to_le_bytes());
        header.extend([2, 0, 4, 0]);
        header.extend([0; 8]);
        header.extend(262_144_u32.to_le_bytes());
        header.extend(1_u32.to_le_bytes());
        Ok(self.out.write_all(&header)?)
    }

    fn frame(&mut self, bytes: &[u8]) -> Result<()> {
        let len = u32::try_from(bytes.len())?.to_le_bytes();
        let seconds = u32::try_from(self.time / 1_000_000_000)?;
        let nanos = u32::try_from(self.time % 1_000_000_000)?;
        self.out.write_all(&seconds.to_le_bytes())?;
        self.out.write_all(&nanos.to_le_bytes())?;
        self.out.write_all(&len)?;
        self.out.write_all(&len)?;
        self.out.write_all(bytes)?;
        self.time += FRAME_GAP;
        self.frames += 1;
        Ok(())
    }
}
