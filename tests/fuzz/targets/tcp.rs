//! The `tcp` plugin: what it hands on for files is what was fed, and each connection has one summary.

use sniff_x_proto::replay::Step;
use sniff_x_proto::tcp::Tcp;
use sniff_x_proto::{Options, Plugin};

use super::conversation::Conversation;
use super::mysql;
use crate::harness::signal::Signal;
use crate::seeds::{Seeds, spread};

pub(crate) const WORDS: &[&[u8]] = &[];

fn make() -> Box<dyn Plugin> {
    let mut options = Options::default();
    options.push("dump", "folder");
    let mut plugin = Box::<Tcp>::default();
    plugin.configure(&options).unwrap();
    plugin
}

pub(crate) fn seeds(seeds: &Seeds) -> Vec<Vec<u8>> {
    spread(mysql::seeds(seeds), 40)
}

pub(crate) fn run(data: &[u8], signal: &mut Signal) {
    let conversation = Conversation::read(data);
    let (lines, content) = conversation.play(make(), 0, signal);
    assert_eq!(lines.len(), 1, "one summary");
    let mut fed = [Vec::new(), Vec::new()];
    for step in &conversation.steps {
        if let Step::Data(direction, bytes) = step {
            fed[direction.index()].extend_from_slice(bytes);
        }
    }
    assert_eq!(content, fed, "the content is what was fed");
    if !conversation.has_gaps() {
        conversation.split_invariant(make, 0, &lines);
    }
}
