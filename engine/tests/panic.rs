//! A decoder that panics ends the run with an error. It must not hang: threads that wait for each other have no time-out.
#![expect(clippy::panic, reason = "it is what the decoder does")]

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use sniff_x_engine::config::{Format, Input, Limits, Output};
use sniff_x_engine::{Config, Control, EngineError};
use sniff_x_flow::{Direction, End, FlowInfo, Nanos};
use sniff_x_proto::event::KeyTable;
use sniff_x_proto::{
    About, Decode, Decoder, Lost, Next, OpensAt, OptionError, Options, Out, Plugin, Probe, Window,
};

const ABOUT: About = About {
    name: "bad",
    version: "1",
    summary: "",
    options: &[],
    keys: &[],
    opens_at: OpensAt::FirstPayload,
};

struct Bad;

impl Plugin for Bad {
    fn about(&self) -> &About {
        &ABOUT
    }
    fn configure(&mut self, _: &Options) -> Result<(), OptionError> {
        Ok(())
    }
    fn rule(&self) -> String {
        "tcp".into()
    }
    fn is_server_port(&self, _: u16) -> bool {
        false
    }
    fn probe(&self, _: &[u8], _: &[u8]) -> Probe {
        Probe::No
    }
    fn open(&self, _: &FlowInfo) -> Decoder {
        Decoder::External(Box::new(Self))
    }
}

impl Decode for Bad {
    fn data(&mut self, _: Direction, _: Window<'_>, _: &mut Out<'_>) -> Next {
        panic!("on purpose")
    }
    fn gap(&mut self, _: Direction, _: Window<'_>, _: Lost, _: &mut Out<'_>) -> Next {
        Next::More { used: 0, need: 0 }
    }
    fn datagram(&mut self, _: Direction, _: Window<'_>, _: &mut Out<'_>) -> Next {
        Next::More { used: 0, need: 0 }
    }
    fn tick(&mut self, _: Nanos, _: &mut Out<'_>) -> bool {
        false
    }
    fn end(&mut self, _: End, _: [Window<'_>; 2], _: &mut Out<'_>) {}
    fn retained(&self) -> usize {
        0
    }
}

fn config(threads: usize) -> Config {
    let capture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/captures/mysql-mariadb.pcapng");
    Config {
        input: Input::File(capture),
        plugins: vec![(Box::new(Bad) as Box<dyn Plugin>).into()],
        keys: KeyTable::default(),
        filter: None,
        redact: false,
        parse: sniff_x_flow::packet::ParseOptions::default(),
        threads,
        output: Output {
            format: Format::Json,
            to: Box::new(std::io::sink()),
            is_abandoned: Box::new(|| false),
            count: None,
        },
        write: None,
        dump: None,
        duration: None,
        stats_interval: None,
        limits: Limits::default(),
    }
}

#[test]
fn a_panic_is_an_error_and_no_hang() {
    for threads in [1, 2, 4] {
        let (done, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let mut frames = None;
            let result =
                sniff_x_engine::run(config(threads), &Control::default(), |s| frames = Some(s.reader.frames));
            done.send((result, frames)).unwrap();
        });
        let (result, frames) = ended.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(matches!(result, Err(EngineError::Panic(_))), "{threads}: {result:?}");
        // Of several readers one counts, which another's panic may stop before its first frame.
        let counted = if threads == 1 { 1 } else { 0 };
        assert!(frames.is_some_and(|frames| frames >= counted), "what was counted is told all the same");
    }
}
