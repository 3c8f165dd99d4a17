//! `auto` on a capture of several protocols, on ports that say nothing, tells what the plugins tell that are named with those ports.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sniff_x_capture::{Batch, open_file};
use sniff_x_tests::{binary, shared_captures};

/// What is merged: capture, the server's port in it, the port that it gets.
const MERGED: &[(&str, u16, u16)] = &[
    ("mysql/PcapPlusPlus__mysql.pcapng", 3306, 20_001),
    ("redis/deepflow__redis.pcap", 6379, 20_002),
    ("redis/deepflow__redis-error.pcap", 6379, 20_002),
    ("http1/zeek__100-continue.pcap", 80, 20_003),
    ("postgresql/zeek__http-on-port-5432.pcap", 5432, 20_003),
    ("postgresql/zeek__mysql-on-port-5432.pcap", 5432, 20_001),
];

/// A frame of the merged capture.
struct Frame {
    seconds: u64,
    nanos: u32,
    interface: u32,
    bytes: Vec<u8>,
}

/// Where the IP header begins.
fn ip_at(link_type: u16, bytes: &[u8]) -> usize {
    match link_type {
        0 => 4,
        1 if bytes[12..14] == [0x81, 0] => 18,
        1 => 14,
        113 => 16,
        _ => 0,
    }
}

/// Moves a TCP port; the checksum is wrong then, which nobody asks about.
fn move_port(link_type: u16, bytes: &mut [u8], from: u16, to: u16) {
    let ip = ip_at(link_type, bytes);
    let tcp = match bytes[ip] >> 4 {
        4 if bytes[ip + 9] == 6 => ip + usize::from(bytes[ip] & 15) * 4,
        6 if bytes[ip + 6] == 6 => ip + 40,
        _ => return,
    };
    for at in [tcp, tcp + 2] {
        if bytes[at..at + 2] == from.to_be_bytes() {
            bytes[at..at + 2].copy_from_slice(&to.to_be_bytes());
        }
    }
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = body.len().wrapping_neg() % 4;
    let len = u32::try_from(body.len() + padding + 12).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &len, body, &[0; 3][..padding], &len].concat()
}

/// The captures in one pcapng file, an interface each, in the order of their times.
fn merge(root: &Path, to: &Path) {
    let (mut links, mut frames) = (Vec::new(), Vec::new());
    for (name, from, port) in MERGED {
        let mut source = open_file(&root.join(name)).unwrap();
        let interface = u32::try_from(links.len()).unwrap();
        let mut link = 0;
        while let Ok(Batch::Frames(lease)) = source.next(Duration::ZERO) {
            for frame in lease.frames() {
                link = frame.link_type.0;
                let mut bytes = frame.bytes.to_vec();
                move_port(link, &mut bytes, *from, *port);
                let (seconds, nanos) = (frame.timestamp.0 / 1_000_000_000, frame.timestamp.0 % 1_000_000_000);
                frames.push(Frame { seconds, nanos: u32::try_from(nanos).unwrap(), interface, bytes });
            }
        }
        links.push(link);
    }
    frames.sort_by_key(|frame| (frame.seconds, frame.nanos));
    let mut file =
        block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    for link in links {
        // if_tsresol: nanoseconds.
        let options = [9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        file.extend(block(1, &[&link.to_le_bytes()[..], &[0; 6], &options].concat()));
    }
    for frame in frames {
        let time = frame.seconds * 1_000_000_000 + u64::from(frame.nanos);
        let half = |n: u64| u32::try_from(n & 0xffff_ffff).unwrap();
        let words = [frame.interface, half(time >> 32), half(time)];
        let len = u32::try_from(frame.bytes.len()).unwrap();
        let mut body: Vec<u8> = words.iter().chain(&[len, len]).flat_map(|word| word.to_le_bytes()).collect();
        body.extend(&frame.bytes);
        file.extend(block(6, &body));
    }
    std::fs::write(to, file).unwrap();
}

/// In an order that does not depend on when the events of different connections were told.
fn sorted(mut events: Vec<Value>) -> Vec<String> {
    events.sort_by_key(|event| event["client.port"].as_u64());
    events.iter().map(Value::to_string).collect()
}

#[test]
fn auto_tells_what_the_named_plugins_tell() {
    let Some(root) = shared_captures() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.pcapng");
    merge(&root, &path);
    let read = ["--read", path.to_str().unwrap()];
    let ports = ["--mysql.port", "20001", "--redis.port", "20002", "--http.port", "20003"];
    let named = sorted(binary::events([&read[..], &["mysql,redis,http"], &ports].concat()));
    let auto = sorted(binary::events([&read[..], &["auto"]].concat()));
    for protocol in ["mysql", "redis", "http"] {
        let told = named.iter().filter(|line| line.contains(&format!("\"protocol\":\"{protocol}\""))).count();
        assert!(told > 0, "nothing of {protocol} in the capture");
    }
    assert_eq!(auto.len(), named.len());
    for (auto, named) in auto.iter().zip(&named) {
        assert_eq!(auto, named);
    }
    // Beside another plugin, and with an option of one.
    let tcp = binary::events([&read[..], &["auto,tcp"]].concat());
    assert!(tcp.iter().filter(|event| event["protocol"] != "tcp").count() == auto.len());
    let slow = binary::events([&read[..], &["auto", "--mysql.slow", "100000"]].concat());
    assert!(slow.iter().any(|event| event["protocol"] == "redis"));
    assert!(!slow.iter().any(|event| event["protocol"] == "mysql" && event["sniffx.kind"] == "exchange"));
}
