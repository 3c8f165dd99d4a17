//! What is sent and replayed: frames of one size, a mix of sizes, conversations of real protocols. Sequence numbers are valid, connections
//! begin with a handshake and end with FINs, so that the same frames can be sent over and over.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use sniff_x_capture::{Batch, open_file};

use crate::generate::{self, Generate};

/// What a frame has on the wire beside its bytes: the checksum, the preamble and the gap before the next one.
pub(crate) const CHECKSUM: usize = 4;
pub(crate) const BETWEEN: usize = 20;

/// Bits a second of the line that rates are compared with.
pub(crate) const LINE: f64 = 1e10;

/// Frames of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// All of this size, as it is told on the wire: with the checksum.
    Size(usize),
    /// Seven of 64 bytes, four of 594, one of 1518.
    Imix,
    /// sysbench's statements as text.
    Mysql,
    /// The same, prepared.
    Prepared,
    /// Commands of Redis.
    Redis,
    /// Requests of HTTP/1.
    Http,
}

/// The sizes that RFC 2544 measures.
const SIZES: [usize; 6] = [64, 128, 256, 512, 1024, 1518];
/// A mix as the internet has it, in sizes of seven to four to one.
const IMIX: [usize; 12] = [64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 594, 64];

/// Bytes of Ethernet, IPv4 and TCP without options.
const HEADERS: usize = 54;
/// Connections of the loads of sizes.
const CONNECTIONS: usize = 1000;

impl Load {
    pub(crate) fn all() -> Vec<Self> {
        let sizes = SIZES.into_iter().map(Self::Size);
        sizes.chain([Self::Imix, Self::Mysql, Self::Prepared, Self::Redis, Self::Http]).collect()
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Size(size) => size.to_string(),
            Self::Imix => "imix".to_owned(),
            Self::Mysql => "mysql".to_owned(),
            Self::Prepared => "mysql-prepared".to_owned(),
            Self::Redis => "redis".to_owned(),
            Self::Http => "http".to_owned(),
        }
    }

    /// For clap.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let known = Self::all();
        let found = known.iter().find(|load| load.name() == name);
        let names = || known.iter().map(|load| load.name()).collect::<Vec<_>>().join(", ");
        found.copied().ok_or_else(|| format!("there are: {}", names()))
    }

    /// Whether it is a protocol's, which can be written as a capture, too.
    pub(crate) fn is_protocol(self) -> bool {
        self.generated().is_some()
    }

    /// What `cargo xtask generate` calls it, and whether statements are prepared.
    fn generated(self) -> Option<(generate::Load, bool)> {
        match self {
            Self::Size(_) | Self::Imix => None,
            Self::Mysql => Some((generate::Load::Mysql, false)),
            Self::Prepared => Some((generate::Load::Mysql, true)),
            Self::Redis => Some((generate::Load::Redis, false)),
            Self::Http => Some((generate::Load::Http, false)),
        }
    }

    /// The plugin that makes something of it.
    pub(crate) fn plugin(self) -> &'static str {
        self.generated().map_or("tcp", |(load, _)| load.plugin())
    }

    /// What tshark shows of it: a display filter, and fields.
    pub(crate) fn tshark_fields(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Size(_) | Self::Imix => ("tcp.flags.fin == 1", &["tcp.stream"]),
            Self::Mysql | Self::Prepared => ("mysql", &["mysql.query", "mysql.affected_rows"]),
            Self::Redis => ("resp", &["resp.bulk_string.value"]),
            Self::Http => ("http", &["http.request.uri", "http.response.code"]),
        }
    }

    /// About so many frames, not fewer, that can be sent over and over: the second half has the connections of the first with other initial
    /// sequence numbers. With the same ones a connection that comes again is a retransmission of the one that has ended, and nobody decodes it.
    pub(crate) fn trace(self, frames: usize) -> Result<Vec<Vec<u8>>> {
        let mut trace = self.once(frames.div_ceil(2))?;
        trace.extend_from_within(..);
        let half = trace.len() / 2;
        trace.iter_mut().skip(half).for_each(|frame| shift(frame));
        Ok(trace)
    }

    /// Each connection once.
    fn once(self, frames: usize) -> Result<Vec<Vec<u8>>> {
        match self {
            Self::Size(size) => Ok(segments(frames, |_| size)),
            Self::Imix => Ok(segments(frames, |n| IMIX.get(n % IMIX.len()).copied().unwrap_or(64))),
            Self::Mysql | Self::Prepared | Self::Redis | Self::Http => {
                let folder = tempfile::tempdir()?;
                let file = folder.path().join("load.pcap");
                // Few frames are of few connections, so that they are not all handshakes.
                let connections = u32::try_from(frames / 600).unwrap_or(u32::MAX).clamp(1, 100);
                self.capture(&file, frames as u64, connections)?;
                frames_of(&file)
            }
        }
    }

    /// Writes a capture of a protocol's load.
    pub(crate) fn capture(self, file: &Path, packets: u64, connections: u32) -> Result<()> {
        let Some((load, prepared)) = self.generated() else {
            bail!("{} is no protocol's load", self.name());
        };
        Generate { packets, connections, load, prepared, file: file.to_owned() }.run()
    }
}

/// Moves both directions' sequence numbers, of which IPv4 without options makes the place.
fn shift(frame: &mut [u8]) {
    const FAR: u32 = 0x4000_0000;
    let acknowledges = frame.get(47).is_some_and(|flags| flags & ACK != 0);
    for (at, moves) in [(38, true), (42, acknowledges)] {
        if let Some(number) = frame.get_mut(at..at + 4).filter(|_| moves)
            && let Ok(bytes) = <[u8; 4]>::try_from(&*number)
        {
            number.copy_from_slice(&u32::from_be_bytes(bytes).wrapping_add(FAR).to_be_bytes());
        }
    }
}

/// All frames of a capture file.
pub(crate) fn frames_of(file: &Path) -> Result<Vec<Vec<u8>>> {
    let (mut source, mut frames) = (open_file(file)?, Vec::new());
    loop {
        match source.next(Duration::ZERO)? {
            Batch::Frames(lease) => frames.extend(lease.frames().map(|frame| frame.bytes.to_vec())),
            Batch::Idle => {}
            Batch::End => break,
        }
    }
    ensure!(!frames.is_empty(), "{} holds no frames", file.display());
    Ok(frames)
}

/// The mean of the frames' lengths, without what only the wire has.
#[expect(clippy::cast_precision_loss, reason = "lengths are small")]
pub(crate) fn mean_length(trace: &[Vec<u8>]) -> f64 {
    trace.iter().map(Vec::len).sum::<usize>() as f64 / trace.len().max(1) as f64
}

/// Bits of a frame of so many bytes on the wire.
#[expect(clippy::cast_precision_loss, reason = "lengths are small")]
pub(crate) fn wire_bits(length: f64) -> f64 {
    (length + (CHECKSUM + BETWEEN) as f64) * 8.0
}

/// One side of a connection.
#[derive(Clone, Copy)]
struct End {
    address: [u8; 4],
    port: u16,
    next: u32,
}

/// A connection that goes through handshake, data and goodbye.
struct Conversation {
    ends: [End; 2],
    /// Frames that were made.
    made: usize,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// Frames of many connections, each in its turn, whose sizes `size` tells; what headers and payload leave over is padding.
#[expect(clippy::cast_possible_truncation, reason = "parts of small numbers")]
fn segments(frames: usize, size: impl Fn(usize) -> usize) -> Vec<Vec<u8>> {
    let connections = CONNECTIONS.min(frames.div_ceil(8)).max(1);
    let each = frames.div_ceil(connections).max(8);
    let mut all: Vec<_> = (0..connections)
        .map(|n| {
            let isn = (n as u32).wrapping_mul(0x9e37_79b9);
            let client = End { address: [10, 3, (n >> 8) as u8, n as u8], port: 40_000, next: isn };
            let server = End { address: [10, 4, 0, 1], port: 9000, next: !isn };
            Conversation { ends: [client, server], made: 0 }
        })
        .collect();
    let mut trace = Vec::with_capacity(each * connections);
    for _ in 0..each {
        for conversation in &mut all {
            let wanted = size(trace.len()).saturating_sub(CHECKSUM).max(HEADERS + 6);
            trace.push(conversation.frame(each, wanted));
        }
    }
    trace
}

impl Conversation {
    /// The next of `all` frames of this connection, `length` bytes long.
    fn frame(&mut self, all: usize, length: usize) -> Vec<u8> {
        let at = self.made;
        self.made += 1;
        match (at, all - at) {
            (0, _) => self.segment(0, SYN, 0, length),
            (1, _) => self.segment(1, SYN | ACK, 0, length),
            (2, _) | (_, 1) => self.segment(0, ACK, 0, length),
            (_, 3) => self.segment(0, FIN | ACK, 0, length),
            (_, 2) => self.segment(1, FIN | ACK, 0, length),
            _ => self.segment(at % 2, ACK, length - HEADERS, length),
        }
    }

    fn segment(&mut self, from: usize, flags: u8, payload: usize, length: usize) -> Vec<u8> {
        let [client, server] = self.ends;
        let (source, other) = if from == 0 { (client, server) } else { (server, client) };
        let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
        let mut frame = Vec::with_capacity(length);
        frame.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0]);
        frame.extend(short(40 + payload));
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend(source.address);
        frame.extend(other.address);
        frame.extend(source.port.to_be_bytes());
        frame.extend(other.port.to_be_bytes());
        frame.extend(source.next.to_be_bytes());
        frame.extend(if flags & ACK == 0 { [0; 4] } else { other.next.to_be_bytes() });
        frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame.resize(HEADERS + payload, b'x');
        frame.resize(length, 0);
        let used = payload + usize::from(flags & (SYN | FIN) != 0);
        let [client, server] = &mut self.ends;
        let sender = if from == 0 { client } else { server };
        sender.next = sender.next.wrapping_add(u32::try_from(used).unwrap_or(0));
        frame
    }
}

/// Never set.
pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stages::{Stage, configured, engine, engine_config};
    use sniff_x_capture::generator::Recording;
    use sniff_x_engine::{Control, Input};
    use sniff_x_flow::Nanos;

    #[test]
    fn frames_have_their_sizes_and_connections_are_whole() {
        for load in [Load::Size(64), Load::Size(1518), Load::Imix] {
            let trace = load.trace(20_000).unwrap();
            assert!(trace.len() >= 20_000);
            match load {
                Load::Size(size) => assert!(trace.iter().all(|frame| frame.len() + CHECKSUM == size)),
                _ => {
                    let mean = mean_length(&trace) + 4.0;
                    assert!((mean - (7.0 * 64.0 + 4.0 * 594.0 + 1518.0) / 12.0).abs() < 1.0, "{mean}");
                }
            }
            let mut recording = Recording::new(1 << 20, 64).unwrap();
            assert!(trace.iter().all(|frame| recording.frame(frame, Nanos(1))));
            assert_eq!(configured(load.plugin()).unwrap().about().name, "tcp");
            // Twice, since it is sent over and over; a line for each connection.
            let mut summary = None;
            let input = Input::Sources(vec![Box::new(recording.replay(2))]);
            let config = engine_config(input, "tcp", 1, Box::new(std::io::sink())).unwrap();
            sniff_x_engine::run(config, &Control::default(), |s| summary = Some(s.clone())).unwrap();
            let summary = summary.unwrap();
            let count = |name| summary.counters().iter().find(|(n, _)| *n == name).unwrap().1;
            assert_eq!(count("frames.received"), 2 * trace.len() as u64);
            assert_eq!(count("events.written"), 2 * 2 * CONNECTIONS as u64);
            for lost in ["assembler.gaps", "assembler.retransmitted_segments", "packets.malformed"] {
                let named = summary.counters().into_iter().find(|(n, _)| *n == lost);
                assert!(named.is_none_or(|(_, n)| n == 0), "{named:?}");
            }
        }
    }

    #[test]
    fn a_protocol_s_trace_is_decoded() {
        for load in [Load::Mysql, Load::Prepared, Load::Redis, Load::Http] {
            let trace = load.trace(5_000).unwrap();
            let mut recording = Recording::new(1 << 20, 32).unwrap();
            assert!(trace.iter().all(|frame| recording.frame(frame, Nanos(1))));
            let once = Stage::Plugin.run(Box::new(recording.replay(1)), load.plugin(), &NEVER).unwrap();
            assert!(once.exchanges > 1000 && once.frames == trace.len() as u64);
            let mut recording = Recording::new(1 << 20, 32).unwrap();
            assert!(trace.iter().all(|frame| recording.frame(frame, Nanos(1))));
            let input = Input::Sources(vec![Box::new(recording.replay(3))]);
            let config = engine_config(input, load.plugin(), 1, Box::new(std::io::sink())).unwrap();
            let thrice = engine(config, &Control::default()).unwrap();
            assert!(thrice.exchanges >= 3 * once.exchanges);
        }
    }
}
