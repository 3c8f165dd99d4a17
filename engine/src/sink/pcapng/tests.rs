//! What is written reads back the same: by our reader, and by tcpdump where it is installed.

use std::process::Command;
use std::time::Duration;

use sniff_x_capture::{Batch, open_file};
use sniff_x_flow::FrameFlags;

use super::*;

fn interface(id: u32, name: &str) -> Interface {
    Interface { id, name: name.into(), link_type: LinkType::ETHERNET, snaplen: 96 }
}

fn frame(bytes: &[u8], nanos: u64) -> Frame<'_> {
    Frame {
        bytes,
        offset: 0,
        timestamp: Nanos(nanos),
        original_len: u32::try_from(bytes.len()).unwrap(),
        interface: 7,
        link_type: LinkType::ETHERNET,
        vlan: None,
        flags: FrameFlags::default(),
    }
}

/// Bytes, time, original length, interface, outgoing.
type Read = (Vec<u8>, u64, u32, u32, bool);

fn read(path: &Path) -> (Vec<Read>, Vec<Interface>) {
    let mut source = open_file(path).unwrap();
    let mut frames = Vec::new();
    while let Batch::Frames(lease) = source.next(Duration::ZERO).unwrap() {
        frames.extend(
            lease
                .frames()
                .map(|f| (f.bytes.to_vec(), f.timestamp.0, f.original_len, f.interface, f.flags.outgoing)),
        );
    }
    assert_eq!(source.counters().unreadable, 0);
    (frames, source.interfaces())
}

/// tcpdump's packets: time in nanoseconds, and the bytes in hexadecimal.
fn tcpdump(path: &Path) -> Option<Vec<(String, String)>> {
    let arguments = ["--nano", "-tt", "-nn", "-xx", "-r"];
    let Ok(output) = Command::new("tcpdump").args(arguments).arg(path).output() else {
        println!("skipped: tcpdump is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut packets: Vec<(String, String)> = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        match line.trim_start().split_once(":  ").filter(|_| line.starts_with('\t')) {
            Some((_, hex)) => packets.last_mut().unwrap().1.extend(hex.split_whitespace()),
            None => packets.push((line.split(' ').next().unwrap().to_owned(), String::new())),
        }
    }
    Some(packets)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn frames_read_back() {
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let mut writer = PcapngWriter::create(&path).unwrap();
    let bytes: Vec<u8> = (0..101).collect();
    let all = || vec![interface(3, "eth0"), interface(7, "veth1")];
    let outgoing = FrameFlags { outgoing: true, checksum_not_ready: false };
    let tag = Some(VlanTag { tpid: 0x88a8, tci: 0xa005 });
    let frames = [
        frame(&bytes, 1_700_000_000_000_000_001),
        Frame { original_len: 65_549, ..frame(&bytes[..97], 1_700_000_001_999_999_999) },
        Frame { interface: 3, flags: outgoing, ..frame(&bytes[..98], 5_000_000_000) },
        Frame { vlan: tag, ..frame(&bytes[..100], 6_000_000_000) },
        Frame { vlan: tag, original_len: 900, flags: outgoing, ..frame(&bytes[..15], 7_000_000_000) },
        // No room for a tag.
        Frame { vlan: tag, ..frame(&bytes[..11], 8_000_000_000) },
        frame(&[], 9_000_000_000),
    ];
    for one in &frames {
        writer.frame(one, all).unwrap();
    }
    assert_eq!(writer.frames(), 7);
    writer
        .finish(&SourceCounters { received: Some(10), dropped: Some(3), ..SourceCounters::default() })
        .unwrap();

    let tagged = |end: usize| [&bytes[..12], &[0x88, 0xa8, 0xa0, 0x05], &bytes[12..end]].concat();
    let expected: Vec<Read> = vec![
        (bytes.clone(), 1_700_000_000_000_000_001, 101, 0, false),
        (bytes[..97].to_vec(), 1_700_000_001_999_999_999, 65_549, 0, false),
        (bytes[..98].to_vec(), 5_000_000_000, 98, 1, true),
        (tagged(100), 6_000_000_000, 104, 0, false),
        (tagged(15), 7_000_000_000, 904, 0, true),
        (bytes[..11].to_vec(), 8_000_000_000, 11, 0, false),
        (vec![], 9_000_000_000, 0, 0, false),
    ];
    let (seen, interfaces) = read(&path);
    assert_eq!(seen, expected);
    let names: Vec<_> = interfaces.iter().map(|i| (i.id, i.name.as_str(), i.link_type, i.snaplen)).collect();
    assert_eq!(names, [(0, "veth1", LinkType::ETHERNET, 0), (1, "eth0", LinkType::ETHERNET, 0)]);

    let Some(packets) = tcpdump(&path) else { return };
    assert_eq!(packets.len(), expected.len());
    // Of the last, empty one it says that it is invalid.
    for ((time, bytes), (written, nanos, ..)) in packets.iter().zip(&expected[..6]) {
        assert_eq!(*time, Nanos(*nanos).to_string());
        assert_eq!(*bytes, hex(written));
    }
}

#[test]
fn an_empty_capture_is_a_file_all_the_same() {
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    PcapngWriter::create(&path).unwrap().finish(&SourceCounters::default()).unwrap();
    assert_eq!(read(&path).0, []);
    assert!(tcpdump(&path).is_none_or(|packets| packets.is_empty()));
}

#[test]
fn link_types_of_one_interface() {
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let mut writer = PcapngWriter::create(&path).unwrap();
    for link_type in [LinkType::ETHERNET, LinkType::RAW, LinkType::ETHERNET, LinkType::RAW] {
        writer.frame(&Frame { link_type, ..frame(b"0123456789abcdef", 1) }, Vec::new).unwrap();
    }
    writer.finish(&SourceCounters::default()).unwrap();
    let (frames, interfaces) = read(&path);
    assert_eq!(frames.iter().map(|frame| frame.3).collect::<Vec<_>>(), [0, 1, 0, 1]);
    assert_eq!(
        interfaces.iter().map(|i| i.link_type).collect::<Vec<_>>(),
        [LinkType::ETHERNET, LinkType::RAW]
    );
}

#[test]
fn real_captures_read_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures/mysql");
    if !folder.is_dir() {
        println!("skipped: ../shared/captures is not here");
        return;
    }
    let out = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let mut files = 0;
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if !path.is_file() || !["pcap", "pcapng"].contains(&extension) {
            continue;
        }
        let mut writer = PcapngWriter::create(&out).unwrap();
        let mut source = open_file(&path).unwrap();
        while let Batch::Frames(lease) = source.next(Duration::ZERO).unwrap() {
            for frame in lease.frames() {
                writer.frame(&frame, || source.interfaces()).unwrap();
            }
        }
        writer.finish(&source.counters()).unwrap();
        let (before, after) = (read(&path).0, read(&out).0);
        let same = before.iter().zip(&after).all(|(a, b)| (&a.0, a.1, a.2, a.4) == (&b.0, b.1, b.2, b.4));
        assert!(same && before.len() == after.len(), "{}", path.display());
        files += 1;
    }
    assert!(files > 20, "{files}");
}

#[test]
fn errors_name_the_file() {
    let error =
        PcapngWriter::create(Path::new("/does/not/exist")).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.starts_with("/does/not/exist: "), "{error}");
    // A full disk shows when the buffer is written.
    let mut writer = PcapngWriter::create(Path::new("/dev/full")).unwrap();
    let payload = vec![0; 60_000];
    let failed = (0..100).map(|_| writer.frame(&frame(&payload, 1), Vec::new)).find_map(Result::err);
    assert!(failed.unwrap().to_string().starts_with("/dev/full: "));
}
