//! Capabilities: what capturing needs, and giving them up once the sources are open.

use std::io;

use caps::{CapSet, Capability, CapsHashSet};
use log::warn;

/// The capabilities that live capture needs, as `setcap` takes them.
pub(crate) const NEEDED: &str = "cap_net_raw,cap_bpf=ep";

/// Gives up all capabilities of the calling thread but those of `keep` that it has, for good. What is open stays open.
///
/// A thread that starts later inherits what its parent has by then; threads that run already must each call it.
///
/// What it has left is told; none where that went wrong, which is warned of.
pub(crate) fn drop_capabilities(keep: &[Capability]) -> Option<CapsHashSet> {
    let has = |capability| caps::has_cap(None, CapSet::Permitted, capability).unwrap_or(false);
    let kept: CapsHashSet = keep.iter().copied().filter(|capability| has(*capability)).collect();
    // The ambient set can only hold what is permitted and inheritable; permitted last, since it bounds the others.
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        let result = match set {
            CapSet::Effective | CapSet::Permitted => caps::set(None, set, &kept),
            _ => caps::clear(None, set),
        };
        if let Err(error) = result {
            warn!("could not give up capabilities ({set:?}): {error}");
            return None;
        }
    }
    Some(kept)
}

/// How to let this very program capture without root.
pub(crate) fn how_to_grant() -> String {
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    let program =
        program.map_or_else(|_: io::Error| "$(command -v sniff-x)".into(), |p| p.display().to_string());
    format!("grant it once:  sudo setcap {NEEDED} {program}\n  or run sniff-x with sudo")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a thread of its own: capabilities belong to threads, and the test's own go with it.
    #[test]
    fn nothing_is_left() {
        let left = std::thread::spawn(|| {
            drop_capabilities(&[]);
            [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable, CapSet::Ambient]
                .map(|set| caps::read(None, set).unwrap().len())
        });
        assert_eq!(left.join().unwrap(), [0; 4]);
    }

    #[test]
    fn what_is_kept_is_all_that_is_left() {
        let left = std::thread::spawn(|| {
            let had = caps::has_cap(None, CapSet::Permitted, Capability::CAP_DAC_OVERRIDE).unwrap();
            drop_capabilities(&[Capability::CAP_DAC_OVERRIDE]);
            (had, caps::read(None, CapSet::Effective).unwrap(), caps::read(None, CapSet::Permitted).unwrap())
        });
        let (had, effective, permitted) = left.join().unwrap();
        assert_eq!(permitted, had.then_some(Capability::CAP_DAC_OVERRIDE).into_iter().collect());
        assert_eq!(effective, permitted);
    }

    #[test]
    fn the_line_names_this_program() {
        let program = std::env::current_exe().unwrap().canonicalize().unwrap();
        assert!(
            how_to_grant().contains(&format!("sudo setcap cap_net_raw,cap_bpf=ep {}", program.display()))
        );
    }
}
