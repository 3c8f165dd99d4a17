//! What the program keeps of a spike of connections: its resident memory, as the kernel counts it.
//!
//! The program is another process, so that no test beside it counts. It reads frames that are made here from a pipe; where it has got to
//! is told by the summary of a connection that is sent behind them.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test: what is not as expected shall stop it")]

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Connections that stay all the time.
const STEADY: u32 = 2_000;
/// Connections that come and go before memory is looked at: buffers on the way to the output, and whatever else has a bounded size, are
/// made when they are needed for the first time.
const WARM_UP: u32 = 50_000;
const SPIKE: u32 = 1_000_000;

/// Clients of each kind, apart.
const STEADY_CLIENTS: u32 = 0x0a00_0000;
const SPIKE_CLIENTS: u32 = 0x0b00_0000;
const MARKER_CLIENTS: u32 = 0x0c00_0000;

/// What each connection of the spike sends.
type Send = fn(&mut Program, u32);

struct Program {
    child: Child,
    frames: BufWriter<ChildStdin>,
    /// The ports of marker connections whose summary came.
    markers: Receiver<u16>,
    /// Packet time in microseconds.
    now: u64,
    marker: u16,
    /// What the steady connections have sent.
    sent: u32,
}

impl Program {
    fn start(threads: &str, options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sniff-x"))
            .args(["--read", "-", "--format", "json", "-q", "--threads", threads])
            .args(["--max-connections", "2000000", "--max-embryonic", "2000000", "tcp"])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut events = BufReader::new(child.stdout.take().unwrap());
        let (told, markers) = channel();
        thread::spawn(move || {
            let mut line = Vec::new();
            while events.read_until(b'\n', &mut line).unwrap() > 0 {
                let text = std::str::from_utf8(&line).unwrap();
                if let Some(port) = text.split("\"client.address\":\"12.0.0.0\",\"client.port\":").nth(1) {
                    let _ = told.send(port.split(',').next().unwrap().parse().unwrap());
                }
                line.clear();
            }
        });
        let mut frames = BufWriter::new(child.stdin.take().unwrap());
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
            frames.write_all(&word.to_le_bytes()).unwrap();
        }
        Self { child, frames, markers, now: 1_772_359_200_000_000, marker: 1, sent: 0 }
    }

    /// A segment of a client's, from the given port.
    fn client(&mut self, client: u32, port: u16, seq: u32, flags: u8, payload: &[u8]) {
        self.frame([client, 0x0d00_0001], [port, 4000], [seq, 500], flags, payload);
    }

    fn server(&mut self, client: u32, port: u16, ack: u32, flags: u8, payload: &[u8]) {
        self.frame([0x0d00_0001, client], [4000, port], [500, ack], flags, payload);
    }

    fn frame(&mut self, ends: [u32; 2], ports: [u16; 2], numbers: [u32; 2], flags: u8, payload: &[u8]) {
        let len = 40 + u16::try_from(payload.len()).unwrap();
        let mut frame = Vec::with_capacity(80);
        for word in [self.now / 1_000_000, self.now % 1_000_000, u64::from(len), u64::from(len)] {
            frame.extend(u32::try_from(word).unwrap().to_le_bytes());
        }
        frame.extend([0x45, 0]);
        frame.extend(len.to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend(ends.iter().flat_map(|end| end.to_be_bytes()));
        frame.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
        frame.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
        frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame.extend(payload);
        self.frames.write_all(&frame).unwrap();
        self.now += 2;
    }

    /// Time passes; the steady connections are heard of every ten seconds.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds / 10 {
            self.now += 10_000_000;
            for n in 0..STEADY {
                self.client(STEADY_CLIENTS + n, 1000, 100 + self.sent, ACK, b"here");
            }
            self.sent += 4;
        }
    }

    /// All that was sent is through: the second connection's summary comes behind the batch that had the first one's.
    fn settle(&mut self) {
        for _ in 0..2 {
            self.now += 1_000_000;
            let port = self.marker;
            self.marker += 1;
            self.client(MARKER_CLIENTS, port, 100, SYN, b"");
            self.client(MARKER_CLIENTS, port, 101, ACK, b"!");
            self.client(MARKER_CLIENTS, port, 102, RST, b"");
            self.frames.flush().unwrap();
            assert_eq!(self.markers.recv().unwrap(), port);
        }
    }

    /// Resident KiB.
    fn resident(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    fn finish(mut self) {
        drop(self.frames);
        assert!(self.child.wait().unwrap().success());
    }
}

/// So many connections come, all of them before the first one goes.
fn spike(program: &mut Program, connections: u32, send: Send) -> usize {
    for n in 0..connections {
        send(program, SPIKE_CLIENTS + n);
    }
    program.settle();
    let resident = program.resident();
    program.pass(400);
    program.settle();
    resident
}

#[test]
fn memory_is_given_back_after_a_million_connections() {
    let kinds: [(&str, &str, &[&str], Send); 2] = [
        // No summary of those that carry no bytes.
        ("embryonic", "1", &["--min-bytes", "1"], |program, client| {
            program.client(client, 2000, 100, SYN, b"");
        }),
        ("silent after a few bytes", "2", &[], |program, client| {
            program.client(client, 2000, 100, SYN, b"");
            program.server(client, 2000, 101, SYN | ACK, b"");
            program.client(client, 2000, 101, ACK, b"ping");
        }),
    ];
    for (kind, threads, options, send) in kinds {
        let mut program = Program::start(threads, options);
        program.pass(10);
        spike(&mut program, WARM_UP, send);
        let before = program.resident();
        let within = spike(&mut program, SPIKE, send);
        let after = program.resident();
        program.finish();
        println!("{kind}: {before} KiB before, {within} within, {after} after");
        assert!(within > 3 * before, "{kind}: {before} KiB before, {within} within: no spike");
        assert!(after * 10 <= before * 13, "{kind}: {before} KiB before, {after} after");
    }
}
