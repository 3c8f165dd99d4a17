//! Captures as conversations: a reader of pcap and pcapng files and a join of TCP streams, as simple as can be and independent of the
//! product's own.
#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

pub(crate) mod compress;
pub(crate) mod generate;
pub(crate) mod truth;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use sniff_x_flow::{Direction, End};
use sniff_x_proto::mysql::Mysql;
use sniff_x_proto::replay::{Replay, Step};

/// Server ports of the captures.
pub(crate) const SERVERS: &[u16] = &[3306, 12345, 12347, 2883, 20130, 30130, 6033];

/// One TCP connection of a capture.
pub(crate) struct Conversation {
    /// tshark's number of the stream.
    pub(crate) stream: usize,
    pub(crate) server_port: u16,
    pub(crate) midstream: bool,
    pub(crate) steps: Vec<Step>,
}

impl Conversation {
    pub(crate) fn play(&self) -> Vec<String> {
        play(self.midstream, &self.steps)
    }
}

/// Plays a conversation to its end.
pub(crate) fn play(midstream: bool, steps: &[Step]) -> Vec<String> {
    play_until(midstream, steps, End::Fin)
}

pub(crate) fn play_until(midstream: bool, steps: &[Step], end: End) -> Vec<String> {
    let mut replay = Replay::new(Box::<Mysql>::default(), 3306, midstream);
    for step in steps {
        replay.step(step);
    }
    replay.finish(end)
}

fn cut(bytes: &[u8], at: &[usize]) -> Vec<Vec<u8>> {
    let mut ends = at.to_vec();
    ends.push(bytes.len());
    let mut start = 0;
    let mut parts = Vec::new();
    for end in ends {
        if end > start {
            parts.push(bytes[start..end].to_vec());
            start = end;
        }
    }
    parts
}

fn cut_steps(steps: &[Step], mut at: impl FnMut(usize, usize) -> Vec<usize>) -> Vec<Step> {
    let mut out = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Data(direction, bytes) => {
                out.extend(cut(bytes, &at(index, bytes.len())).into_iter().map(|p| Step::Data(*direction, p)))
            }
            other => out.push(other.clone()),
        }
    }
    out
}

/// The same events for every single cut, for one byte at a time, and for random cuts.
pub(crate) fn split_invariant(
    midstream: bool,
    steps: &[Step],
    random: &mut Random,
    singles: bool,
    what: &str,
) {
    let whole = play(midstream, steps);
    let bytewise = cut_steps(steps, |_, len| (1..len).collect());
    assert_eq!(play(midstream, &bytewise), whole, "{what}: one byte at a time");
    for round in 0..200 {
        let cuts = cut_steps(steps, |_, len| {
            let mut at: Vec<_> = (0..random.below(4)).map(|_| random.below(len.max(1))).collect();
            at.sort_unstable();
            at
        });
        assert_eq!(play(midstream, &cuts), whole, "{what}: random cuts {round}");
    }
    if !singles {
        return;
    }
    for (index, step) in steps.iter().enumerate() {
        let Step::Data(_, bytes) = step else { continue };
        for at in 1..bytes.len() {
            let one = cut_steps(steps, |i, _| if i == index { vec![at] } else { vec![] });
            assert_eq!(play(midstream, &one), whole, "{what}: step {index} cut at {at}");
        }
    }
}

/// The folder of captures, or none with the reason printed.
pub(crate) fn captures() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures/mysql");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: ../shared/captures is not here");
    None
}

/// All captures of the folder, sorted by name.
pub(crate) fn capture_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "pcap" || e == "pcapng"))
        .collect();
    files.sort();
    files
}

/// The text of `field` in an event line of [`Replay`], escapes undone; numbers as they stand.
pub(crate) fn field(line: &str, name: &str) -> Option<String> {
    let start = line.find(&format!(" {name}="))? + name.len() + 2;
    let rest = &line[start..];
    let Some(rest) = rest.strip_prefix('\'') else {
        return Some(rest.split(' ').next().unwrap().to_owned());
    };
    let (mut text, mut bytes) = (Vec::new(), rest.bytes());
    while let Some(b) = bytes.next() {
        match b {
            b'\'' => break,
            b'\\' => match bytes.next().unwrap() {
                b'n' => text.push(b'\n'),
                b'r' => text.push(b'\r'),
                b't' => text.push(b'\t'),
                b'x' => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    text.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                }
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    // Bytes that are no UTF-8 are shown as tshark shows them.
    let show = |chunk: std::str::Utf8Chunk<'_>| {
        let invalid: String = chunk.invalid().iter().map(|b| format!("\\x{b:02x}")).collect();
        chunk.valid().to_owned() + &invalid
    };
    Some(text.utf8_chunks().map(show).collect())
}

struct Segment<'a> {
    source: (Vec<u8>, u16),
    destination: (Vec<u8>, u16),
    seq: u32,
    flags: u8,
    payload: &'a [u8],
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The frames of a capture with their link types.
fn frames(file: &[u8]) -> Vec<(u32, &[u8])> {
    let le32 = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let mut frames = Vec::new();
    if le32(0) == 0xa1b2_c3d4 || le32(0) == 0xa1b2_3c4d {
        let mut at = 24;
        while at + 16 <= file.len() {
            let len = le32(at + 8) as usize;
            frames.push((le32(20), &file[at + 16..at + 16 + len]));
            at += 16 + len;
        }
        return frames;
    }
    assert_eq!(le32(0), 0x0a0d_0d0a, "neither pcap nor pcapng");
    let (mut at, mut links) = (0, Vec::new());
    while at + 12 <= file.len() {
        let len = le32(at + 4) as usize;
        match le32(at) {
            1 => links.push(le32(at + 8) & 0xffff),
            6 => {
                let link = links[le32(at + 8) as usize];
                frames.push((link, &file[at + 28..at + 28 + le32(at + 20) as usize]));
            }
            _ => {}
        }
        at += len;
    }
    frames
}

fn segment(link: u32, frame: &[u8]) -> Option<Segment<'_>> {
    let mut ip = match link {
        0 => &frame[4..],
        1 => {
            let mut at = 12;
            while be16(frame, at) == 0x8100 {
                at += 4;
            }
            &frame[at + 2..]
        }
        101 => frame,
        113 => &frame[16..],
        other => panic!("link type {other}"),
    };
    let (source, destination, header) = match ip[0] >> 4 {
        4 if ip[9] == 6 => {
            ip = &ip[..usize::from(be16(ip, 2)).min(ip.len())];
            (ip[12..16].to_vec(), ip[16..20].to_vec(), usize::from(ip[0] & 15) * 4)
        }
        6 if ip[6] == 6 => {
            ip = &ip[..(40 + usize::from(be16(ip, 4))).min(ip.len())];
            (ip[8..24].to_vec(), ip[24..40].to_vec(), 40)
        }
        _ => return None,
    };
    let tcp = &ip[header..];
    Some(Segment {
        source: (source, be16(tcp, 0)),
        destination: (destination, be16(tcp, 2)),
        seq: u32::from_be_bytes(tcp[4..8].try_into().unwrap()),
        flags: tcp[13],
        payload: tcp.get(usize::from(tcp[12] >> 4) * 4..).unwrap_or_default(),
    })
}

#[derive(Default)]
struct Half {
    next: Option<u32>,
    waiting: BTreeMap<u32, Vec<u8>>,
}

impl Half {
    /// Hands on what is in order from `seq` on; duplicates go.
    fn push(&mut self, seq: u32, payload: &[u8]) -> Vec<Vec<u8>> {
        let next = *self.next.get_or_insert(seq);
        self.waiting.insert(seq.wrapping_sub(next), payload.to_vec());
        let (mut out, mut at) = (Vec::new(), 0u32);
        let mut later = BTreeMap::new();
        for (offset, bytes) in std::mem::take(&mut self.waiting) {
            let behind = at.wrapping_sub(offset);
            if offset == at {
                at += u32::try_from(bytes.len()).unwrap();
                out.push(bytes);
            } else if behind < 1 << 31 {
                if let Some(new) = bytes.get(behind as usize..).filter(|n| !n.is_empty()) {
                    at += u32::try_from(new.len()).unwrap();
                    out.push(new.to_vec());
                }
            } else if offset < 1 << 31 {
                later.insert(offset - at, bytes);
            }
        }
        // Offsets behind what came stay relative to the new `next`.
        self.waiting = later;
        self.next = Some(next.wrapping_add(at));
        out
    }
}

struct Connection {
    client: (Vec<u8>, u16),
    conversation: Conversation,
    halves: [Half; 2],
    closed: bool,
}

/// The connections of a capture; without a SYN, the server is the side whose port is in `servers`.
pub(crate) fn conversations(path: &Path, servers: &[u16]) -> Vec<Conversation> {
    let file = std::fs::read(path).unwrap();
    let mut order: Vec<Connection> = Vec::new();
    let mut open: HashMap<_, usize> = HashMap::new();
    for (link, frame) in frames(&file) {
        let Some(segment) = segment(link, frame) else { continue };
        let mut key = [segment.source.clone(), segment.destination.clone()];
        key.sort();
        let (syn, ack) = (segment.flags & 2 != 0, segment.flags & 16 != 0);
        let reused = open.get(&key).is_some_and(|i| syn && !ack && order[*i].closed);
        if reused || !open.contains_key(&key) {
            let from_client = if syn { !ack } else { !servers.contains(&segment.source.1) };
            let (client, server) = if from_client {
                (segment.source.clone(), segment.destination.clone())
            } else {
                (segment.destination.clone(), segment.source.clone())
            };
            open.insert(key.clone(), order.len());
            let conversation = Conversation {
                stream: order.len(),
                server_port: server.1,
                midstream: !syn,
                steps: Vec::new(),
            };
            order.push(Connection { client, conversation, halves: Default::default(), closed: false });
        }
        let connection = &mut order[open[&key]];
        let direction =
            if segment.source == connection.client { Direction::ToServer } else { Direction::ToClient };
        let half = &mut connection.halves[direction.index()];
        if syn {
            half.next = Some(segment.seq.wrapping_add(1));
            continue;
        }
        connection.closed |= segment.flags & 5 != 0;
        if segment.payload.is_empty() {
            continue;
        }
        for bytes in half.push(segment.seq, segment.payload) {
            connection.conversation.steps.push(Step::Data(direction, bytes));
        }
    }
    order
        .into_iter()
        .map(|mut connection| {
            for direction in [Direction::ToServer, Direction::ToClient] {
                let mut at = 0;
                for (offset, bytes) in std::mem::take(&mut connection.halves[direction.index()].waiting) {
                    let steps = &mut connection.conversation.steps;
                    if offset > at {
                        steps.push(Step::Gap(direction, u64::from(offset - at)));
                    }
                    at = offset + u32::try_from(bytes.len()).unwrap();
                    steps.push(Step::Data(direction, bytes));
                }
            }
            connection.conversation
        })
        .collect()
}

/// The seeded generator of all random tests: xorshift64*.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

pub(crate) fn client(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Data(Direction::ToServer, bytes.into())
}

pub(crate) fn server(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Data(Direction::ToClient, bytes.into())
}

/// Kind and status of event lines.
pub(crate) fn heads(lines: &[String]) -> Vec<String> {
    let head = |line: &String| line.split(' ').take_while(|w| !w.contains('=')).collect::<Vec<_>>().join(" ");
    lines.iter().map(head).collect()
}
