//! A connection that several plugins may get, or that one got for its first bytes: on trial, until something sure was decoded.
//!
//! What is known of it then: whose it may be, what came so far, and how often the decoder did not understand what it was given.

use super::log::Log;
use crate::event::{IncompleteReason, Key, Kind, Mark, Status};
use crate::host::Host;
use crate::{OpensAt, Probe};

/// So many messages that are none end a trial.
const STRIKES: u8 = 3;

/// Trials of connections that are over, for others: their memory stays.
const MAX_SPARE: usize = 256;

/// Whose a connection may be: bit sets of plugins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::host) struct Candidates {
    /// Those whose rule matches; the first of them gets it where nothing else tells.
    pub(in crate::host) named: u32,
    /// Those that get it if they know its first bytes, and only then.
    pub(in crate::host) guessing: u32,
}

impl Candidates {
    pub(in crate::host) fn all(self) -> u32 {
        self.named | self.guessing
    }

    /// The one that gets it without being asked.
    pub(in crate::host) fn only(self) -> Option<u32> {
        (self.guessing == 0 && self.named.is_power_of_two()).then(|| self.named.trailing_zeros())
    }

    /// Those of them that are not among `others`, or not in the same way.
    pub(in crate::host) fn without(self, others: Self) -> Self {
        Self { named: self.named & !others.named, guessing: self.guessing & !others.guessing }
    }

    fn remove(&mut self, plugins: u32) {
        self.named &= !plugins;
        self.guessing &= !plugins;
    }

    /// Those whose rule matches first, each in the order of the command line.
    fn in_order(self) -> impl Iterator<Item = u32> {
        let bits = |set: u32| (0..u32::BITS).filter(move |index| set & 1 << index != 0);
        bits(self.named).chain(bits(self.guessing & !self.named))
    }
}

/// What the probes say.
pub(super) enum Verdict {
    /// More bytes are needed.
    Wait,
    /// It is nobody's.
    Nobody,
    /// The plugin gets it; `reversed`: client and server are the other way round.
    Plugin { index: u32, reversed: bool },
}

/// What a decoder said, and what that is worth.
pub(super) enum Said {
    Nothing,
    /// What it decodes is its protocol.
    Sure,
    /// So many times that it does not understand.
    Strikes(u8),
    /// That it does not understand too often: last with the event behind so many others.
    Enough(usize),
}

#[derive(Debug, Default)]
pub(in crate::host) struct Trial {
    pub(in crate::host) candidates: Candidates,
    pub(in crate::host) log: Log,
    /// A rule's port found client and server the other way round than the flow says.
    pub(super) turned: bool,
    strikes: u8,
    /// What was told before the call into its decoder.
    pub(super) mark: Mark,
}

impl Trial {
    /// Asks the probes about what came so far; `over`: nothing more comes.
    pub(super) fn verdict(&mut self, host: &Host, over: bool) -> Verdict {
        let turned = self.turned;
        let (verdict, refused) = ask(host, self.candidates, self.log.windows(), turned);
        if let Some((index, reversed)) = verdict {
            return Verdict::Plugin { index, reversed };
        }
        if self.log.is_from_start() {
            self.candidates.remove(refused);
        }
        let default = |set: u32| Verdict::Plugin { index: set.trailing_zeros(), reversed: turned };
        let Candidates { named, .. } = self.candidates;
        if let Some(index) = self.candidates.only() {
            return Verdict::Plugin { index, reversed: turned };
        }
        match (named & !refused, named) {
            _ if self.candidates.all() == 0 => Verdict::Nobody,
            _ if !over && !self.log.is_full() => Verdict::Wait,
            (0, 0) => Verdict::Nobody,
            (0, named) => default(named),
            (likely, _) => default(likely),
        }
    }

    /// Of those whose rule matches, the first one that reports also on connections without payload.
    pub(super) fn reporting(&self, host: &Host) -> Option<u32> {
        let reports = |index: &u32| {
            self.candidates.named & 1 << index != 0
                && host.plugin(*index).is_some_and(|p| p.about().opens_at == OpensAt::FirstPacket)
        };
        (0..u32::BITS).find(reports)
    }

    /// What the decoder said since the mark, event by event: several may come of one segment or of many.
    pub(super) fn said(&self, host: &Host) -> Said {
        let mut strikes: u8 = 0;
        for (index, event) in host.arena.since(self.mark).iter().enumerate() {
            let is_loss = || host.arena.fields(event).any(|(key, ..)| key == Key::GAP_BYTES);
            match (event.head.kind, event.head.status) {
                (_, Some(Status::Incomplete(IncompleteReason::Malformed))) => strikes += 1,
                (_, Some(Status::Incomplete(_))) => {}
                (Kind::Notice, _) if is_loss() => {}
                (Kind::Notice, _) => strikes += 1,
                _ => return Said::Sure,
            }
            if self.strikes.saturating_add(strikes) >= STRIKES {
                return Said::Enough(index);
            }
        }
        if strikes > 0 { Said::Strikes(strikes) } else { Said::Nothing }
    }

    /// Counts what was not understood.
    pub(super) fn strike(&mut self, times: u8) {
        self.strikes = self.strikes.saturating_add(times);
    }

    /// The plugin that has the connection is out.
    pub(super) fn rule_out(&mut self, plugin: u32) {
        self.candidates.remove(1 << plugin);
        self.strikes = 0;
    }

    /// Other rules say whose it may be, after those of `before`: who was ruled out stays so, unless it is newly asked for.
    pub(in crate::host) fn renew(&mut self, before: Candidates, now: Candidates) {
        let (left, new) = (self.candidates, now.without(before));
        self.candidates.named = left.named & now.named | new.named;
        self.candidates.guessing = left.guessing & now.guessing | new.guessing;
    }
}

/// The first of the candidates that knows the bytes, with whether client and server are the other way round; and those that say no. The
/// windows are as the flow has it; `turned`: so they are taken to be the other way round.
pub(super) fn ask(
    host: &Host,
    candidates: Candidates,
    windows: [&[u8]; 2],
    turned: bool,
) -> (Option<(u32, bool)>, u32) {
    let [one, other] = windows;
    let (to_server, to_client) = if turned { (other, one) } else { (one, other) };
    let mut refused = 0;
    for index in candidates.in_order() {
        match host.plugin(index).map_or(Probe::No, |p| p.probe(to_server, to_client)) {
            Probe::No => refused |= 1 << index,
            Probe::More => {}
            Probe::Yes { reversed } => return (Some((index, reversed != turned)), refused),
        }
    }
    (None, refused)
}

/// Trials to be used again.
#[derive(Debug, Default)]
pub(in crate::host) struct TrialPool {
    #[expect(
        clippy::vec_box,
        reason = "the box moves between pool and connection; unboxed it would be allocated again"
    )]
    spare: Vec<Box<Trial>>,
}

impl TrialPool {
    pub(super) fn take(&mut self, candidates: Candidates, turned: bool) -> Box<Trial> {
        let mut trial = self.spare.pop().unwrap_or_default();
        (trial.candidates, trial.turned, trial.strikes) = (candidates, turned, 0);
        trial
    }

    /// Takes the log of a trial that was given back without it.
    pub(super) fn give_back_log(&mut self, log: Log) {
        if let Some(trial) = self.spare.last_mut() {
            trial.log = log;
            trial.log.clear();
        }
    }

    pub(super) fn give_back(&mut self, mut trial: Box<Trial>) {
        if self.spare.len() < MAX_SPARE {
            trial.log.clear();
            self.spare.push(trial);
        }
    }
}
