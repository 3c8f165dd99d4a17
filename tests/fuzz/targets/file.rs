//! Capture files of any bytes: the reader ends, its frames lie in their buffers, and memory stays bounded whatever a length says.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use sniff_x_capture::{Batch, CaptureError, Source, open_file};

use crate::harness::signal::Signal;
use crate::seeds::Seeds;

const PCAP_MAGICS: [[u8; 4]; 4] =
    [[0xa1, 0xb2, 0xc3, 0xd4], [0xa1, 0xb2, 0x3c, 0x4d], [0xd4, 0xc3, 0xb2, 0xa1], [0x4d, 0x3c, 0xb2, 0xa1]];
const PCAPNG_MAGICS: [[u8; 4]; 1] = [[0x0a, 0x0d, 0x0d, 0x0a]];

/// Files longer than this are no seeds.
const LONGEST: usize = 4000;

pub(crate) const PCAP_WORDS: &[&[u8]] = &[
    b"\xa1\xb2\xc3\xd4\x00\x02\x00\x04",
    b"\x4d\x3c\xb2\xa1\x02\x00\x04\x00",
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x04\x00\x00\x00",
    b"\xff\xff\xff\xff\xff\xc9\x9a\x3b",
    b"\x28\xb5\x2f\xfd\x00\xff",
    b"\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x00\x00\x00\x01",
    b"\x01\x00\x00\x00",
    b"\x00\x00\x04\x00",
];

/// Blocks: section, interface (Ethernet; with options), packet, simple packet, enhanced packet, name resolution.
pub(crate) const PCAPNG_WORDS: &[&[u8]] = &[
    b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x1c\x00\x00\x00",
    b"\x0a\x0d\x0d\x0a\x00\x00\x00\x1c\x1a\x2b\x3c\x4d\x00\x01\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x1c",
    b"\x01\x00\x00\x00\x14\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x14\x00\x00\x00",
    b"\x01\x00\x00\x00\x20\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x09\x00\x01\x00\x09\x00\x00\x00\x00\x00\x00\x00\x20\x00\x00\x00",
    b"\x03\x00\x00\x00\x14\x00\x00\x00\x04\x00\x00\x00abcd\x14\x00\x00\x00",
    b"\x06\x00\x00\x00\x24\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x04\x00\x00\x00abcd\x24\x00\x00\x00",
    b"\x04\x00\x00\x00\x0c\x00\x00\x00\x0c\x00\x00\x00",
    b"\x09\x00\x01\x00\xff\x00\x00\x00",
    b"\x0e\x00\x08\x00\xff\xff\xff\xff\xff\xff\xff\x7f",
];

pub(crate) fn pcap(seeds: &Seeds) -> Vec<Vec<u8>> {
    let mut files = seeds.files(&PCAP_MAGICS, LONGEST, 100);
    let some: Vec<_> = files.iter().step_by(20).cloned().collect();
    files.extend(some.iter().flat_map(|file| [gzip(file), zstd(file)]));
    files
}

/// A gzip member of one stored block (RFC 1952, RFC 1951 section 3.2.4); its checksum is wrong, which shows only behind the frames.
fn gzip(file: &[u8]) -> Vec<u8> {
    let len = (file.len() as u16).to_le_bytes();
    let complement = len.map(|byte| !byte);
    [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01", &len[..], &complement, file, &[0; 8]].concat()
}

/// A zstd frame of one raw block, its window 8 MiB, and an empty block that is the last (RFC 8878, section 3.1.1).
fn zstd(file: &[u8]) -> Vec<u8> {
    let header = (file.len() as u32) << 3;
    [b"\x28\xb5\x2f\xfd\x00\x68", &header.to_le_bytes()[..3], file, b"\x01\x00\x00"].concat()
}

pub(crate) fn pcapng(seeds: &Seeds) -> Vec<Vec<u8>> {
    let mut files = seeds.files(&PCAPNG_MAGICS, LONGEST, 100);
    files.push(PCAPNG_WORDS.concat());
    files
}

pub(crate) fn run(data: &[u8], signal: &mut Signal) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    File::write_all(file.as_file_mut(), data).unwrap();
    let source = open_file(file.path());
    signal.note(source.is_ok());
    match source {
        Ok(source) => {
            // gzip, zstd, lz4.
            let compressed = [0x1f, 0x28, 0x04].contains(&data[0]);
            read(source, data.len(), compressed, signal);
        }
        // The only reason not to open a file that is there; the text must be printable.
        Err(error @ CaptureError::Format { .. }) => signal.count("error", error.to_string().len() as u64),
        Err(error) => panic!("{error}"),
    }
}

fn read(mut source: Box<dyn Source>, len: usize, compressed: bool, signal: &mut Signal) {
    signal.note(compressed);
    let (mut frames, mut batches) = (0, 0);
    loop {
        let lease = match source.next(Duration::ZERO) {
            Ok(Batch::Frames(lease)) => lease,
            Ok(Batch::Idle) => panic!("a file never idles while nothing is leased"),
            Ok(Batch::End) => break,
            Err(error) => {
                signal.note(error.to_string().len() % 64);
                break;
            }
        };
        batches += 1;
        let memory = lease.memory().as_ptr_range();
        for frame in lease.frames() {
            let here = frame.bytes.as_ptr_range();
            assert!(memory.start <= here.start && here.end <= memory.end, "a frame outside of its buffer");
            assert_eq!(
                lease.bytes(frame.offset, frame.bytes.len() as u32),
                frame.bytes,
                "the offset is another's"
            );
            assert!(
                frame.bytes.len() as u64 <= u64::from(frame.original_len),
                "more was captured than there was"
            );
            frames += 1;
            signal.note((
                frame.link_type.0.min(300),
                frame.interface.min(9),
                frame.truncated(),
                frame.flags.outgoing,
            ));
        }
    }
    // A packet's header has 16 bytes, a block of pcapng has more.
    assert!(compressed || frames * 16 <= len, "{frames} frames in {len} bytes");
    assert!(matches!(source.next(Duration::ZERO), Ok(Batch::End)), "the end is the end");
    let counters = source.counters();
    assert_eq!(counters.received, Some(frames as u64 + counters.unreadable), "every frame is counted");
    for interface in source.interfaces() {
        signal.note(interface.name.len().min(20));
    }
    signal.count("batches", batches);
    signal.count("frames", frames as u64);
    signal.count("unreadable", counters.unreadable);
}
