//! Live tests, each in a network namespace of its own: the test's thread leaves the host's network, makes what it needs, and all of
//! it goes when the thread ends. They need root; without, they print why they are skipped, or fail with SNIFFX_REQUIRE=all.

mod fanout;
mod filters;
mod leases;
mod switch;

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::thread;
use std::time::Duration;

use afpacket::sync::RawPacketStream;
use nix::sched::{CloneFlags, unshare};
use sniff_x_filter::RuleSet;
use sniff_x_flow::{LinkType, VlanTag};

use super::filtering::Filtering;
use super::{AfPacket, open_live};
use crate::FilterLevel::{Classic, Ebpf, UserSpace};
use crate::{Batch, CaptureError, FilterLevel, Lease, LiveOptions, Source, devices};

/// Leaves the host's network for a new one with loopback up; false where that can't be done.
fn own_network() -> bool {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        assert!(
            std::env::var_os("SNIFFX_REQUIRE").is_none_or(|v| v != "all"),
            "a network namespace: {error}"
        );
        println!("skipped: no network namespace can be made ({error}); run as root");
        return false;
    }
    // Nobody else shall speak on these links.
    for scope in ["all", "default"] {
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1");
    }
    ip("link set lo up");
    true
}

fn ip(arguments: &str) {
    let result = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(result.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&result.stderr));
}

fn veth() {
    ip("link add here type veth peer name there");
    ip("link set here up");
    ip("link set there up");
}

fn options(interfaces: &[&str]) -> LiveOptions {
    LiveOptions {
        interfaces: interfaces.iter().map(ToString::to_string).collect(),
        rings: 1,
        ring_size: 4 << 20,
        block_size: 1 << 20,
        snaplen: 0,
        retire: Duration::from_millis(10),
        promiscuous: true,
        rules: RuleSet::default(),
    }
}

/// All levels have the same results.
const LEVELS: [FilterLevel; 3] = [Ebpf, Classic, UserSpace];

fn open(level: FilterLevel, options: &LiveOptions) -> AfPacket {
    let sources = match level {
        Ebpf => AfPacket::open(options, Filtering::load),
        Classic => AfPacket::open(options, Filtering::classic),
        UserSpace => AfPacket::open(options, Filtering::user_space),
    };
    let source = the_one(sources.unwrap());
    assert_eq!(source.filter_level(), level);
    source
}

/// What is counted of frames that reached a source: with classic BPF nobody knows what it rejected.
fn received(level: FilterLevel, frames: u64) -> Option<u64> {
    (level != Classic).then_some(frames)
}

/// Of one ring there is one source.
fn the_one<T>(mut sources: Vec<T>) -> T {
    assert_eq!(sources.len(), 1);
    sources.remove(0)
}

/// A frame that was captured, out of its block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    bytes: Vec<u8>,
    original: u32,
    interface: u32,
    vlan: Option<VlanTag>,
    link: LinkType,
    nanos: u64,
    outgoing: bool,
}

fn collect(lease: &Lease, seen: &mut Vec<Seen>) {
    let memory = lease.memory().as_ptr_range();
    for frame in lease.frames() {
        let here = frame.bytes.as_ptr_range();
        assert!(memory.start <= here.start && here.end <= memory.end, "a frame outside of the mapping");
        assert_eq!(lease.bytes(frame.offset, 1).as_ptr(), here.start);
        seen.push(Seen {
            bytes: frame.bytes.to_vec(),
            original: frame.original_len,
            interface: frame.interface,
            vlan: frame.vlan,
            link: frame.link_type,
            nanos: frame.timestamp.0,
            outgoing: frame.flags.outgoing,
        });
    }
}

/// Stops the intake and takes all that was captured.
fn finish(source: &mut dyn Source) -> Vec<Seen> {
    let mut seen = Vec::new();
    source.stop();
    loop {
        match source.next(Duration::ZERO).unwrap() {
            Batch::Frames(lease) => collect(&lease, &mut seen),
            Batch::Idle => panic!("idle after the stop"),
            Batch::End => return seen,
        }
    }
}

/// An Ethernet frame of a local experimental EtherType, with a number in it.
fn frame(number: u32, length: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];
    frame.extend(number.to_be_bytes());
    frame.resize(length, 0x55);
    frame
}

fn sender(name: &str) -> RawPacketStream {
    let mut sender = RawPacketStream::new().unwrap();
    sender.bind(name).unwrap();
    sender
}

fn index(name: &str) -> u32 {
    devices().unwrap().into_iter().find(|device| device.name == name).unwrap().index
}

#[test]
fn frames_of_a_wire() {
    if !own_network() {
        return;
    }
    veth();
    for level in LEVELS {
        let mut source = open(level, &options(&["here"]));
        let mut there = sender("there");
        for number in 0..1000 {
            there.write_all(&frame(number, 60 + number as usize)).unwrap();
        }
        sender("here").write_all(&frame(1000, 100)).unwrap();
        let seen = finish(&mut source);
        assert_eq!(seen.len(), 1001);
        for (one, number) in seen.iter().zip(0..1001) {
            let length = if number == 1000 { 100 } else { 60 + number as usize };
            assert_eq!(one.bytes, frame(number, length));
            assert_eq!((one.interface, one.original as usize), (index("here"), length));
            assert_eq!((one.link, one.vlan, one.outgoing), (LinkType::ETHERNET, None, number == 1000));
        }
        assert!(seen.is_sorted_by_key(|one| one.nanos));
        let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let age = since_1970 - u128::from(seen[0].nanos);
        assert!(age < 60_000_000_000, "the clock is the wall's");
        assert!(seen.iter().any(|one| one.nanos % 1000 != 0), "nanoseconds, not microseconds");
        let counters = source.counters();
        assert_eq!(
            (counters.received, counters.dropped, counters.duplicates),
            (received(level, 1001), Some(0), 0)
        );
        assert_eq!(counters.unreadable, 0);
        let interfaces = source.interfaces();
        assert_eq!(interfaces.len(), 1);
        assert_eq!((interfaces[0].id, interfaces[0].name.as_str()), (index("here"), "here"));
    }
}

#[test]
fn vlan_tags_that_the_kernel_took() {
    if !own_network() {
        return;
    }
    veth();
    for level in LEVELS {
        let mut source = open(level, &options(&["here"]));
        let mut there = sender("there");
        let plain = frame(1, 100);
        let tagged = |tags: &[[u8; 4]]| [&plain[..12], &tags.concat(), &plain[12..]].concat();
        there.write_all(&plain).unwrap();
        there.write_all(&tagged(&[[0x81, 0x00, 0xa0, 0x05]])).unwrap();
        there.write_all(&tagged(&[[0x88, 0xa8, 0x00, 0x07], [0x81, 0x00, 0x00, 0x08]])).unwrap();
        let seen = finish(&mut source);
        let tags: Vec<_> = seen.iter().map(|one| one.vlan).collect();
        let tag = |tpid, tci| Some(VlanTag { tpid, tci });
        assert_eq!(tags, [None, tag(0x8100, 0xa005), tag(0x88a8, 7)]);
        assert_eq!(seen[1].bytes, plain, "the tag is beside the frame");
        assert_eq!(seen[2].bytes, tagged(&[[0x81, 0x00, 0x00, 0x08]]), "the inner one is in it");
    }
}

#[test]
fn loopback_is_seen_once() {
    if !own_network() {
        return;
    }
    for level in LEVELS {
        let mut source = open(level, &options(&["lo"]));
        let (one, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        for number in 0..500_u32 {
            one.send_to(&number.to_be_bytes(), other.local_addr().unwrap()).unwrap();
        }
        let seen = finish(&mut source);
        assert_eq!(seen.len(), 500);
        for (one, number) in seen.iter().zip(0..500_u32) {
            assert!(one.bytes.ends_with(&number.to_be_bytes()));
            assert_eq!(one.link, LinkType::ETHERNET);
        }
        let counters = source.counters();
        assert_eq!(
            (counters.received, counters.duplicates, counters.dropped),
            (received(level, 500), 500, Some(0))
        );
    }
}

#[test]
fn any_is_all_interfaces() {
    if !own_network() {
        return;
    }
    veth();
    // An interface without a link header, on which the kernel itself speaks.
    ip("tuntap add dev raw mode tun");
    for level in LEVELS {
        let mut source = open(level, &options(&["any"]));
        sender("there").write_all(&frame(7, 100)).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.send_to(b"over lo", udp.local_addr().unwrap()).unwrap();
        // One that comes while the capture runs.
        ip("link add late type veth peer name other");
        ip("link set late up");
        ip("link set other up");
        let is_running = || devices().unwrap().iter().any(|device| device.name == "late" && device.running);
        while !is_running() {
            thread::sleep(Duration::from_millis(1));
        }
        sender("late").write_all(&frame(8, 100)).unwrap();
        let mut count = HashMap::<u32, usize>::new();
        for one in finish(&mut source) {
            assert_eq!(one.link, LinkType::ETHERNET);
            *count.entry(one.interface).or_default() += 1;
        }
        let expected = [("here", 1), ("there", 1), ("lo", 1), ("late", 1), ("other", 1)]
            .map(|(name, n)| (index(name), n));
        assert_eq!(count, HashMap::from(expected), "at both ends of the wire, once over lo");
        let names: Vec<_> = source.interfaces().into_iter().map(|interface| interface.name).collect();
        for name in ["lo", "here", "there", "raw", "late"] {
            assert!(names.iter().any(|known| known == name), "{name} of {names:?}");
        }
        ip("link del late");
    }
}

#[test]
fn several_interfaces_and_the_snap_length() {
    if !own_network() {
        return;
    }
    veth();
    ip("link add second type veth peer name other");
    ip("link set second up");
    ip("link set other up");
    for level in LEVELS {
        let mut source = open(level, &LiveOptions { snaplen: 96, ..options(&["here", "second", "here"]) });
        assert_eq!(source.interfaces().len(), 2, "one that is named twice is captured once");
        let (mut there, mut other) = (sender("there"), sender("second"));
        for number in 0..50 {
            there.write_all(&frame(number, 200)).unwrap();
            other.write_all(&frame(number, 90)).unwrap();
        }
        let seen = finish(&mut source);
        for (name, captured, original) in [("here", 96, 200), ("second", 90, 90)] {
            let of_one: Vec<_> = seen.iter().filter(|one| one.interface == index(name)).collect();
            assert_eq!(of_one.len(), 50, "{name}");
            assert!(of_one.iter().zip(0..).all(|(one, number)| one.bytes == frame(number, captured)));
            assert!(of_one.iter().all(|one| one.original == original));
        }
    }
}

#[test]
fn down_and_up_again() {
    if !own_network() {
        return;
    }
    veth();
    let mut source = open(Ebpf, &options(&["here"]));
    let mut seen = Vec::new();
    let mut take = |source: &mut dyn Source, want: usize| {
        for _ in 0..200 {
            if seen.len() >= want {
                break;
            }
            if let Batch::Frames(lease) = source.next(Duration::from_millis(20)).unwrap() {
                collect(&lease, &mut seen);
            }
        }
        seen.len()
    };
    sender("there").write_all(&frame(1, 100)).unwrap();
    assert_eq!(take(&mut source, 1), 1);
    ip("link set here down");
    assert!(matches!(source.next(Duration::from_millis(50)), Ok(Batch::Idle)));
    assert_eq!(source.counters().interface_down, 1);
    ip("link set here up");
    sender("there").write_all(&frame(2, 100)).unwrap();
    assert_eq!(take(&mut source, 2), 2, "the same socket goes on");
    // And gone, with a frame in the block that the kernel still fills.
    sender("there").write_all(&frame(3, 100)).unwrap();
    ip("link del here");
    let error = loop {
        match source.next(Duration::from_millis(50)) {
            Ok(Batch::Frames(lease)) => collect(&lease, &mut seen),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CaptureError::InterfaceGone(name) if name == "here"));
    assert_eq!(
        seen.iter().map(|one| one.bytes.clone()).collect::<Vec<_>>(),
        [1, 2, 3].map(|n| frame(n, 100))
    );
}

#[test]
fn frames_larger_than_any_mtu() {
    if !own_network() {
        return;
    }
    let _ = fs::write("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0");
    let _ =
        Command::new("ip").args("link set lo gso_max_size 262144 gro_max_size 262144".split(' ')).output();
    let mut largest = HashMap::new();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let mut source = open(Ebpf, &LiveOptions { ring_size: 32 << 20, ..options(&["lo"]) });
        let listener = TcpListener::bind(address).unwrap();
        let to = listener.local_addr().unwrap();
        let client = thread::spawn(move || {
            let mut client = TcpStream::connect(to).unwrap();
            client.write_all(&vec![7; 8 << 20]).unwrap();
        });
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        client.join().unwrap();
        assert_eq!(received.len(), 8 << 20);
        let seen = finish(&mut source);
        assert_eq!(source.counters().dropped, Some(0));
        assert!(seen.iter().all(|one| one.bytes.len() == one.original as usize), "none is cut");
        largest.insert(address, seen.iter().map(|one| one.bytes.len()).max().unwrap());
    }
    println!("largest frames: {largest:?}");
    assert!(largest["127.0.0.1:0"] > 60_000);
    assert!(largest["[::1]:0"] > 60_000, "more where the kernel has BIG TCP");
}

#[test]
fn an_idle_line_and_a_signal_cost_no_time() {
    if !own_network() {
        return;
    }
    veth();
    let mut source = open(Ebpf, &options(&["here"]));
    let started = cpu_time();
    assert!(matches!(source.next(Duration::from_millis(300)), Ok(Batch::Idle)));
    // While the last block is leased poll returns at once: that must not spin.
    sender("there").write_all(&frame(1, 100)).unwrap();
    let Batch::Frames(_held) = source.next(Duration::from_secs(1)).unwrap() else { panic!("no block") };
    assert!(matches!(source.next(Duration::from_millis(300)), Ok(Batch::Idle)));
    let used = cpu_time() - started;
    assert!(used < Duration::from_millis(100), "{used:?} of processor time for waiting");
}

fn cpu_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

#[test]
fn wrong_options() {
    if !own_network() {
        return;
    }
    let error =
        |options: LiveOptions| open_live(options).err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(error(options(&["eth7"])), "no interface 'eth7'; there are: lo, any");
    assert!(error(options(&[])).contains("no interface"));
    assert!(error(options(&["any", "lo"])).contains("'any'"));
    assert!(error(LiveOptions { block_size: 1000, ..options(&["lo"]) }).contains("block size"));
    assert!(error(LiveOptions { block_size: 0, ..options(&["lo"]) }).contains("block size"));
    assert!(error(LiveOptions { ring_size: 1 << 20, ..options(&["lo"]) }).contains("ring size"));
}

#[test]
fn devices_of_a_network() {
    if !own_network() {
        return;
    }
    veth();
    ip("addr add 10.9.8.7/24 dev here");
    ip("link set there down");
    ip("tuntap add dev raw mode tun");
    let devices = devices().unwrap();
    let names: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(names, ["lo", "there", "here", "raw"]);
    assert_eq!(devices[0].addresses, [std::net::IpAddr::from([127, 0, 0, 1])]);
    assert!(devices[0].loopback && devices[0].up && devices[0].index == 1);
    assert!(!devices[1].up && devices[1].addresses.is_empty());
    assert_eq!(devices[2].addresses, [std::net::IpAddr::from([10, 9, 8, 7])]);
    assert!(devices[2].up && !devices[2].loopback && !devices[1].running);
    assert!(devices[..3].iter().all(|device| device.link_type == Some(LinkType::ETHERNET)));
    assert_eq!(devices[3].link_type, Some(LinkType::RAW));
    assert!(devices.iter().all(|device| device.index > 0));
}

#[cfg(feature = "libpcap")]
#[test]
fn libpcap_sees_the_same() {
    if !own_network() {
        return;
    }
    veth();
    ip("link add second type veth peer name other");
    ip("link set second up");
    ip("link set other up");
    let mut both = [
        the_one(open_live(options(&["here", "second"])).unwrap()),
        crate::open_libpcap(options(&["here", "second"])).unwrap(),
    ];
    let (mut there, mut other) = (sender("there"), sender("other"));
    for number in 0..500 {
        there.write_all(&frame(number, 60 + number as usize)).unwrap();
        other.write_all(&frame(number, 70)).unwrap();
    }
    let [ours, theirs] = both.each_mut().map(|source| {
        let names: HashMap<_, _> = source.interfaces().into_iter().map(|i| (i.id, i.name)).collect();
        let mut seen = finish(source.as_mut());
        seen.sort_by_key(|one| one.nanos);
        let counters = source.counters();
        assert_eq!((counters.received, counters.dropped), (Some(1000), Some(0)));
        let place = |one: Seen| (names[&one.interface].clone(), one.bytes, one.original, one.nanos, one.link);
        seen.into_iter().map(place).collect::<Vec<_>>()
    });
    assert_eq!(ours.len(), 1000);
    assert!(ours == theirs, "down to the nanosecond");
    let unknown =
        crate::open_libpcap(options(&["eth7"])).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(unknown.starts_with("no interface 'eth7'; there are: "), "{unknown}");
}

#[test]
fn what_no_rule_asks_for_stays_in_the_kernel() {
    if !own_network() {
        return;
    }
    let (wanted, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (wanted_at, other_at) = (wanted.local_addr().unwrap(), other.local_addr().unwrap());
    let rule = sniff_x_filter::parse(&format!("udp and dst port {}", wanted_at.port())).unwrap();
    for interface in ["lo", "any"] {
        let rules = RuleSet { filter: None, rules: vec![rule.clone()] };
        let mut source = open(Ebpf, &LiveOptions { rules, ..options(&[interface]) });
        for number in 0..100_u32 {
            other.send_to(&number.to_be_bytes(), wanted_at).unwrap();
            wanted.send_to(&number.to_be_bytes(), other_at).unwrap();
            wanted.send_to(&number.to_be_bytes(), other_at).unwrap();
        }
        let seen = finish(&mut source);
        assert_eq!(seen.len(), 100, "{interface}");
        assert!(seen.iter().zip(0..100_u32).all(|(one, number)| one.bytes.ends_with(&number.to_be_bytes())));
        let counters = source.counters();
        assert_eq!((counters.received, counters.filtered), (Some(300), Some(200)), "{interface}");
        assert_eq!((counters.dropped, counters.duplicates), (Some(0), 300), "{interface}");
    }
}

#[test]
fn the_engine_has_the_last_word_where_the_kernel_is_undecided() {
    if !own_network() {
        return;
    }
    let filter = Some(sniff_x_filter::parse("udp").unwrap());
    let rules = RuleSet { filter, rules: Vec::new() };
    let level = |interface| {
        let options = LiveOptions { rules: rules.clone(), ..options(&[interface]) };
        the_one(AfPacket::open(&options, Filtering::load).unwrap()).filter_level()
    };
    assert_eq!((level("lo"), level("any")), (Ebpf, UserSpace));
}

/// What a process with these capabilities alone gets: this test program runs again as an ordinary user, in the same network.
fn as_ordinary_user(capabilities: &str) -> String {
    // Where that user may read it.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for path in [folder.path(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args([format!("--inh-caps={capabilities}"), format!("--ambient-caps={capabilities}")])
        .args([format!("--bounding-set={capabilities}")])
        .arg(program)
        .args(["--exact", "afpacket::tests::role_of_an_ordinary_user", "--nocapture", "--test-threads=1"])
        .env("SNIFFX_TEST_ROLE", "ordinary user")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.split_once("result: "));
    line.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr))).1.to_owned()
}

#[test]
fn capabilities() {
    if !own_network() {
        return;
    }
    assert_eq!(as_ordinary_user("-all,+net_raw,+bpf"), "Ebpf, 2 rings, 10 frames");
    assert_eq!(as_ordinary_user("-all,+net_raw"), "Classic, 1 rings, 10 frames");
    let refused = "socket(AF_PACKET): permission denied (needs cap_net_raw)";
    assert_eq!(as_ordinary_user("-all,+bpf"), refused);
    assert_eq!(as_ordinary_user("-all"), refused);
}

/// Not a test of its own: what [`as_ordinary_user`] runs.
#[test]
fn role_of_an_ordinary_user() {
    if std::env::var_os("SNIFFX_TEST_ROLE").is_none() {
        return;
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let rule = sniff_x_filter::parse(&format!("udp port {}", socket.local_addr().unwrap().port())).unwrap();
    let rules = RuleSet { filter: None, rules: vec![rule] };
    match open_live(LiveOptions { rules, rings: 2, ring_size: 64 << 20, ..options(&["lo"]) }) {
        Err(error) => println!("result: {error}"),
        Ok(mut sources) => {
            for _ in 0..10 {
                socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            }
            let seen: usize = sources.iter_mut().map(|source| finish(source.as_mut()).len()).sum();
            println!("result: {:?}, {} rings, {seen} frames", sources[0].filter_level(), sources.len());
        }
    }
}
