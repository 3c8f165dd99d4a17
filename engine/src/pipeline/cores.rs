//! Which cores threads run on: a reader that stays on one finds its connections in that core's cache.

/// The cores that the calling thread may run on, by their numbers; none where that is unknown.
#[cfg(target_os = "linux")]
pub(crate) fn allowed() -> Vec<usize> {
    use nix::sched::{CpuSet, sched_getaffinity};
    let Ok(set) = sched_getaffinity(THIS_THREAD) else { return Vec::new() };
    (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect()
}

/// Makes the calling thread stay on a core. Where it can't, it runs all the same.
#[cfg(target_os = "linux")]
pub(crate) fn pin(core: usize) {
    use nix::sched::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    match set.set(core).and_then(|()| sched_setaffinity(THIS_THREAD, &set)) {
        Ok(()) => log::debug!("{} stays on core {core}", std::thread::current().name().unwrap_or_default()),
        Err(error) => log::debug!("a thread can't be kept on core {core}: {error}"),
    }
}

/// What both system calls take for the calling thread.
#[cfg(target_os = "linux")]
const THIS_THREAD: nix::unistd::Pid = nix::unistd::Pid::from_raw(0);

/// Unknown on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn allowed() -> Vec<usize> {
    Vec::new()
}

/// Threads run where they like on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin(_: usize) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_on_a_core_that_it_may_run_on() {
        let before = allowed();
        let last = *before.last().unwrap();
        let pinned = std::thread::spawn(move || {
            pin(last);
            allowed()
        });
        assert_eq!(pinned.join().unwrap(), [last]);
        assert_eq!(allowed(), before, "other threads are as free as before");
    }
}
