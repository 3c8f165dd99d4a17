//! MySQL conversations: what the decoder makes of any bytes, gaps and ends.

use sniff_x_flow::Direction;
use sniff_x_proto::Plugin;
use sniff_x_proto::mysql::Mysql;
use sniff_x_proto::replay::Step;

use super::conversation::{Conversation, note};
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
        let steps = Generator::new(seed).conversation(4).steps;
        all.push(Conversation::write(false, &steps));
        all.push(Conversation::write(true, &steps[steps.len() / 2..]));
        let at = seed as usize % steps.len();
        let lost = |(n, step): (usize, &Step)| match step {
            Step::Data(direction, bytes) if n == at => Step::Gap(*direction, bytes.len() as u64),
            step => step.clone(),
        };
        all.push(Conversation::write(false, &steps.iter().enumerate().map(lost).collect::<Vec<_>>()));
    }
    all.push(Conversation::write(true, &[Step::Gap(Direction::ToClient, 1)]));
    all.retain(fits);
    all
}

pub(crate) fn run(data: &[u8], signal: &mut Signal) {
    let conversation = Conversation::read(data);
    let (lines, _) = conversation.play(make(), MOST_KEPT);
    note(&lines, signal);
    if !conversation.has_gaps() {
        conversation.split_invariant(make, MOST_KEPT, &lines);
    }
}
