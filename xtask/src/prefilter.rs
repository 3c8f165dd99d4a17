//! `cargo xtask bench filter`: what a frame costs in the kernel's filter, ours and the one that libpcap makes of the same rule.
//!
//! A veth pair in a network namespace of its own; on one end many packet sockets with the same filter, so that a frame is judged many
//! times and sending it costs little beside that. The rounds go through all filters in turn. A frame that passes finds the socket's
//! buffer full: it is judged and dropped, not copied. Needs root, ip(8) and tcpdump(8), whose `-ddd` prints libpcap's program.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

use afpacket::sync::RawPacketStream;
use anyhow::{Context, Result, bail, ensure};
use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, send, socket};
use sniff_x_capture::prefilter::{Link, Prefilter};
use sniff_x_filter::{EbpfOptions, Instruction, RuleSet};

use crate::bench::cpu_time;
use crate::output::say;

/// Sockets that judge each frame.
const SOCKETS: usize = 16;
/// Frames of one measurement.
const FRAMES: u32 = 20_000;
/// Frames that fill a socket's buffer.
const FILL: u32 = 1_000;
/// How many ports the rules have.
const PORTS: [usize; 5] = [1, 10, 32, 100, 1000];
/// A port that no rule has.
const OTHER: u16 = 9;

/// The ports of a rule: no two are neighbours, so that no list becomes a few ranges.
fn ports(count: usize) -> Vec<u16> {
    (0..1000_u16).map(|n| 3306 + 7 * n).take(count).collect()
}

/// A filter that sockets have.
struct Candidate {
    name: &'static str,
    /// Its program's length, for people.
    length: String,
    sockets: Sockets,
    /// Nanoseconds a frame and socket, of each round: rejected, passed.
    times: [Vec<f64>; 2],
}

/// Many sockets with one filter; closed when dropped.
enum Sockets {
    Classic(Vec<Instruction>),
    Ebpf(Box<Prefilter>),
}

/// Open sockets.
enum Open {
    Classic { _sockets: Vec<RawPacketStream> },
    Ebpf { _sockets: Vec<OwnedFd> },
}

impl Sockets {
    fn open(&self) -> Result<Open> {
        Ok(match self {
            Self::Classic(program) => {
                let program: Vec<_> = program.iter().map(|i| (i.code, i.jt, i.jf, i.k)).collect();
                let open = || -> std::io::Result<RawPacketStream> {
                    let mut socket = RawPacketStream::new()?;
                    socket.set_bpf_filter(program.clone())?;
                    socket.bind("here")?;
                    Ok(socket)
                };
                let sockets: std::io::Result<_> = (0..SOCKETS).map(|_| open()).collect();
                Open::Classic { _sockets: sockets.context("a packet socket with a classic filter")? }
            }
            Self::Ebpf(prefilter) => {
                let open = || -> Result<OwnedFd> {
                    let socket = packet_socket()?;
                    prefilter.attach(socket.as_fd())?;
                    bind_to(&socket, "here")?;
                    Ok(socket)
                };
                Open::Ebpf { _sockets: (0..SOCKETS).map(|_| open()).collect::<Result<_>>()? }
            }
        })
    }
}

fn packet_socket() -> Result<OwnedFd> {
    Ok(socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?)
}

fn bind_to(socket: &OwnedFd, interface: &str) -> Result<()> {
    let address = getifaddrs()?.find_map(|entry| {
        let link = *entry.address?.as_link_addr()?;
        (entry.interface_name == interface).then_some(link)
    });
    Ok(bind(socket.as_raw_fd(), &address.with_context(|| format!("no interface {interface}"))?)?)
}

/// An Ethernet frame with a TCP segment to this port.
fn frame(port: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x9c, 0x40]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0x20, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6]);
    frame
}

/// Makes the network: the namespace is this thread's, and gone with the process.
fn network() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("a network namespace (run as root)")?;
    for scope in ["all", "default"] {
        // Nobody else shall speak on the link.
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1");
    }
    for arguments in ["link add here type veth peer name there", "link set here up", "link set there up"] {
        let status =
            Command::new("ip").args(arguments.split(' ')).status().context("ip (package iproute2)")?;
        ensure!(status.success(), "ip {arguments}");
    }
    Ok(())
}

/// libpcap's program for this text.
fn libpcap(text: &str) -> Result<Vec<Instruction>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("filter");
    fs::write(&file, text)?;
    let output = Command::new("tcpdump")
        .args(["-ddd", "-y", "EN10MB", "-i", "here", "-F"])
        .arg(&file)
        .output()
        .context("tcpdump (package tcpdump)")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "tcpdump: {}", String::from_utf8_lossy(&output.stderr).trim());
    let instruction = |line: &str| {
        let mut numbers = line.split(' ').map(|number| number.parse::<u32>().ok());
        Some(Instruction {
            code: u16::try_from(numbers.next()??).ok()?,
            jt: u8::try_from(numbers.next()??).ok()?,
            jf: u8::try_from(numbers.next()??).ok()?,
            k: numbers.next()??,
        })
    };
    printed.lines().skip(1).map(|line| instruction(line).with_context(|| format!("'{line}'"))).collect()
}

/// Our program for these rules, in place.
fn ebpf(rules: &RuleSet) -> Result<(Sockets, String)> {
    let mut prefilter = Box::new(Prefilter::load(Link::Ethernet)?);
    let mut instructions = 0;
    let loaded = prefilter.load_rules(|maps| {
        let options =
            EbpfOptions { accept: u32::MAX, counters_fd: Some(maps.counters), link: Link::Ethernet };
        rules
            .compile_ebpf_with_sets(&options, |sets| maps.port_sets(sets))
            .inspect(|program| instructions = program.len() / 8)
    })?;
    prefilter.put_rules(&loaded)?;
    let machine = loaded.machine_code().map_or_else(String::new, |bytes| format!(", {bytes} bytes"));
    Ok((Sockets::Ebpf(prefilter), format!("{instructions}{machine}")))
}

impl Candidate {
    fn new(name: &'static str, (sockets, length): (Sockets, String)) -> Self {
        Self { name, length, sockets, times: [Vec::new(), Vec::new()] }
    }

    fn classic(name: &'static str, program: Vec<Instruction>) -> Self {
        let length = program.len().to_string();
        Self::new(name, (Sockets::Classic(program), length))
    }

    /// One measurement with frames that are rejected, one with such that pass.
    fn round(&mut self, out: &OwnedFd, passing: u16) -> Result<()> {
        let open = self.sockets.open()?;
        for (times, port) in self.times.iter_mut().zip([OTHER, passing]) {
            let frame = frame(port);
            send_all(out, &frame, FILL)?;
            let before = self.sockets.seen()?;
            let time = send_all(out, &frame, FRAMES)?;
            if let (Some(before), Some(after)) = (before, self.sockets.seen()?) {
                let judged = after - before;
                ensure!(judged == u64::from(FRAMES) * SOCKETS as u64, "the kernel was late: {judged} judged");
            }
            times.push(time.as_secs_f64() * 1e9 / f64::from(FRAMES) / SOCKETS as f64);
        }
        drop(open);
        Ok(())
    }
}

impl Sockets {
    /// Frames that were judged, where that is counted.
    fn seen(&self) -> Result<Option<u64>> {
        Ok(match self {
            Self::Classic(_) => None,
            Self::Ebpf(prefilter) => Some(prefilter.counters()?.seen),
        })
    }
}

/// The receiving side of a veth pair works in the sender's processor time, which is what this measures.
fn send_all(out: &OwnedFd, frame: &[u8], count: u32) -> Result<Duration> {
    let before = cpu_time()?;
    for _ in 0..count {
        send(out.as_raw_fd(), frame, MsgFlags::empty())?;
    }
    Ok(cpu_time()?.saturating_sub(before))
}

pub(crate) fn run(rounds: usize) -> Result<()> {
    network()?;
    let out = packet_socket()?;
    bind_to(&out, "there")?;
    say(format_args!(
        "ns of processor time a frame and filter beyond `ret 0`, median of {rounds} interleaved rounds, {SOCKETS} sockets\n"
    ))?;
    say(format_args!(
        "{:>5}  {:<26} {:>9} {:>9}   instructions, JITed bytes",
        "ports", "filter", "rejected", "passed"
    ))?;
    for count in PORTS {
        let ports = ports(count);
        let list = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ");
        let text = if count == 1 { format!("tcp port {list}") } else { format!("tcp port ({list})") };
        let rule = RuleSet {
            filter: None,
            rules: vec![sniff_x_filter::parse_rule(&text).map_err(anyhow::Error::new)?],
        };
        let filter = RuleSet { filter: Some(sniff_x_filter::parse(&text)?), rules: Vec::new() };
        const REJECT: Instruction = Instruction { code: 6, jt: 0, jf: 0, k: 0 };
        let mut all = vec![Candidate::classic("ret 0", vec![REJECT])];
        let mut without = Vec::new();
        let mut add = |name, made: Result<Candidate>| match made {
            Ok(candidate) => all.push(candidate),
            Err(error) => without.push((name, error)),
        };
        let of_libpcap = libpcap(&text).and_then(|program| {
            if program.len() > 4096 {
                bail!("{} instructions, the kernel takes 4,096", program.len());
            }
            Ok(Candidate::classic("libpcap, classic BPF", program))
        });
        add("libpcap, classic BPF", of_libpcap);
        add("rule, eBPF", ebpf(&rule).map(|made| Candidate::new("rule, eBPF", made)));
        add("--filter, eBPF", ebpf(&filter).map(|made| Candidate::new("--filter, eBPF", made)));
        for (name, rules) in [("rule, classic BPF", &rule), ("--filter, classic BPF", &filter)] {
            let made = rules.compile_cbpf(u32::MAX, Link::Ethernet);
            add(name, made.map(|program| Candidate::classic(name, program)).map_err(Into::into));
        }
        let passing = ports.get(count / 2).copied().unwrap_or_default();
        for _ in 0..rounds {
            for candidate in &mut all {
                candidate.round(&out, passing)?;
            }
        }
        let base = all.first().map(|candidate| candidate.times.each_ref().map(|times| median(times)));
        let [base, _] = base.unwrap_or_default();
        for candidate in &all {
            let [rejected, passed] = candidate.times.each_ref().map(|times| median(times) - base);
            let passed = if candidate.name == "ret 0" { String::new() } else { format!("{passed:.1}") };
            let Candidate { name, length, .. } = candidate;
            say(format_args!("{count:>5}  {name:<26} {rejected:>9.1} {passed:>9}   {length}"))?;
        }
        for (name, error) in without {
            say(format_args!("{count:>5}  {name:<26} no program: {error}"))?;
        }
        say(format_args!("       (`ret 0` itself, with its share of the receive path: {base:.1} ns)\n"))?;
    }
    Ok(())
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
