//! Conversations of Redis: what the decoder makes of them, of gaps and ends. Where nothing is missing, what is told does not depend on how the bytes are
//! cut.

use sniff_x_proto::Plugin;
use sniff_x_proto::redis::Redis;

use super::conversation::{Conversation, of_steps};
use crate::harness::signal::Signal;
use crate::seeds::Seeds;
use crate::seeds::redis_support::Generator;

/// Bytes that the host and the decoder may keep: an unfinished message of each direction, requests that wait, the decoder's own state.
const MOST_KEPT: usize = 512 << 10;

pub(crate) const WORDS: &[&[u8]] = &[
    b"\x00\x0e\x00*1\r\n$4\r\nPING\r\n",
    b"\x01\x05\x00+OK\r\n",
    b"\x01\x07\x00+PONG\r\n",
    b"\x01\x09\x00+QUEUED\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n",
    b"*1\r\n$5\r\nMULTI\r\n",
    b"*1\r\n$4\r\nEXEC\r\n",
    b"*1\r\n$7\r\nMONITOR\r\n",
    b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n",
    b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n",
    b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n",
    b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nv\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"$536870912\r\n",
    b"*1048576\r\n",
    b"*4294967295\r\n",
    b"$?\r\n",
    b"$EOF:",
    b"+FULLRESYNC ",
    b"-MOVED 1 a:1\r\n",
    b"%1\r\n",
    b"~1\r\n",
    b">1\r\n",
    b"|1\r\n",
    b"=7\r\ntxt:abc\r\n",
    b"!3\r\nERR\r\n",
    b"#t\r\n",
    b",1.5\r\n",
    b"(12345678901234567890\r\n",
    b"_\r\n",
    b"PING\r\n",
];

fn make() -> Box<dyn Plugin> {
    Box::<Redis>::default()
}

pub(crate) fn seeds(_: &Seeds) -> Vec<Vec<u8>> {
    (0..150).flat_map(|seed| of_steps(&Generator::new(seed).conversation(4).steps, seed)).collect()
}

pub(crate) fn run(data: &[u8], signal: &mut Signal) {
    let conversation = Conversation::read(data);
    let (lines, _) = conversation.play(make(), MOST_KEPT, signal);
    if !conversation.has_gaps() && !conversation.midstream {
        conversation.split_invariant(make, MOST_KEPT, &lines);
    }
}
