//! The recording of `tests/captures` put into tunnels: the same events come out, from files and from the wire. The truth is the golden's
//! recording itself, whose events the clients' logs proved.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::path::Path;

use serde_json::Value;
use sniff_x_tests::binary::{self, Capture};
use sniff_x_tests::frames::{self, Timed};
use sniff_x_tests::netns::{IFACE, Net};
use sniff_x_tests::{has_program, is_root, live, root};

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 7, 2, 0, 0, 0, 0, 8];

fn recording() -> Vec<Timed> {
    frames::read(&root().join("tests/captures/mysql-mariadb.pcapng"))
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap().to_be_bytes()
}

fn ethernet(ether_type: [u8; 2], payload: &[u8]) -> Vec<u8> {
    [&MACS[..], &ether_type, payload].concat()
}

/// Between two tunnel ends, one way or the other.
fn ipv4(protocol: u8, payload: &[u8], back: bool) -> Vec<u8> {
    let total = length(20 + payload.len());
    let (from, to) = if back { (2, 1) } else { (1, 2) };
    let header =
        [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, protocol, 0, 0, 10, 99, 0, from, 10, 99, 0, to];
    ethernet([8, 0], &[&header[..], payload].concat())
}

fn udp(port: u16, header: &[u8], payload: &[u8], back: bool) -> Vec<u8> {
    let ports = [length(50_000 + usize::from(back)), port.to_be_bytes()].concat();
    let len = length(8 + header.len() + payload.len());
    ipv4(17, &[&ports[..], &len, &[0, 0], header, payload].concat(), back)
}

type Wrap = fn(&[u8], bool) -> Vec<u8>;

/// Each makes a frame of another in a tunnel; the flag says that it is one of the server's.
const TUNNELS: [(&str, Wrap); 16] = [
    ("three VLAN tags", |frame, _| {
        [&frame[..12], &[0x88, 0xa8, 0, 9, 0x81, 0, 0, 8, 0x81, 0, 0, 7], &frame[12..]].concat()
    }),
    ("VN-Tag", |frame, back| [&frame[..12], &[0x89, 0x26, 0, u8::from(back), 0, 0], &frame[12..]].concat()),
    ("MPLS one way", |frame, back| {
        if back {
            frame.to_vec()
        } else {
            ethernet([0x88, 0x47], &[&[0, 1, 0, 9, 0, 2, 1, 9], &frame[14..]].concat())
        }
    }),
    ("a pseudowire", |frame, _| ethernet([0x88, 0x47], &[&[0, 2, 1, 9, 0, 0, 0, 0], frame].concat())),
    ("PPPoE", |frame, _| {
        let len = length(frame.len() - 12);
        ethernet([0x88, 0x64], &[&[0x11, 0, 0, 5, len[0], len[1], 0, 0x21], &frame[14..]].concat())
    }),
    ("a provider's backbone", |frame, _| ethernet([0x88, 0xe7], &[&[0, 0, 1, 1], frame].concat())),
    ("SNAP", |frame, _| {
        // A length that is too long for the field says nothing: only short frames can be wrapped.
        if frame.len() > 1400 {
            return frame.to_vec();
        }
        ethernet(length(frame.len() - 6), &[&[0xaa, 0xaa, 3, 0, 0, 0], &frame[12..]].concat())
    }),
    ("IP in IP", |frame, back| ipv4(4, &frame[14..], back)),
    ("GRE with keys", |frame, back| {
        ipv4(47, &[&[0x20, 0, 8, 0, 0, 0, 0, u8::from(back)], &frame[14..]].concat(), back)
    }),
    ("bridged GRE", |frame, back| ipv4(47, &[&[0x20, 0, 0x65, 0x58, 0, 0, 0, 9], frame].concat(), back)),
    ("ERSPAN", |frame, _| {
        let header = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 3, 0, 0, 0, 0];
        ipv4(47, &[&header, frame].concat(), false)
    }),
    ("VXLAN", |frame, back| udp(4789, &[8, 0, 0, 0, 0, 0, 9, 0], frame, back)),
    ("GENEVE", |frame, back| {
        udp(6081, &[1, 0, 0x65, 0x58, 0, 0, u8::from(back), 0, 1, 2, 3, 4], frame, back)
    }),
    ("GTP-U", |frame, back| {
        let len = length(frame.len() - 14);
        udp(2152, &[0x30, 0xff, len[0], len[1], 0, 0, 0, u8::from(back)], &frame[14..], back)
    }),
    ("VXLAN in GRE", |frame, back| {
        let inside = udp(4789, &[8, 0, 0, 0, 0, 0, 9, 0], frame, back);
        ipv4(47, &[&[0, 0, 8, 0], &inside[14..]].concat(), back)
    }),
    ("MPLS in IP", |frame, back| ipv4(137, &[&[0, 2, 1, 9], &frame[14..]].concat(), back)),
];

fn from_server(frame: &[u8]) -> bool {
    frame[34..36] == 3306_u16.to_be_bytes()
}

/// IPv4 frames alone: whatever else was on the line is of no matter.
fn wrapped(recording: &[Timed], wrap: Wrap) -> Vec<Timed> {
    let ip = recording.iter().filter(|frame| frame.bytes[12..14] == [8, 0]);
    ip.map(|frame| Timed { time: frame.time, bytes: wrap(&frame.bytes, from_server(&frame.bytes)) }).collect()
}

fn events(file: &Path, more: &[&str]) -> Vec<Value> {
    let mut events = binary::events([&["--read", file.to_str().unwrap()], more, &["mysql"]].concat());
    // Order holds within a connection, not between them.
    events.sort_by_key(|event| event["client.port"].as_u64());
    events
}

#[test]
fn in_any_tunnel_the_events_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrapped.pcap");
    let recording = recording();
    let expected = events(&root().join("tests/captures/mysql-mariadb.pcapng"), &[]);
    assert!(expected.len() > 20);
    for (name, wrap) in TUNNELS {
        // A frame that the host handed on whole to its network card can be too long for the headers of some.
        frames::write(&file, 1, &wrapped(&recording, wrap));
        for options in [&[][..], &["--threads", "3"], &["--merge-vlans"]] {
            assert!(events(&file, options) == expected, "{name} {options:?}");
        }
    }
}

#[test]
fn merged_vlans_join_the_directions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("half.pcap");
    let half: Wrap = |frame, back| {
        if back { [&frame[..12], &[0x81, 0, 0, 7], &frame[12..]].concat() } else { frame.to_vec() }
    };
    frames::write(&file, 1, &wrapped(&recording(), half));
    let expected = events(&root().join("tests/captures/mysql-mariadb.pcapng"), &[]);
    assert!(events(&file, &[]) != expected, "a VLAN is part of the flow");
    assert!(events(&file, &["--merge-vlans"]) == expected);
}

/// RFC 1071 over TCP's pseudo header and segment, without the checksum itself.
fn checksum(packet: &[u8]) -> u16 {
    let segment = &packet[20..];
    let mut covered = [&packet[12..20], &[0, 6], &length(segment.len()), segment].concat();
    covered[12 + 16..12 + 18].fill(0);
    covered.resize(covered.len().next_multiple_of(2), 0);
    let sum: u32 = covered.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    !u16::try_from((sum % 0xffff) as u64).unwrap()
}

#[test]
fn wrong_checksums_are_counted_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let (file, stats) = (folder.path().join("sums.pcap"), folder.path().join("stats.json"));
    let mut frames = wrapped(&recording(), |frame, _| {
        let total = usize::from(frame[16]) << 8 | usize::from(frame[17]);
        let mut frame = frame[..14 + total].to_vec();
        let sum = checksum(&frame[14..]);
        frame[50..52].copy_from_slice(&sum.to_be_bytes());
        frame
    });
    let wrong = |frames: &[Timed]| {
        frames::write(&file, 1, frames);
        let run = events(&file, &["--verify-checksums", "--stats-file", stats.to_str().unwrap()]);
        let counters: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
        (run, counters["counters"]["packets.bad_checksums"].clone())
    };
    let expected = events(&root().join("tests/captures/mysql-mariadb.pcapng"), &[]);
    assert_eq!(wrong(&frames), (expected.clone(), Value::from(0)));
    // A byte of the first longer segment turns over: without the check it is just another statement.
    let longer = frames.iter_mut().find(|frame| frame.bytes.len() > 120).unwrap();
    *longer.bytes.last_mut().unwrap() ^= 0x20;
    let (run, count) = wrong(&frames);
    assert_eq!(count, Value::from(1));
    assert!(run != expected);
}

#[test]
fn a_link_type_that_is_not_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.pcap");
    frames::write(&file, 147, &recording()[..5]);
    let output = binary::run(["--read", file.to_str().unwrap(), "mysql"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("link type 147 is not supported") && said.contains("frames.unknown_links 5"),
        "{said}"
    );
}

/// What stays the same when frames are sent again at another time.
fn timeless(mut events: Vec<Value>) -> Vec<Value> {
    for event in &mut events {
        let event = event.as_object_mut().unwrap();
        event.remove("timestamp");
        event.remove("duration_ns");
    }
    events.sort_by_key(|event| event["client.port"].as_u64());
    events
}

#[test]
fn on_the_wire_the_kernel_lets_tunnels_pass() {
    if !is_root() || !has_program("ip", "iproute2") || !has_program("python3", "python3") {
        return;
    }
    live("tunnels");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrapped.pcap");
    let recording = recording();
    let expected = timeless(events(&root().join("tests/captures/mysql-mariadb.pcapng"), &[]));
    let script = root().join("tests/scripts/send.py");
    for (name, wrap) in TUNNELS {
        let net = Net::new();
        for mut command in [net.on_client("ip"), net.on_server("ip")] {
            assert!(command.args(["link", "set", IFACE, "mtu", "65535"]).status().unwrap().success());
        }
        frames::write(&file, 1, &wrapped(&recording, wrap));
        let mut command = net.on_server(binary::path());
        // The kernel shares frames out by what stands outside: not where some of a flow are in a tunnel and others are not.
        let threads = if matches!(name, "MPLS one way" | "SNAP") { "1" } else { "2" };
        command.args(["--iface", IFACE, "--threads", threads, "--format", "json", "-v", "mysql"]);
        let capture = Capture::start(command);
        assert!(net.on_client("python3").arg(&script).arg(&file).arg(IFACE).status().unwrap().success());
        let (events, said, status) = capture.stop();
        assert!(status.success() && said.contains("eBPF"), "{said}");
        assert!(timeless(events) == expected, "{name}\n{said}");
    }
}

/// `--filter` is asked of the tunnel, a plugin's rule of what is inside.
#[test]
fn a_filter_sees_the_outer_frame_and_a_rule_the_inner_one() {
    if !is_root() || !has_program("ip", "iproute2") || !has_program("python3", "python3") {
        return;
    }
    live("tunnels and a filter");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrapped.pcap");
    let recording = recording();
    let expected = timeless(events(&root().join("tests/captures/mysql-mariadb.pcapng"), &[]));
    let script = root().join("tests/scripts/send.py");
    for (name, outer) in [
        ("VXLAN", "udp dst port 4789 and net 10.99/16"),
        ("GRE with keys", "ip proto 47 and host 10.99.0.1"),
        ("IP in IP", "ip[9] = 4 and not tcp"),
    ] {
        let (_, wrap) = TUNNELS.into_iter().find(|(known, _)| *known == name).unwrap();
        frames::write(&file, 1, &wrapped(&recording, wrap));
        for (filter, passes) in [(outer, true), ("tcp port 3306", false)] {
            let net = Net::new();
            for mut command in [net.on_client("ip"), net.on_server("ip")] {
                assert!(command.args(["link", "set", IFACE, "mtu", "65535"]).status().unwrap().success());
            }
            let mut command = net.on_server(binary::path());
            command.args(["--iface", IFACE, "--format", "json", "-v", "--filter", filter, "redis,mysql"]);
            let capture = Capture::start(command);
            assert!(net.on_client("python3").arg(&script).arg(&file).arg(IFACE).status().unwrap().success());
            let (events, said, status) = capture.stop();
            assert!(status.success() && said.contains("filtering in the kernel (eBPF)"), "{said}");
            let expected = if passes { &expected[..] } else { &[] };
            assert!(timeless(events) == expected, "{name} '{filter}'\n{said}");
        }
    }
}
