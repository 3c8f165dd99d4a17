//! Conversations of a plugin: both directions in any cuts, with gaps, waits and ends. What every decoder promises is checked here.
//!
//! Input: one byte (joined in the middle, how it ends), then steps: a byte that says which, 16 bits of length, its bytes.

use std::mem::discriminant;
use std::time::Duration;

use sniff_x_flow::{Direction, End, Nanos};
use sniff_x_proto::Plugin;
use sniff_x_proto::event::{Content, Key, Piece, ValueRef};
use sniff_x_proto::host::Host;
use sniff_x_proto::replay::{Replay, Step};

use crate::harness::input::Input;
use crate::harness::mutate::LONGEST;
use crate::harness::random::Random;
use crate::harness::signal::Signal;

/// A conversation.
#[derive(Clone)]
pub(crate) struct Conversation {
    pub(crate) midstream: bool,
    pub(crate) end: End,
    pub(crate) steps: Vec<Step>,
}

const ENDS: [End; 6] = [End::Fin, End::Rst, End::Reused, End::Idle, End::Evicted, End::Eof];
const GAP: u8 = 0x80;
const WAIT: u8 = 0xc0;

impl Conversation {
    pub(crate) fn read(data: &[u8]) -> Self {
        let mut input = Input(data);
        let head = input.u8();
        let mut steps = Vec::new();
        while !input.is_empty() {
            let kind = input.u8();
            let n = input.u16();
            let direction = if kind & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
            steps.push(match kind {
                WAIT.. => Step::Wait(u64::from(n) * 7 * Nanos::SECOND),
                GAP.. => Step::Gap(direction, (1 + u64::from(n)) << (kind >> 1 & 15)),
                _ => Step::Data(direction, input.bytes(usize::from(n)).to_vec()),
            });
        }
        steps.retain(|step| !matches!(step, Step::Data(_, bytes) if bytes.is_empty()));
        Self { midstream: head & 1 != 0, end: ENDS[usize::from(head >> 1) % ENDS.len()], steps }
    }

    /// The input that reads as these steps.
    pub(crate) fn write(midstream: bool, steps: &[Step]) -> Vec<u8> {
        let mut out = vec![u8::from(midstream)];
        for step in steps {
            let (kind, n, bytes) = match step {
                Step::Data(direction, bytes) => (direction.index() as u8, bytes.len(), &bytes[..]),
                Step::Gap(direction, n) => (GAP | direction.index() as u8, *n as usize - 1, &[][..]),
                Step::Wait(nanos) => (WAIT, (nanos / Nanos::SECOND / 7) as usize, &[][..]),
            };
            let n = n.min(usize::from(u16::MAX));
            out.push(kind);
            out.extend((n as u16).to_le_bytes());
            out.extend(&bytes[..n.min(bytes.len())]);
            if out.len() > LONGEST {
                break;
            }
        }
        out.truncate(LONGEST);
        out
    }

    /// Bytes of each direction.
    pub(crate) fn said(&self) -> [usize; 2] {
        let mut said = [0; 2];
        for step in &self.steps {
            if let Step::Data(direction, bytes) = step {
                said[direction.index()] += bytes.len();
            }
        }
        said
    }

    /// The same with client and server in each other's place.
    pub(crate) fn reversed(&self) -> Self {
        let reverse = |step: &Step| match step {
            Step::Data(direction, bytes) => Step::Data(direction.reverse(), bytes.clone()),
            Step::Gap(direction, n) => Step::Gap(direction.reverse(), *n),
            Step::Wait(nanos) => Step::Wait(*nanos),
        };
        Self { steps: self.steps.iter().map(reverse).collect(), ..self.clone() }
    }

    pub(crate) fn has_gaps(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Gap(..)))
    }

    /// The same bytes in other segments: `cut` says where each is cut.
    fn cut(&self, mut cut: impl FnMut(usize) -> usize) -> Self {
        let mut steps = Vec::new();
        for step in &self.steps {
            let Step::Data(direction, bytes) = step else {
                steps.push(step.clone());
                continue;
            };
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (head, tail) = rest.split_at(cut(rest.len()).clamp(1, rest.len()));
                steps.push(Step::Data(*direction, head.to_vec()));
                rest = tail;
            }
        }
        Self { steps, ..self.clone() }
    }

    /// The same bytes with neighbours of one direction in one segment.
    fn joined(&self) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        for step in &self.steps {
            match (steps.last_mut(), step) {
                (Some(Step::Data(before, bytes)), Step::Data(direction, more)) if before == direction => {
                    bytes.extend_from_slice(more);
                }
                _ => steps.push(step.clone()),
            }
        }
        Self { steps, ..self.clone() }
    }

    /// Plays it. Gives the events as lines, and the content of each direction.
    pub(crate) fn play(
        &self,
        plugin: Box<dyn Plugin>,
        most_kept: usize,
        signal: &mut Signal,
    ) -> (Vec<String>, [Vec<u8>; 2]) {
        let mut replay = Replay::new(plugin, 3306, self.midstream);
        let start = replay.now();
        let mut content = [Vec::new(), Vec::new()];
        for step in &self.steps {
            replay.step_then(step, |host, now| {
                look(host, start, now, signal);
                host.arena.content().for_each(|c| take(&mut content, &c));
            });
            // What decompressors are charged with goes by what the stream announces; what they take is the allocator's to tell.
            let kept = replay.kept() - replay.lent();
            assert!(kept <= most_kept, "{kept} bytes are kept");
        }
        let lines = replay.finish_then(self.end, |host, now| {
            look(host, start, now, signal);
            host.arena.content().for_each(|c| take(&mut content, &c));
        });
        (lines, content)
    }

    /// However the bytes are cut, the events are the same: all those before the first that tells of something not understood or not seen. (How
    /// a decoder finds its way back may depend on where segments begin.) To be asked where each side says whole messages.
    pub(crate) fn split_invariant(&self, make: fn() -> Box<dyn Plugin>, most_kept: usize, lines: &[String]) {
        const BYTEWISE: usize = 2048;
        let sure = |lines: &[String]| lines.iter().take_while(|line| is_sure(line)).count();
        let len: usize = self.steps.iter().map(|s| if let Step::Data(_, b) = s { b.len() } else { 0 }).sum();
        let mut random = Random(len as u64);
        let mut other =
            vec![("joined", self.joined()), ("cut anywhere", self.cut(|len| 1 + random.below(len)))];
        if len <= BYTEWISE {
            other.push(("one byte at a time", self.cut(|_| 1)));
        }
        for (how, conversation) in other {
            let (told, _) = conversation.play(make(), most_kept, &mut Signal::default());
            let (told, lines) = (untimed(&told), &untimed(lines)[..]);
            let (sure, all) =
                (sure(&told).min(sure(lines)), sure(&told) == told.len() && sure(lines) == lines.len());
            assert_eq!(told[..sure], lines[..sure], "{how}: other events");
            assert!(!all || told.len() == lines.len(), "{how}: other events behind {sure} of them");
        }
    }
}

/// Inputs from a whole conversation: itself, its second half as one that is joined in the middle, and itself with a step missing.
pub(crate) fn of_steps(steps: &[Step], seed: u64) -> [Vec<u8>; 3] {
    let at = seed as usize % steps.len();
    let lost = |(n, step): (usize, &Step)| match step {
        Step::Data(direction, bytes) if n == at => Step::Gap(*direction, bytes.len() as u64),
        step => step.clone(),
    };
    let lost: Vec<_> = steps.iter().enumerate().map(lost).collect();
    [
        Conversation::write(false, steps),
        Conversation::write(true, &steps[steps.len() / 2..]),
        Conversation::write(false, &lost),
    ]
}

/// Without the fields that are times, which depend on how the bytes are cut.
fn untimed(lines: &[String]) -> Vec<String> {
    let is_time = |word: &&str| word.split_once('=').is_some_and(|(name, _)| name.ends_with("_ns"));
    let untimed = |line: &String| line.split(' ').filter(|word| !is_time(word)).collect::<Vec<_>>().join(" ");
    lines.iter().map(untimed).collect()
}

/// Whether an event's line tells of nothing that is missing.
fn is_sure(line: &str) -> bool {
    !line.starts_with("notice") && !line.contains(" incomplete:")
}

/// What holds of every event. Notes what tells states apart: kind, status, keys.
fn look(host: &Host, start: Nanos, now: Nanos, signal: &mut Signal) {
    for event in host.arena.events() {
        signal.note((event.head.kind.as_str(), event.head.status.map(|s| s.as_str())));
        for (key, suffix, value) in host.arena.fields(event) {
            signal.note((key, discriminant(&suffix), discriminant(&value)));
            if let (Key::DB_OPERATION_NAME, ValueRef::Text(name)) = (key, value) {
                // Names of commands have many lengths, those of statements few.
                signal.note(name.len().min(20));
            }
        }
        let begun = event.head.timestamp;
        assert!(begun >= start, "an event from before the connection");
        assert!(begun <= now, "an event from the future");
        let ended = begun + Duration::from_nanos(event.head.duration.unwrap_or(0));
        assert!(ended <= now, "an event that ends in the future");
    }
}

fn take(content: &mut [Vec<u8>; 2], content_of: &Content<'_>) {
    let Piece::Bytes { first, bytes } = content_of.piece else { return };
    let all = &mut content[content_of.direction.index()];
    assert_eq!(first, all.is_empty(), "the first piece, and only it, says so");
    all.extend_from_slice(bytes);
}
