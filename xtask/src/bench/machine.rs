//! What the kernel tells of this process and this machine: CPU time of threads, peak memory, what kind of machine it is.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::Result;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};

/// CPU time of this process, all of its threads, those that ended included.
pub(crate) fn cpu_time() -> Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?))
}

/// CPU time of the child processes that were waited for.
pub(crate) fn children_cpu_time() -> Result<Duration> {
    let usage: Usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let of = |time: nix::sys::time::TimeVal| {
        let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    };
    Ok(of(usage.user_time()) + of(usage.system_time()))
}

/// CPU time of this process's threads by their names; threads of one name together.
pub(crate) fn threads() -> BTreeMap<String, Duration> {
    let mut threads = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let nanos = read("schedstat").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        *threads.entry(read("comm").trim().to_owned()).or_default() += Duration::from_nanos(nanos);
    }
    threads
}

/// Forgets the peak of this process's memory so far.
pub(crate) fn reset_peak_memory() {
    // Where that is not allowed the peak is that of the whole run.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// The peak of this process's resident memory in KiB, mapped rings included.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Cores, processor and kernel, for who reads the figures.
pub(crate) fn kind() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = processors.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| "unknown processor".to_owned());
    let guest = field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let machine = if guest { "virtual machine" } else { "machine" };
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version: String = release.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    format!("{cores}-core {machine}, {model}, Linux {version}")
}
