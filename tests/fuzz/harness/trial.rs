//! One run of a target on one input: what it panicked with, how much memory it took; and how a failing input is made smaller.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use super::memory::peak_of;
use super::signal::Signal;
use crate::Target;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    /// File and line; two failures at the same place count as the same.
    pub(crate) place: String,
}

thread_local! {
    static TRYING: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<Wrong>> = const { RefCell::new(None) };
}

/// Panics of targets are caught and told once, by the report.
fn catch_quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !TRYING.get() {
                return usual(info);
            }
            let message = info.payload_as_str().unwrap_or("a panic without a message").to_owned();
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            LAST.set(Some(Wrong { message, place }));
        }));
    });
}

/// Runs the target once.
pub(crate) fn run(target: &Target, input: &[u8], signal: &mut Signal) -> Result<(), Wrong> {
    catch_quietly();
    signal.clear();
    TRYING.set(true);
    let (result, peak) = peak_of(|| catch_unwind(AssertUnwindSafe(|| (target.run)(input, signal))));
    TRYING.set(false);
    if result.is_err() {
        return Err(LAST.take().unwrap_or(Wrong { message: String::new(), place: String::new() }));
    }
    if peak > target.memory {
        let message = format!("{peak} bytes were allocated at once; {} are allowed", target.memory);
        return Err(Wrong { message, place: "memory".to_owned() });
    }
    Ok(())
}

/// Cuts pieces out of a failing input as long as it fails at the same place; tells of each try.
pub(crate) fn shrink(target: &Target, input: &[u8], wrong: &Wrong, tried: impl Fn()) -> Vec<u8> {
    const TRIES: usize = 3000;
    let mut signal = Signal::default();
    let mut best = input.to_vec();
    let (mut piece, mut tries) = (best.len().next_power_of_two() / 2, 0);
    while piece > 0 && tries < TRIES {
        let mut at = 0;
        while at < best.len() && tries < TRIES {
            tries += 1;
            tried();
            let mut shorter = best.clone();
            shorter.drain(at..(at + piece).min(best.len()));
            match run(target, &shorter, &mut signal) {
                Err(same) if same.place == wrong.place => best = shorter,
                _ => at += piece,
            }
        }
        piece /= 2;
    }
    best
}
