//! Files built byte by byte, files cut at every byte, and real captures held against libpcap.

mod libpcap;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sniff_x_flow::LinkType;

use super::{open_file, open_file_again};
use crate::{Batch, CaptureError, Interface, Source, SourceCounters};

/// A frame that was read, out of its buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    bytes: Vec<u8>,
    nanos: u64,
    original: u32,
    interface: u32,
    link: u16,
    outgoing: bool,
}

struct Read {
    frames: Vec<Seen>,
    interfaces: Vec<Interface>,
    counters: SourceCounters,
}

fn drain(source: &mut dyn Source) -> Read {
    let mut frames = Vec::new();
    loop {
        match source.next(Duration::from_millis(100)).unwrap() {
            Batch::Frames(lease) => {
                let memory = lease.memory().as_ptr_range();
                for frame in lease.frames() {
                    let here = frame.bytes.as_ptr_range();
                    assert!(
                        memory.start <= here.start && here.end <= memory.end,
                        "a frame outside of its buffer"
                    );
                    let length = u32::try_from(frame.bytes.len()).unwrap();
                    assert_eq!(lease.bytes(frame.offset, length).as_ptr(), frame.bytes.as_ptr());
                    frames.push(Seen {
                        bytes: frame.bytes.to_vec(),
                        nanos: frame.timestamp.0,
                        original: frame.original_len,
                        interface: frame.interface,
                        link: frame.link_type.0,
                        outgoing: frame.flags.outgoing,
                    });
                }
            }
            Batch::Idle => panic!("nothing is leased"),
            Batch::End => break,
        }
    }
    assert!(matches!(source.next(Duration::ZERO), Ok(Batch::End)), "the end is the end");
    Read { frames, interfaces: source.interfaces(), counters: source.counters() }
}

fn read(bytes: &[u8]) -> Result<Read, CaptureError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    open_file(file.path()).map(|mut source| drain(source.as_mut()))
}

fn seen(bytes: &[u8], nanos: u64, original: u32) -> Seen {
    Seen { bytes: bytes.to_vec(), nanos, original, interface: 0, link: 1, outgoing: false }
}

/// Writes numbers in one byte order.
struct Bytes {
    big: bool,
    bytes: Vec<u8>,
}

impl Bytes {
    fn new(big: bool) -> Self {
        Self { big, bytes: Vec::new() }
    }

    fn u16(mut self, number: u16) -> Self {
        let raw = if self.big { number.to_be_bytes() } else { number.to_le_bytes() };
        self.bytes.extend(raw);
        self
    }

    fn u32(mut self, number: u32) -> Self {
        let raw = if self.big { number.to_be_bytes() } else { number.to_le_bytes() };
        self.bytes.extend(raw);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    fn padded(self, bytes: &[u8]) -> Self {
        let padding = bytes.len().next_multiple_of(4) - bytes.len();
        self.raw(bytes).raw(&vec![0; padding])
    }

    fn option(self, code: u16, value: &[u8]) -> Self {
        self.u16(code).u16(u16::try_from(value.len()).unwrap()).padded(value)
    }

    fn block(self, kind: u32, body: impl FnOnce(Self) -> Self) -> Self {
        let inner = body(Self::new(self.big)).bytes;
        let length = u32::try_from(inner.len() + 12).unwrap();
        self.u32(kind).u32(length).raw(&inner).u32(length)
    }

    fn pcap(self, magic: u32, minor: u16, link: u32) -> Self {
        self.u32(magic).u16(2).u16(minor).u32(0).u32(0).u32(65535).u32(link)
    }

    fn section(self) -> Self {
        self.block(0x0a0d_0d0a, |b| b.u32(0x1a2b_3c4d).u16(1).u16(0).u32(u32::MAX).u32(u32::MAX))
    }

    fn packet(self, interface: u32, time: u64, data: &[u8], original: u32) -> Self {
        let [high, low] = [time >> 32, time & 0xffff_ffff].map(|half| u32::try_from(half).unwrap());
        let captured = u32::try_from(data.len()).unwrap();
        self.block(6, |b| b.u32(interface).u32(high).u32(low).u32(captured).u32(original).padded(data))
    }
}

#[test]
fn pcap_in_all_its_forms() {
    for big in [false, true] {
        for (magic, unit) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            let file = Bytes::new(big)
                .pcap(magic, 4, 1)
                .u32(5)
                .u32(7)
                .u32(3)
                .u32(60)
                .raw(b"abc")
                .u32(6)
                .u32(999_999)
                .u32(4)
                .u32(2)
                .raw(b"defg")
                .u32(4_000_000_000)
                .u32(0)
                .u32(0)
                .u32(0);
            let read = read(&file.bytes).unwrap();
            let late = 6_000_000_000 + 999_999 * unit;
            assert_eq!(
                read.frames,
                [
                    seen(b"abc", 5_000_000_000 + 7 * unit, 60),
                    seen(b"defg", late, 4),
                    seen(b"", 4_000_000_000_000_000_000, 0)
                ],
                "an original length below the captured one is not believed"
            );
            let link_type = LinkType::ETHERNET;
            assert_eq!(
                read.interfaces,
                [Interface { id: 0, name: String::new(), link_type, snaplen: 65535 }]
            );
            assert_eq!(
                read.counters,
                SourceCounters { received: Some(3), filtered: Some(0), ..SourceCounters::default() }
            );
        }
    }
}

#[test]
fn pcap_variants() {
    // Kuznetzov: interface, protocol, packet type (4: sent by this host), padding.
    let file = Bytes::new(false)
        .pcap(0xa1b2_cd34, 4, 0x1400_0065)
        .u32(1)
        .u32(2)
        .u32(1)
        .u32(9)
        .u32(3)
        .u16(8)
        .raw(&[4, 0])
        .raw(b"x");
    let expected = Seen { link: 101, outgoing: true, ..seen(b"x", 1_000_002_000, 9) };
    assert_eq!(
        read(&file.bytes).unwrap().frames,
        [expected],
        "the frame check sequence's length is no link type"
    );
    // Before version 2.3 the original length came first; in 2.3 either.
    for minor in [2, 3] {
        let file = Bytes::new(true).pcap(0xa1b2_c3d4, minor, 1).u32(1).u32(0).u32(9).u32(1).raw(b"x");
        assert_eq!(read(&file.bytes).unwrap().frames, [seen(b"x", 1_000_000_000, 9)]);
    }
}

/// Two sections of different byte order, several interfaces, every packet block, options and blocks that nobody reads.
fn pcapng() -> Vec<u8> {
    let first = Bytes::new(false)
        .section()
        .block(1, |b| b.u16(1).u16(0).u32(0).option(2, b"eth0").option(9, &[9]).option(0, b""))
        .packet(0, 5_000_000_007, b"nano", 4)
        .block(0x0bad, |b| b.raw(b"nobody knows"))
        .block(1, |b| b.u16(101).u16(0).u32(3).option(3, b"a comment").option(14, &1000_i64.to_le_bytes()))
        .block(3, |b| b.u32(5).padded(b"short"))
        .block(6, |b| {
            b.u32(1)
                .u32(0)
                .u32(2_000_001)
                .u32(3)
                .u32(77)
                .padded(b"abc")
                .option(1, b"hello")
                .option(2, &[2, 0, 0, 0])
        })
        .block(2, |b| b.u16(1).u16(0xffff).u32(0).u32(9).u32(2).u32(2).padded(b"op"));
    let second = Bytes::new(true)
        .section()
        .block(1, |b| b.u16(228).u16(0).u32(2).option(9, &[0x80 | 4]))
        .packet(0, 24, b"1.5 s", 5)
        .block(3, |b| b.u32(5).padded(b"sh"));
    [first.bytes, second.bytes].concat()
}

fn pcapng_frames() -> Vec<Seen> {
    vec![
        seen(b"nano", 5_000_000_007, 4),
        seen(b"short", 0, 5),
        Seen { interface: 1, link: 101, outgoing: true, ..seen(b"abc", 1_002_000_001_000, 77) },
        Seen { interface: 1, link: 101, ..seen(b"op", 1_000_000_009_000, 2) },
        Seen { interface: 2, link: 228, ..seen(b"1.5 s", 1_500_000_000, 5) },
        Seen { interface: 2, link: 228, ..seen(b"sh", 0, 5) },
    ]
}

#[test]
fn pcapng_sections_interfaces_and_blocks() {
    let read = read(&pcapng()).unwrap();
    assert_eq!(read.frames, pcapng_frames());
    let described: Vec<_> =
        read.interfaces.iter().map(|i| (i.id, i.name.as_str(), i.link_type.0, i.snaplen)).collect();
    assert_eq!(described, [(0, "eth0", 1, 0), (1, "", 101, 3), (2, "", 228, 2)]);
    assert_eq!(read.counters.unreadable, 0);
}

#[test]
fn pcapng_that_contradicts_itself() {
    let start = || Bytes::new(false).section().block(1, |b| b.u16(1).u16(0).u32(0)).packet(0, 1, b"good", 4);
    let check = |file: Bytes, frames: usize, unreadable: u64| {
        let read = read(&file.bytes).unwrap();
        assert_eq!((read.frames.len(), read.counters.unreadable), (frames, unreadable));
    };
    // The block's frame is sound: only its packet is lost.
    check(start().packet(1, 1, b"no such interface", 4).packet(0, 1, b"good", 4), 2, 1);
    check(start().block(6, |b| b.u32(0).u32(0).u32(0).u32(5).u32(5).raw(b"four")).packet(0, 1, b"", 4), 2, 1);
    check(start().block(6, |b| b.u32(0)).packet(0, 1, b"", 4), 2, 1);
    check(start().block(1, |b| b.u16(1).u16(0)).packet(1, 1, b"", 4).packet(0, 1, b"", 4), 2, 2);
    check(start().block(6, |b| b.u32(0).u32(0).u32(0).u32(u32::MAX).u32(5)), 1, 1);
    // It isn't: nothing after it can be found.
    for length in [0, 4, 11, 13, 0xffff_fffc] {
        check(start().u32(6).u32(length).raw(&[0; 100]), 1, 1);
    }
    check(start().u32(6).u32(32).raw(&[0; 20]).u32(36).packet(0, 1, b"", 4), 1, 1);
    check(start().block(0x0a0d_0d0a, |b| b.u32(0)).packet(0, 1, b"", 4), 1, 1);
    check(start().block(0x0a0d_0d0a, |b| b.u32(0x1a2b_3c4d).u16(2).u16(0)), 1, 1);
    // An interface is known only from its description on, and in its section.
    check(start().packet(1, 1, b"early", 4).block(1, |b| b.u16(1).u16(0).u32(0)).packet(1, 1, b"", 4), 2, 1);
    check(start().section().packet(0, 1, b"", 4), 1, 1);
}

#[test]
fn a_section_for_every_packet_costs_no_more_than_its_bytes() {
    let mut file = Vec::new();
    for time in 0..20_000 {
        let one = Bytes::new(time % 2 == 0).section().block(1, |b| b.u16(1).u16(0).u32(0));
        file.extend(one.packet(0, time, b"x", 1).bytes);
    }
    let read = read(&file).unwrap();
    assert_eq!(read.frames.len(), 20_000);
    assert_eq!(read.frames.last().map(|frame| (frame.interface, frame.nanos)), Some((19_999, 19_999_000)));
}

#[test]
fn records_across_buffers_and_beyond() {
    // Odd sizes make every buffer end within a record; one record is larger than a buffer, one block is larger than any record.
    let payload = |i: usize| vec![u8::try_from(i % 256).unwrap(); 1 + (i * 7919) % 9000];
    let mut pcap = Bytes::new(false).pcap(0xa1b2_3c4d, 4, 1);
    let mut pcapng = Bytes::new(true).section().block(1, |b| b.u16(1).u16(0).u32(0).option(9, &[9]));
    let mut expected = Vec::new();
    for i in 0..1000 {
        let data = if i == 500 { vec![7; 5 << 20] } else { payload(i) };
        let (nanos, length) = (i as u64, u32::try_from(data.len()).unwrap());
        if i == 700 {
            pcapng = pcapng.block(0x0bad, |b| b.raw(&vec![0; 40 << 20]));
        }
        pcap = pcap.u32(0).u32(u32::try_from(i).unwrap()).u32(length).u32(length).raw(&data);
        pcapng = pcapng.packet(0, nanos, &data, length);
        expected.push(seen(&data, nanos, length));
    }
    assert!(read(&pcap.bytes).unwrap().frames == expected);
    let read = read(&pcapng.bytes).unwrap();
    assert!(read.frames == expected);
    assert_eq!(read.counters.unreadable, 0);
}

#[test]
fn an_impossible_length_ends_the_walk() {
    let file = Bytes::new(false)
        .pcap(0xa1b2_c3d4, 4, 1)
        .u32(5)
        .u32(7)
        .u32(3)
        .u32(60)
        .raw(b"abc")
        .u32(5)
        .u32(7)
        .u32(0xffff_fff0)
        .u32(60)
        .raw(b"abc");
    let read = read(&file.bytes).unwrap();
    assert_eq!((read.frames.len(), read.counters.unreadable), (1, 1));
}

#[test]
fn cut_at_every_byte() {
    let pcap = Bytes::new(false)
        .pcap(0xa1b2_c3d4, 4, 1)
        .u32(5)
        .u32(7)
        .u32(3)
        .u32(60)
        .raw(b"abc")
        .u32(6)
        .u32(8)
        .u32(9)
        .u32(9)
        .raw(b"nine here");
    let pcap_frames = [seen(b"abc", 5_000_007_000, 60), seen(b"nine here", 6_000_008_000, 9)];
    let pcapng = pcapng();
    // Where each packet is whole.
    for (file, frames, header) in [(&pcap.bytes, &pcap_frames[..], 24), (&pcapng, &pcapng_frames()[..], 28)] {
        let mut before = 0;
        for cut in 0..=file.len() {
            match read(&file[..cut]) {
                Err(CaptureError::Format { found, .. }) => {
                    assert!(cut < header, "{cut}: {found}");
                    let known = if cut == 0 {
                        "empty"
                    } else if cut < 4 {
                        "begins"
                    } else {
                        "cut within"
                    };
                    assert!(found.contains(known), "{cut}: {found}");
                }
                Err(error) => panic!("{cut}: {error}"),
                Ok(read) => {
                    assert!(cut >= header);
                    let whole = read.frames.len();
                    assert_eq!(read.frames, frames[..whole], "{cut}");
                    assert!(whole == before || whole == before + 1, "{cut}");
                    before = whole;
                    assert!(read.counters.unreadable <= 1);
                }
            }
        }
        assert_eq!(before, frames.len(), "the whole file has all");
        assert_eq!(read(file).unwrap().counters.unreadable, 0);
        assert_eq!(read(&file[..file.len() - 1]).unwrap().counters.unreadable, 1);
        assert_eq!(read(&file[..file.len() - 1]).unwrap().frames.len(), frames.len() - 1);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let blocks = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(blocks, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed() {
    let plain = pcapng();
    let (front, back) = plain.split_at(50);
    let skippable = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for (name, file) in [
        ("gzip", gzip(&plain)),
        ("gzip, two members", [gzip(front), gzip(back)].concat()),
        ("zstd", zstd(&plain)),
        ("zstd, skippable and two frames", [&skippable[..], &zstd(front), &skippable, &zstd(back)].concat()),
        ("lz4", lz4(&plain)),
        ("lz4, two frames", [lz4(front), lz4(back)].concat()),
    ] {
        let read = read(&file).unwrap();
        assert_eq!(read.frames, pcapng_frames(), "{name}");
        assert_eq!(read.counters.unreadable, 0, "{name}");
    }
    // Nor is what was compressed always a capture.
    for file in [gzip(b"#!/bin/sh"), zstd(b"#!/bin/sh"), lz4(b"#!/bin/sh")] {
        let found = read(&file).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(found.contains(" of text that begins with \"#!/bin/sh\""), "{found}");
    }
}

#[test]
fn compressed_and_cut() {
    let mut plain = Bytes::new(false).pcap(0xa1b2_c3d4, 4, 1);
    for i in 0..30_000_u32 {
        // Hardly compressible, so that a cut of the file is a cut of the records.
        let data: Vec<u8> = (0..50_u32)
            .map(|j| (i.wrapping_mul(2_654_435_761).rotate_left(j) >> 7).to_le_bytes()[0])
            .collect();
        plain = plain.u32(i).u32(0).u32(50).u32(50).raw(&data);
    }
    for (name, file) in
        [("gzip", gzip(&plain.bytes)), ("zstd", zstd(&plain.bytes)), ("lz4", lz4(&plain.bytes))]
    {
        assert_eq!(read(&file).unwrap().frames.len(), 30_000, "{name}");
        let cut = read(&file[..file.len() * 9 / 10]).unwrap();
        let whole = cut.frames.len();
        assert!(whole < 30_000, "{name}");
        assert!(name == "zstd" || whole > 10_000, "{name}: {whole}");
        assert!(cut.frames.iter().zip(0..).all(|(frame, i)| frame.nanos == i * 1_000_000_000), "{name}");
        assert_eq!(cut.counters.unreadable, 1, "{name}");
    }
}

#[test]
fn damaged_anywhere() {
    // Whatever a file holds: no panic, no end that doesn't come, no more frames than its bytes have room for.
    let pcap = Bytes::new(false).pcap(0xa1b2_c3d4, 4, 1);
    let pcap =
        (0..40).fold(pcap, |file, i| file.u32(i).u32(7).u32(30 + i).u32(60).raw(&vec![9; 30 + i as usize]));
    let [pcap, pcapng] = [pcap.bytes, pcapng()];
    let files = [
        ("pcap", pcap.clone()),
        ("pcapng", pcapng.clone()),
        ("gzip", gzip(&pcap)),
        ("zstd", zstd(&pcap)),
        ("lz4", lz4(&pcap)),
        ("zstd of pcapng", zstd(&pcapng)),
        ("lz4 of pcapng", lz4(&pcapng)),
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for (name, file) in &files {
        let mut opened = 0;
        for round in 0..600 {
            let mut file = file.clone();
            for _ in 0..=random(3) {
                let at = random(file.len());
                file[at] = match random(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => file[at] ^ (1 << random(8)),
                    _ => u8::try_from(random(256)).unwrap(),
                };
            }
            let caught = std::panic::catch_unwind(|| read(&file).map(|read| read.frames.len()));
            match caught {
                Ok(Ok(frames)) => {
                    opened += 1;
                    assert!(frames <= 2000, "{name}, round {round}: {frames} frames");
                }
                Ok(Err(CaptureError::Format { .. })) => {}
                Ok(Err(error)) => panic!("{name}, round {round}: {error}"),
                Err(_) => panic!("{name}, round {round}: {file:02x?}"),
            }
        }
        assert!(opened > 100, "{name}: {opened}");
    }
}

#[test]
fn not_a_capture() {
    let found = |bytes: &[u8]| read(bytes).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(found(b"").ends_with("not a capture file: an empty file"));
    assert!(found(b"\x7fELF").ends_with("begins with 7f 45 4c 46 (an ELF program)"));
    assert!(found(b"hello\n").ends_with("text that begins with \"hello\""));
    assert!(found(&[0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 28, 1, 2, 3, 4, 0, 0]).contains("byte order magic"));
    assert!(matches!(open_file(Path::new("/does/not/exist")), Err(CaptureError::File { .. })));
    assert!(matches!(open_file(&std::env::temp_dir()), Err(CaptureError::File { .. })));
}

#[test]
fn progress_and_stop() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let plain = pcapng();
    file.write_all(&plain).unwrap();
    let mut source = open_file(file.path()).unwrap();
    assert_eq!(source.progress(), Some((plain.len() as u64, plain.len() as u64)), "it fits in one buffer");
    let Batch::Frames(lease) = source.next(Duration::ZERO).unwrap() else { panic!("no frames") };
    source.stop();
    assert!(matches!(source.next(Duration::ZERO), Ok(Batch::End)));
    assert_eq!(lease.frames().count(), 4, "a lease outlives the intake");
    drop(source);
    assert_eq!(lease.clone().frames().count(), 4, "and the source");
    assert_eq!(lease.bytes(u32::MAX, u32::MAX), b"");
    assert_eq!(lease.bytes(0, u32::MAX), b"");
}

#[test]
fn held_leases_make_a_file_wait() {
    let mut file = Bytes::new(false).pcap(0xa1b2_c3d4, 4, 1);
    for i in 0..20_000 {
        file = file.u32(i).u32(0).u32(1000).u32(1000).raw(&[0; 1000]);
    }
    let mut disk = tempfile::NamedTempFile::new().unwrap();
    disk.write_all(&file.bytes).unwrap();
    let mut source = open_file(disk.path()).unwrap();
    let mut leases = Vec::new();
    while let Batch::Frames(lease) = source.next(Duration::ZERO).unwrap() {
        leases.push(lease);
        assert!(leases.len() <= 8, "memory is bounded");
    }
    let mut frames: usize = leases.drain(..).map(|lease| lease.frames().count()).sum();
    while let Batch::Frames(lease) = source.next(Duration::ZERO).unwrap() {
        frames += lease.frames().count();
    }
    assert_eq!(frames, 20_000, "nothing is lost by it");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_gives_what_it_has() {
    use std::os::fd::AsRawFd;
    let (reader, mut writer) = std::io::pipe().unwrap();
    let plain = Bytes::new(false).pcap(0xa1b2_c3d4, 4, 1).u32(5).u32(7).u32(3).u32(60).raw(b"abc").bytes;
    writer.write_all(&plain[..40]).unwrap();
    let mut source = open_file(&PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()))).unwrap();
    assert_eq!(source.progress(), None);
    assert!(matches!(source.next(Duration::from_millis(1)), Ok(Batch::Idle)), "the record is not whole");
    writer.write_all(&plain[40..]).unwrap();
    let Batch::Frames(lease) = source.next(Duration::from_secs(1)).unwrap() else { panic!("no frames") };
    assert_eq!(lease.frames().count(), 1);
    assert!(matches!(source.next(Duration::from_millis(1)), Ok(Batch::Idle)));
    drop(writer);
    assert!(matches!(source.next(Duration::from_secs(1)), Ok(Batch::End)));
    assert_eq!(source.counters().unreadable, 0);
}

/// Each of several readers gets all of a file; what can't be read again, or only dearly, has one.
#[test]
fn only_a_plain_file_is_opened_again() {
    for (bytes, times) in [(pcapng(), 3), (gzip(&pcapng()), 1)] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let mut sources = open_file_again(file.path(), 3).unwrap();
        assert_eq!(sources.len(), times);
        for source in &mut sources {
            assert_eq!(drain(source.as_mut()).frames, pcapng_frames());
        }
    }
    assert!(open_file_again(Path::new("no/such.pcap"), 3).is_err());
}
