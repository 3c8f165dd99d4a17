//! MySQL conversations, of any bytes and of packets: what the decoder makes of them, of gaps and ends. Where each side says whole packets, and
//! nothing is missing, the events do not depend on how the bytes are cut.
//!
//! Inputs of [`run`] are conversations; those of [`packets`] as well, but each step with data is the payload of a packet, whose header is made: so
//! mutations reach what lies behind well-formed packets.

use sniff_x_flow::Direction;
use sniff_x_proto::Plugin;
use sniff_x_proto::mysql::Mysql;
use sniff_x_proto::replay::Step;

use super::conversation::{Conversation, of_steps};
use crate::harness::signal::Signal;
use crate::seeds::mysql_support::generate::Generator;
use crate::seeds::mysql_support::{SERVERS, conversations};
use crate::seeds::{Seeds, spread};

/// Bytes that the host and the decoder may keep: an unfinished message of each direction, a statement, the decoder's own state.
const MOST_KEPT: usize = (128 + 128 + 64 + 64) << 10;

/// Steps as the input has them, packets' headers, commands.
pub(crate) const WORDS: &[&[u8]] = &[
    b"\x00\x05\x00\x01\x00\x00\x00\x0e",
    b"\x01\x0b\x00\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00",
    b"\x01\x09\x00\x05\x00\x00\x02\xfe\x00\x00\x02\x00",
    b"\x01\x0d\x00\x09\x00\x00\x01\xff\x28\x04#42000",
    b"\x00\x0d\x00\x09\x00\x00\x00\x03SELECT 1",
    b"\x00\x0d\x00\x09\x00\x00\x00\x16SELECT ?",
    b"\x17\x01\x00\x00\x00\x00\x01\x00\x00\x00",
    b"\x18\x01\x00\x00\x00\x00\x00",
    b"\x19\x01\x00\x00\x00",
    b"\x1a\x01\x00\x00\x00",
    b"\x1c\x01\x00\x00\x00\x05\x00\x00\x00",
    b"\x11root\x00\x00",
    b"\x12\x00\x00\x00",
    b"\x1f",
    b"\xfb/etc/passwd",
    b"\xfc\xff\xff",
    b"\xfd\xff\xff\xff",
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xfemysql_native_password\x00",
    b"\x81\x10\x00",
    b"\x80\x10\x00",
    b"\xc0\x01\x00",
    b"\xff\xff\xff\x00",
    b"PROXY TCP4 10.0.0.9 10.0.0.2 5000 3306\r\n",
];

fn make() -> Box<dyn Plugin> {
    Box::<Mysql>::default()
}

pub(crate) fn seeds(seeds: &Seeds) -> Vec<Vec<u8>> {
    const LONGEST: usize = 6000;
    let fits = |input: &Vec<u8>| input.len() <= LONGEST;
    let mut captured = Vec::new();
    for path in
        seeds.paths("mysql").filter(|path| path.extension().is_some_and(|e| e == "pcap" || e == "pcapng"))
    {
        for conversation in conversations(path, SERVERS) {
            // The beginning of a long one.
            let mut steps = conversation.steps;
            steps.truncate(24);
            captured.push(Conversation::write(conversation.midstream, &steps));
        }
    }
    let mut all: Vec<_> = spread(captured.into_iter().filter(fits).collect(), 150);
    for seed in 0..60 {
        all.extend(of_steps(&Generator::new(seed).conversation(4).steps, seed));
    }
    all.push(Conversation::write(true, &[Step::Gap(Direction::ToClient, 1)]));
    all.retain(fits);
    all
}

/// Whether each side, whenever it stops speaking, has said whole packets.
fn whole_packets(steps: &[Step]) -> bool {
    let mut left = [Vec::new(), Vec::new()];
    let mut speaker = None;
    for step in steps {
        let Step::Data(direction, bytes) = step else { continue };
        if speaker != Some(*direction) && left.iter().any(|rest| !rest.is_empty()) {
            return false;
        }
        speaker = Some(*direction);
        let said: &mut Vec<u8> = &mut left[direction.index()];
        said.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(&[a, b, c]) = said[at..].first_chunk()
            && at + 4 + u32::from_le_bytes([a, b, c, 0]) as usize <= said.len()
        {
            at += 4 + u32::from_le_bytes([a, b, c, 0]) as usize;
        }
        said.drain(..at);
    }
    left.iter().all(Vec::is_empty)
}

/// Packets' payloads instead of bytes: without the headers that a conversation has.
fn payloads(steps: &[Step]) -> Vec<Step> {
    let mut payloads = Vec::new();
    for step in steps {
        let Step::Data(direction, bytes) = step else {
            payloads.push(step.clone());
            continue;
        };
        let mut rest = &bytes[..];
        while let Some(&[a, b, c, _]) = rest.first_chunk() {
            let end = (4 + u32::from_le_bytes([a, b, c, 0]) as usize).min(rest.len());
            payloads.push(Step::Data(*direction, rest[4..end].to_vec()));
            rest = &rest[end..];
        }
    }
    payloads
}

/// Gives each payload its header. A sequence begins with what the client says when the server has spoken, and whenever it speaks again.
fn with_headers(steps: &mut [Step]) {
    let (mut seq, mut login) = (0, true);
    let mut speaker = Direction::ToServer;
    for step in steps {
        let Step::Data(direction, payload) = step else { continue };
        // Behind the greeting and what the server asks for, the login's sequence goes on.
        if *direction == Direction::ToServer {
            let answers = login || matches!(payload.first(), None | Some(0x20..));
            seq = if answers && speaker == Direction::ToClient { seq } else { 0 };
            login = false;
        }
        speaker = *direction;
        let len = (payload.len() as u32).to_le_bytes();
        payload.splice(..0, [len[0], len[1], len[2], seq]);
        seq = seq.wrapping_add(1);
    }
}

pub(crate) fn packet_seeds(found: &Seeds) -> Vec<Vec<u8>> {
    let payloads = |input: Vec<u8>| {
        let conversation = Conversation::read(&input);
        Conversation::write(conversation.midstream, &payloads(&conversation.steps))
    };
    seeds(found).into_iter().map(payloads).collect()
}

fn check(conversation: &Conversation, signal: &mut Signal) {
    let (lines, _) = conversation.play(make(), MOST_KEPT, signal);
    if !conversation.has_gaps() && whole_packets(&conversation.steps) {
        conversation.split_invariant(make, MOST_KEPT, &lines);
    }
}

pub(crate) fn run(data: &[u8], signal: &mut Signal) {
    check(&Conversation::read(data), signal);
}

pub(crate) fn packets(data: &[u8], signal: &mut Signal) {
    let mut conversation = Conversation::read(data);
    with_headers(&mut conversation.steps);
    check(&conversation, signal);
}
