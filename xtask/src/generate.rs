//! `cargo xtask generate`: a MySQL capture of any size with valid sequence numbers, the same for the same arguments.
//!
//! The mix is that of a read-write OLTP load: point selects, a range select of many rows, updates, inserts, `BEGIN` and `COMMIT`, over
//! many connections at once; every connection begins with its handshakes and login.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

/// What to generate.
#[derive(Args, Clone, Debug)]
pub(crate) struct Generate {
    /// Frames to write (the last exchange may go a few beyond)
    #[arg(long, default_value_t = 1_000_000)]
    packets: u64,
    /// Connections at once
    #[arg(long, default_value_t = 100)]
    connections: u32,
    /// The pcap file to write
    file: PathBuf,
}

/// Nanoseconds between two frames: about 300,000 frames a second.
const FRAME_GAP: u64 = 3_333;
/// Payload bytes of a segment, as on Ethernet with TCP timestamps.
const SEGMENT: usize = 1448;

impl Generate {
    /// A capture of so many packets and connections.
    pub(crate) fn of(packets: u64, connections: u32, file: PathBuf) -> Self {
        Self { packets, connections, file }
    }

    pub(crate) fn run(&self) -> Result<()> {
        let file = File::create(&self.file).with_context(|| self.file.display().to_string())?;
        let mut capture = Capture {
            out: BufWriter::with_capacity(1 << 20, file),
            time: 1_767_225_600_000_000_000,
            frames: 0,
        };
        capture.header()?;
        let mut random = Random(1);
        let mut connections: Vec<_> =
            (0..self.connections.max(1)).map(|n| Connection::new(n, &mut random)).collect();
        for connection in &mut connections {
            connection.open(&mut capture)?;
        }
        while capture.frames < self.packets {
            let index = random.below(connections.len() as u64);
            let index = usize::try_from(index).unwrap_or(0);
            if let Some(connection) = connections.get_mut(index) {
                connection.exchange(&mut capture, &mut random)?;
            }
        }
        for connection in &mut connections {
            connection.close(&mut capture)?;
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

#[derive(Clone, Copy)]
struct End {
    address: [u8; 4],
    port: u16,
    next: u32,
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
const FIN: u8 = 0x01;

struct Connection {
    client: End,
    server: End,
}

#[derive(Clone, Copy, PartialEq)]
enum From {
    Client,
    Server,
}

impl Connection {
    fn new(number: u32, random: &mut Random) -> Self {
        let [_, _, high, low] = number.to_be_bytes();
        let isn = |random: &mut Random| u32::try_from(random.next() >> 32).unwrap_or(0);
        Self {
            client: End { address: [10, 1, high, low], port: 40_000, next: isn(random) },
            server: End { address: [10, 2, 0, 1], port: 3306, next: isn(random) },
        }
    }

    fn open(&mut self, capture: &mut Capture) -> Result<()> {
        self.segment(capture, From::Client, SYN, &[])?;
        self.segment(capture, From::Server, SYN | ACK, &[])?;
        self.segment(capture, From::Client, ACK, &[])?;
        // CLIENT_DEPRECATE_EOF, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH, CONNECT_WITH_DB, TRANSACTIONS.
        let capabilities: u32 = 0x0100_0000 | 0x200 | 0x8000 | 0x8_0000 | 0x8 | 0x2000;
        let mut greeting = b"\x0a8.0.36-bench\0\x01\0\0\0abcdefgh\0".to_vec();
        greeting.extend(low_half(capabilities));
        greeting.extend([45, 2, 0]);
        greeting.extend(high_half(capabilities));
        greeting.extend([21]);
        greeting.extend([0; 10]);
        greeting.extend(b"ijklmnopqrst\0mysql_native_password\0");
        self.data(capture, From::Server, &packet(0, &greeting))?;
        let mut login = capabilities.to_le_bytes().to_vec();
        login.extend(0x0100_0000_u32.to_le_bytes());
        login.push(45);
        login.extend([0; 23]);
        login.extend(b"bench\0\x14");
        login.extend([0x55; 20]);
        login.extend(b"sbtest\0mysql_native_password\0");
        self.data(capture, From::Client, &packet(1, &login))?;
        self.data(capture, From::Server, &packet(2, &[0, 0, 0, 2, 0, 0, 0]))
    }

    fn exchange(&mut self, capture: &mut Capture, random: &mut Random) -> Result<()> {
        let id = random.below(100_000);
        let (statement, response) = match random.below(20) {
            0..=9 => (format!("SELECT c FROM sbtest1 WHERE id={id}"), rows(1)),
            10..=13 => {
                (format!("SELECT c FROM sbtest1 WHERE id BETWEEN {id} AND {} ORDER BY c", id + 99), rows(100))
            }
            14..=15 => (format!("UPDATE sbtest1 SET k=k+1 WHERE id={id}"), ok(1)),
            16 => (
                format!(
                    "INSERT INTO sbtest1 (id, k, c, pad) VALUES ({id}, 50147, '{}', 'pad')",
                    "0123456789-".repeat(11)
                ),
                ok(1),
            ),
            17 => (format!("DELETE FROM sbtest1 WHERE id={id}"), ok(1)),
            18 => ("BEGIN".to_owned(), ok(0)),
            _ => ("COMMIT".to_owned(), ok(0)),
        };
        let mut command = vec![3];
        command.extend(statement.as_bytes());
        self.data(capture, From::Client, &packet(0, &command))?;
        self.data(capture, From::Server, &response)?;
        // The client's next request acknowledges the response, unless it comes too late.
        if random.below(4) == 0 {
            self.segment(capture, From::Client, ACK, &[])?;
        }
        Ok(())
    }

    fn close(&mut self, capture: &mut Capture) -> Result<()> {
        self.data(capture, From::Client, &packet(0, &[1]))?;
        self.segment(capture, From::Client, FIN | ACK, &[])?;
        self.segment(capture, From::Server, FIN | ACK, &[])?;
        self.segment(capture, From::Client, ACK, &[])
    }

    fn data(&mut self, capture: &mut Capture, from: From, bytes: &[u8]) -> Result<()> {
        for part in bytes.chunks(SEGMENT) {
            self.segment(capture, from, PSH | ACK, part)?;
        }
        Ok(())
    }

    fn segment(&mut self, capture: &mut Capture, from: From, flags: u8, payload: &[u8]) -> Result<()> {
        let (source, destination) = match from {
            From::Client => (self.client, self.server),
            From::Server => (self.server, self.client),
        };
        let mut frame = Vec::with_capacity(66 + payload.len());
        frame.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00]);
        let length = u16::try_from(20 + 32 + payload.len())?;
        frame.extend([0x45, 0]);
        frame.extend(length.to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend(source.address);
        frame.extend(destination.address);
        frame.extend(source.port.to_be_bytes());
        frame.extend(destination.port.to_be_bytes());
        frame.extend(source.next.to_be_bytes());
        frame.extend(if flags & ACK == 0 { [0; 4] } else { destination.next.to_be_bytes() });
        frame.extend([0x80, flags, 0xff, 0xff, 0, 0, 0, 0]);
        // Two NOPs and the time stamp option, as real stacks send it.
        frame.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1]);
        frame.extend(payload);
        let used = u32::try_from(payload.len())? + u32::from(flags & (SYN | FIN) != 0);
        let sender = match from {
            From::Client => &mut self.client,
            From::Server => &mut self.server,
        };
        sender.next = sender.next.wrapping_add(used);
        capture.frame(&frame)
    }
}

fn low_half(n: u32) -> [u8; 2] {
    let [a, b, _, _] = n.to_le_bytes();
    [a, b]
}

fn high_half(n: u32) -> [u8; 2] {
    let [_, _, c, d] = n.to_le_bytes();
    [c, d]
}

/// A MySQL packet: three bytes of length, the sequence number, the payload.
fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = u32::try_from(payload.len()).unwrap_or(0).to_le_bytes();
    let mut packet = vec![a, b, c, sequence];
    packet.extend(payload);
    packet
}

fn ok(affected: u8) -> Vec<u8> {
    packet(1, &[0, affected, 0, 2, 0, 0, 0])
}

/// A result set of one CHAR(120) column without EOF packets.
fn rows(count: u8) -> Vec<u8> {
    let mut column = Vec::new();
    for text in ["def", "sbtest", "sbtest1", "sbtest1", "c", "c"] {
        column.push(u8::try_from(text.len()).unwrap_or(0));
        column.extend(text.as_bytes());
    }
    column.extend([0x0c, 45, 0, 0xe0, 1, 0, 0, 0xfe, 1, 0, 0, 0, 0]);
    let mut response = packet(1, &[1]);
    response.extend(packet(2, &column));
    let mut sequence = 3_u8;
    for n in 0..count {
        let mut row = vec![119];
        row.extend((0..119).map(|i| b'0' + (n.wrapping_add(i)) % 10));
        response.extend(packet(sequence, &row));
        sequence = sequence.wrapping_add(1);
    }
    response.extend(packet(sequence, &[0xfe, 0, 0, 2, 0, 0, 0]));
    response
}
