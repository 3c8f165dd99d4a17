//! Real captures, through packets, fragments and assembler: whole, and as a snap length would have them. Whether the bytes are right is asked of the whole
//! program (`tests/tests/dumped.rs`, against two other reassemblers); here the sums must be those of what was handed on, and nothing may be left behind.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test over known files: what is not as expected shall stop it"
)]

mod support;

use std::path::Path;

use sniff_x_flow::assembler::{Assembler, AssemblerOptions, Chunks, Stream, StreamFactory, Totals};
use sniff_x_flow::packet::defragment::{DefragmentOptions, Defragmenter};
use sniff_x_flow::packet::{FlowHasher, ParseOptions, Parsed, Parser, Span};
use sniff_x_flow::{End, FlowInfo, Frame, Nanos};

/// What a connection's two ends got.
#[derive(Default)]
struct Connection {
    ends: [String; 2],
    bytes: [u64; 2],
    missing: [u64; 2],
    ended: Option<End>,
}

#[derive(Default)]
struct Collector(Vec<Connection>);

struct Index(usize);

impl StreamFactory for Collector {
    type Stream = Index;
    fn new_stream(&mut self, flow: &mut FlowInfo) -> Index {
        let ends = [flow.client().to_string(), flow.server().to_string()];
        self.0.push(Connection { ends, ..Connection::default() });
        Index(self.0.len() - 1)
    }
}

impl Stream<Collector> for Index {
    fn reassembled(&mut self, all: &mut Collector, _: &FlowInfo, _: &[Totals; 2], chunks: Chunks<'_>) {
        let connection = &mut all.0[self.0];
        for chunk in chunks {
            let way = chunk.direction.index();
            connection.missing[way] += u64::try_from(chunk.skip).unwrap_or(0);
            connection.bytes[way] += chunk.bytes.len() as u64;
        }
    }
    fn reassembly_complete(&mut self, all: &mut Collector, _: &FlowInfo, totals: &[Totals; 2], end: End) {
        let connection = &mut all.0[self.0];
        for way in [0, 1] {
            assert_eq!(totals[way].bytes, connection.bytes[way]);
            assert_eq!(totals[way].gap_bytes, connection.missing[way]);
        }
        connection.ended = Some(end);
    }
    fn idle(&mut self, _: &mut Collector, _: &FlowInfo, _: &[Totals; 2], _: Nanos) -> bool {
        true
    }
}

fn part(bytes: &[u8], span: Span) -> &[u8] {
    &bytes[span.start as usize..][..span.len as usize]
}

fn assemble(records: &[support::Record]) -> Vec<Connection> {
    let parser = Parser::new(FlowHasher::with_seed(7), ParseOptions::default());
    let mut defragmenter = Defragmenter::new(DefragmentOptions::default());
    let mut assembler = Assembler::new(AssemblerOptions::default());
    let mut collector = Collector::default();
    for record in records {
        let (mut parsed, mut bytes) = (parser.parse(&record.frame()), record.bytes.clone());
        while let Parsed::Fragment(fragment) = parsed {
            let mut whole = Vec::new();
            let Some(reassembled) = defragmenter.add(&fragment, part(&bytes, fragment.payload), &mut whole)
            else {
                break;
            };
            bytes = whole;
            let frame = Frame { bytes: &bytes, original_len: reassembled.len, ..record.frame() };
            parsed = parser.parse_reassembled(&frame, &reassembled.first);
        }
        if let Parsed::Tcp(segment) = parsed {
            let payload = part(&bytes, segment.packet.payload);
            assembler.assemble(&mut collector, &segment, payload);
            assembler.advance(&mut collector, segment.packet.timestamp);
        }
    }
    assembler.flush_all(&mut collector);
    let counters = assembler.counters();
    assert_eq!((counters.pages, counters.open, counters.closed), (0, 0, 0));
    assert_eq!(counters.opened, counters.closed_all());
    assert!(collector.0.iter().all(|connection| connection.ended.is_some()));
    collector.0
}

/// Every capture file there is, sorted.
fn all(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => files.extend(all(&path)),
            Some("pcap" | "pcapng" | "cap" | "dmp") => files.push(path),
            _ => {}
        }
    }
    files.sort();
    files
}

/// Up to where a direction was told, gaps included.
fn reach(connection: &Connection, way: usize) -> u64 {
    connection.bytes[way] + connection.missing[way]
}

/// Above the longest headers of the captures: GENEVE with 200 bytes of options.
const SNAP_LENGTH: usize = 360;

/// Every capture of the folder, whole and as a snap length would have it: nothing panics, and what was cut is a gap
/// of exactly its size.
#[test]
fn what_the_snap_length_cuts_is_a_gap() {
    let Some(folder) = support::captures() else {
        println!("skipped: ../shared/captures is not here");
        return;
    };
    let mut directions = 0;
    for path in all(&folder) {
        let Some(mut records) = support::read(&std::fs::read(&path).unwrap()) else { continue };
        let whole = assemble(&records);
        for record in &mut records {
            record.bytes.truncate(SNAP_LENGTH);
        }
        let cut = assemble(&records);
        assert_eq!(whole.len(), cut.len(), "{}", path.display());
        for (whole, cut) in whole.iter().zip(&cut) {
            for way in [0, 1] {
                directions += 1;
                assert_eq!(reach(whole, way), reach(cut, way), "{} {:?} {way}", path.display(), whole.ends);
            }
        }
    }
    assert!(directions > 5000, "{directions}");
}
