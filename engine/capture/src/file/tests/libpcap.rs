//! Held against libpcap.

use std::fs;
use std::path::Path;

use super::drain;
use crate::file::open_file;

/// All captures that other projects recorded, as libpcap reads them.
#[test]
fn real_captures_as_libpcap_reads_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    if !folder.is_dir() {
        println!("skipped: ../shared/captures is not here");
        return;
    }
    let (mut files, mut frames) = (0, 0);
    for group in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for path in fs::read_dir(group).unwrap().map(|entry| entry.unwrap().path()) {
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            if ["pcap", "pcapng", "cap", "dmp", "trace"].contains(&extension) && path.is_file() {
                files += 1;
                frames += compare(&path);
            }
        }
    }
    println!("{files} files, {frames} frames");
    assert!(files > 1000 && frames > 100_000);
}

/// Holds one file against libpcap; gives the number of frames.
fn compare(path: &Path) -> usize {
    let name = path.display();
    let mut judge = match pcap::Capture::from_file_with_precision(path, pcap::Precision::Nano) {
        Ok(judge) => judge,
        Err(error) => {
            println!("{name}: libpcap: {error}; ours: {:?}", open_file(path).err().map(|e| e.to_string()));
            return 0;
        }
    };
    let mut ours = match open_file(path) {
        Ok(mut source) => drain(source.as_mut()),
        Err(error) => panic!("{name}: {error}"),
    };
    let link = judge.get_datalink().0;
    let snaplen = ours.interfaces.first().map_or(0, |interface| interface.snaplen);
    let snaplen = if snaplen == 0 { usize::MAX } else { snaplen as usize };
    let mut count = 0;
    let stopped = loop {
        match judge.next_packet() {
            Ok(packet) => {
                let frame =
                    ours.frames.get(count).unwrap_or_else(|| panic!("{name}: frame {count} is missing"));
                // libpcap cuts at the header's snap length even what the file has beyond it.
                let cut = packet.data.len() == snaplen.min(frame.bytes.len());
                assert!(cut && frame.bytes.starts_with(packet.data), "{name}: bytes of frame {count}");
                let time = packet.header.ts;
                // Seconds are unsigned in pcap; libpcap makes a negative number of what comes after 2038.
                let seconds = if time.tv_sec < 0 { time.tv_sec + (1 << 32) } else { time.tv_sec };
                let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(time.tv_usec);
                // libpcap lets a fraction of a second and more wrap around.
                let sound = (0..1_000_000_000).contains(&time.tv_usec);
                assert!(!sound || i128::from(frame.nanos) == nanos, "{name}: time of frame {count}");
                assert_eq!(
                    frame.original,
                    packet.header.len.max(u32::try_from(frame.bytes.len()).unwrap()),
                    "{name}: length of frame {count}"
                );
                count += 1;
            }
            Err(pcap::Error::NoMorePackets) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    let all = ours.frames.len();
    match stopped {
        None => {
            assert_eq!(all, count, "{name}");
            assert_eq!(ours.counters.unreadable, 0, "{name}");
        }
        Some(error) if error.contains("different") || error.contains("has a type") => {
            // libpcap gives one link type and one snap length per file, we give each frame its own.
            println!("{name}: libpcap read {count} of our {all}: {error}");
            assert!(all >= count);
        }
        Some(error) => {
            println!("{name}: libpcap read {count} of our {all}: {error}");
            assert!(ours.counters.unreadable > 0, "{name}: {error}");
        }
    }
    // DLT_ and LINKTYPE_ numbers differ for raw IP (12 here) and a few BSD oddities.
    if let Some(first) = ours.frames.first() {
        let expected = if link == 12 { vec![12, 101] } else { vec![link] };
        if !expected.contains(&i32::from(first.link)) {
            println!("{name}: DLT {link}, LINKTYPE {}", first.link);
        }
    }
    ours.frames.clear();
    all
}
