//! With many connections packets wait for each other in the reader's thread: none stays behind, also where the input ends within a batch of frames.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use sniff_x_engine::config::{Format, Input, Limits, Output};
use sniff_x_engine::{Chosen, Config, Control, EngineError, Summary};
use sniff_x_flow::packet::ParseOptions;
use sniff_x_proto::event::KeyTable;
use sniff_x_proto::{Options, builtin};

const CONNECTIONS: u16 = 5_000;
const SEGMENTS: u32 = 12;
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const PONG: &[u8] = b"+PONG\r\n";

/// A capture in which each connection, joined in the middle, asks and is answered in turn.
fn capture(path: &Path) {
    let words = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1];
    let mut file: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let (ping, pong) = (u32::try_from(PING.len()).unwrap(), u32::try_from(PONG.len()).unwrap());
    for segment in 0..SEGMENTS {
        let (round, asks) = (segment / 2, segment % 2 == 0);
        for connection in 0..CONNECTIONS {
            let ends = [(1, 10_000 + connection), (2, 6379)];
            let (from, to, payload) = if asks { (ends[0], ends[1], PING) } else { (ends[1], ends[0], PONG) };
            let asked = round * ping + if asks { 0 } else { ping };
            let [seq, ack] = if asks { [asked, round * pong] } else { [round * pong, asked] };
            let mut frame = vec![0; 12];
            frame.extend([8, 0, 0x45, 0]);
            frame.extend(u16::try_from(40 + payload.len()).unwrap().to_be_bytes());
            frame.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, from.0, 10, 0, 0, to.0]);
            frame.extend([from.1, to.1].iter().flat_map(|port| port.to_be_bytes()));
            frame.extend([seq, ack].iter().flat_map(|number| number.to_be_bytes()));
            frame.extend([0x50, 0x18, 1, 0, 0, 0, 0, 0]);
            frame.extend(payload);
            let length = u32::try_from(frame.len()).unwrap();
            let micros = segment * u32::from(CONNECTIONS) + u32::from(connection);
            let head = [micros / 1_000_000, micros % 1_000_000, length, length];
            file.extend(head.iter().flat_map(|word| word.to_le_bytes()));
            file.extend(frame);
        }
    }
    std::fs::write(path, file).unwrap();
}

/// Runs the engine on it with one worker, and writes the frames to a file, too.
fn run(capture: &Path, write: Option<PathBuf>) -> (Result<(), EngineError>, Summary) {
    let mut plugin = builtin("redis").unwrap();
    plugin.configure(&Options::default()).unwrap();
    let config = Config {
        input: Input::File(capture.to_owned()),
        plugins: vec![Chosen { plugin, by_rule: true, by_probe: false }],
        keys: KeyTable::default(),
        filter: None,
        redact: false,
        parse: ParseOptions::default(),
        threads: 1,
        output: Output {
            format: Format::Json,
            to: Box::new(std::io::sink()),
            is_abandoned: Box::new(|| false),
            count: None,
        },
        write,
        dump: None,
        duration: None,
        stats_interval: None,
        limits: Limits::default(),
    };
    let mut summary = None;
    let result = sniff_x_engine::run(config, &Control::default(), |told| summary = Some(told.clone()));
    (result.map(|_| ()), summary.unwrap())
}

#[test]
fn no_packet_stays_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.pcap");
    capture(&path);
    let all = u64::from(CONNECTIONS) * u64::from(SEGMENTS);
    let (result, summary) = run(&path, None);
    result.unwrap();
    assert_eq!((summary.workers.assembler.segments, summary.events_written), (all, all / 2));

    // Whoever reads the frames goes within a batch, when there are many connections: what was read before is decoded.
    let pipe = folder.path().join("frames");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = {
        let pipe = pipe.clone();
        thread::spawn(move || {
            std::io::copy(&mut File::open(pipe).unwrap().take(1_500_000), &mut std::io::sink())
        })
    };
    let (result, summary) = run(&path, Some(pipe));
    assert!(result.is_err());
    reader.join().unwrap().unwrap();
    let read = summary.reader.tcp;
    assert!(read > 10_000 && read < all, "{read}");
    assert_eq!(summary.workers.assembler.segments, read);
}
