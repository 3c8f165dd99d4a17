//! The stream to a replica: a copy of the data, then every change. Its bytes go in; where it begins and what it amounted to come out.

use sniff_x_flow::Nanos;

use super::decoder::RedisDecoder;
use super::report::{self, Outcome};
use super::request::{Request, Role};
use super::resp::{Line, announced, line};
use super::server::Mode;
use crate::Out;

/// How far a replication stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replica {
    pub(super) stage: Stage,
    since: Nanos,
    /// Bytes of the copy, and of the changes; commands among these.
    copied: u64,
    pub(super) changed: u64,
    pub(super) commands: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The copy's length comes, or its end mark.
    Header,
    /// The copy goes on until this mark.
    Until([u8; MARK]),
    /// Changes: commands.
    Changes,
}

impl Replica {
    pub(super) fn new(stage: Stage, since: Nanos) -> Self {
        Self { stage, since, copied: 0, changed: 0, commands: 0 }
    }
}

/// Length of the mark that ends a copy whose length is not known ahead.
const MARK: usize = 40;

/// What became of a part of a copy.
pub(super) enum Copy {
    Used(usize),
    Skip(usize, u64),
    More(usize),
    Bad,
}

impl RedisDecoder {
    /// Whether SYNC is answered: with a copy and no word before it.
    pub(super) fn copy_comes(&self, rest: &[u8]) -> bool {
        let syncs = |f: &Request| f.complete && f.role == Role::Replicate && f.name.is(b"SYNC");
        self.queue.front().is_some_and(syncs) && matches!(rest, [b'\n' | b'$', ..])
    }

    pub(super) fn copy_begins(&mut self, at: Nanos, out: &mut Out<'_>) {
        self.is_new = false;
        self.report_front(Outcome::Copy(at), out);
        self.mode = Mode::Replica(Replica::new(Stage::Header, at));
        report::replicates(&self.session, at, out);
        self.pop(out);
    }

    /// A part of the copy that a replica gets.
    pub(super) fn copy(&mut self, rest: &[u8], mut replica: Replica) -> Copy {
        let step = match replica.stage {
            Stage::Header => match (rest, line(rest, true)) {
                ([b'\n', ..], _) => return Copy::Used(1),
                (_, Line::Whole(text, used)) => {
                    let Some(text) = text.strip_prefix(b"$") else { return Copy::Bad };
                    if let Some(mark) = text.strip_prefix(b"EOF:").and_then(<[u8]>::first_chunk) {
                        replica.stage = Stage::Until(*mark);
                        Copy::Used(used)
                    } else if let Some(Some(len)) = announced(text, i64::MAX.cast_unsigned()) {
                        replica.stage = Stage::Changes;
                        replica.copied = len;
                        Copy::Skip(used, len)
                    } else {
                        return Copy::Bad;
                    }
                }
                (_, Line::More) if rest.len() < 64 => return Copy::More(0),
                _ => return Copy::Bad,
            },
            Stage::Until(mark) => {
                if let Some(at) = memchr::memmem::find(rest, &mark) {
                    replica.stage = Stage::Changes;
                    replica.copied += at as u64;
                    Copy::Used(at + MARK)
                } else {
                    // The mark may have begun.
                    let used = rest.len().saturating_sub(MARK - 1);
                    replica.copied += used as u64;
                    Copy::More(used)
                }
            }
            Stage::Changes => Copy::Used(0),
        };
        self.mode = Mode::Replica(replica);
        step
    }

    /// Tells what a replication stream amounted to.
    pub(super) fn replication_ends(&mut self, out: &mut Out<'_>) {
        if let Mode::Replica(replica) = self.mode {
            let Replica { since, copied, changed, commands, .. } = replica;
            report::replicated(&self.session, since, [copied, changed, commands], out);
            self.mode = Mode::Commands;
        }
    }
}
