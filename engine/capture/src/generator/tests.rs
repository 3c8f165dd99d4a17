//! The generators' frames arrive, all and in order; a written block is what the kernel writes. Live tests need root.

use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use sniff_x_filter::RuleSet;
use sniff_x_flow::Nanos;

use super::*;
use crate::{Batch, Lease, LiveOptions, Source, open_live};

/// Runs a test on a thread that has a network of its own, with a pair `left`, `right` that is up; it goes with the thread.
fn on_a_pair(test: impl FnOnce() + Send + 'static) {
    let run = || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            let required = std::env::var_os("SNIFFX_REQUIRE").is_some_and(|v| v == "all");
            assert!(!required, "a network namespace: {error}");
            println!("skipped: no network namespace can be made ({error}); run as root");
            return;
        }
        for arguments in [
            "link add left type veth peer name right",
            "link set left addrgenmode none up",
            "link set right addrgenmode none up",
        ] {
            let result = Command::new("ip").args(arguments.split(' ')).output().unwrap();
            assert!(result.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&result.stderr));
        }
        test();
    };
    thread::spawn(run).join().unwrap();
}

fn receiver() -> Box<dyn Source> {
    let options = LiveOptions {
        interfaces: vec!["right".to_owned()],
        rings: 1,
        ring_size: 16 << 20,
        block_size: 1 << 20,
        snaplen: 0,
        retire: Duration::from_millis(10),
        promiscuous: false,
        rules: RuleSet::default(),
    };
    open_live(options).unwrap().remove(0)
}

/// Frames of different lengths and contents.
fn trace(count: usize) -> Vec<Vec<u8>> {
    let frame = |n: usize| {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];
        frame.extend(u32::try_from(n).unwrap().to_be_bytes());
        frame.resize(18 + n * 37 % (LONGEST - 22), u8::try_from(n % 251).unwrap());
        frame
    };
    (0..count).map(frame).collect()
}

/// All frames that come until the intake is stopped.
fn take(source: &mut dyn Source, mut each: impl FnMut(&Lease)) {
    source.stop();
    loop {
        match source.next(Duration::from_millis(100)).unwrap() {
            Batch::Frames(lease) => each(&lease),
            Batch::Idle => {}
            Batch::End => return,
        }
    }
}

/// Sends all of so many frames.
fn send(generator: &mut dyn Generator, mut count: u32) {
    while count > 0 {
        count -= generator.send(count).unwrap();
    }
}

fn arrives(open: impl FnOnce(&[Vec<u8>]) -> Result<Box<dyn Generator>, CaptureError>) {
    let trace = trace(100);
    let mut source = receiver();
    let mut generator = open(&trace).unwrap();
    let mut sent = 0;
    for count in [1, 99, 130, 7, 300] {
        send(&mut *generator, count);
        sent += count as usize;
    }
    assert_eq!(sent, 537);
    let mut seen = Vec::new();
    take(&mut *source, |lease| seen.extend(lease.frames().map(|frame| frame.bytes.to_vec())));
    let wanted: Vec<_> = trace.into_iter().cycle().take(sent).collect();
    assert_eq!(seen.len(), wanted.len());
    assert!(seen == wanted, "other frames, or another order");
    let counters = source.counters();
    assert_eq!((counters.received, counters.dropped), (Some(537), Some(0)));
}

#[test]
fn frames_of_a_ring_arrive_in_order() {
    on_a_pair(|| arrives(|trace| tx_ring("left", trace)));
}

#[test]
fn live_frames_arrive_in_order() {
    on_a_pair(|| arrives(|trace| live_frames("right", trace)));
}

#[test]
fn other_frames_pass_beside_live_ones() {
    on_a_pair(|| {
        let (mut source, trace) = (receiver(), trace(10));
        let mut live = live_frames("right", &trace[..5]).unwrap();
        assert_eq!(live.send(5).unwrap(), 5);
        assert_eq!(tx_ring("left", &trace[5..]).unwrap().send(5).unwrap(), 5);
        let mut seen = Vec::new();
        take(&mut *source, |lease| seen.extend(lease.frames().map(|frame| frame.bytes.to_vec())));
        assert!(seen == trace, "others were written over");
    });
}

#[test]
fn a_trace_of_one_frame_is_sent_again_and_again() {
    on_a_pair(|| {
        let mut source = receiver();
        let trace = trace(1);
        send(&mut *live_frames("right", &trace).unwrap(), 70);
        // Its ring has few slots.
        send(&mut *tx_ring("left", &trace).unwrap(), 30);
        let mut seen = 0;
        take(&mut *source, |lease| seen += lease.frames().filter(|frame| frame.bytes == trace[0]).count());
        assert_eq!(seen, 100);
    });
}

#[test]
fn what_can_not_be_sent_is_refused() {
    for trace in [vec![], vec![vec![0; 13]], vec![vec![0; LONGEST + 1]]] {
        for error in [tx_ring("lo", &trace).err(), live_frames("lo", &trace).err()] {
            assert!(matches!(error, Some(CaptureError::Config(_))));
        }
    }
}

#[test]
fn a_written_block_is_what_the_kernel_writes() {
    on_a_pair(|| {
        let trace = trace(50);
        let mut source = receiver();
        assert_eq!(tx_ring("left", &trace).unwrap().send(50).unwrap(), 50);
        let mut blocks = 0;
        take(&mut *source, |lease| {
            blocks += 1;
            let kernel = lease.memory();
            let frames: Vec<_> = lease.frames().collect();
            assert_eq!(frames.len(), 50, "all in one block");
            let mut recording = Recording::new(kernel.len(), 1).unwrap();
            for frame in &frames {
                assert!(recording.frame(frame.bytes, frame.timestamp));
            }
            let mut replay = recording.replay(1);
            let Batch::Frames(own) = replay.next(Duration::ZERO).unwrap() else { panic!("no block") };
            let written = u32::from_ne_bytes(kernel[20..24].try_into().unwrap()) as usize;
            let (mut kernel, mut own) = (kernel[..written].to_vec(), own.memory()[..written].to_vec());
            for block in [&mut kernel, &mut own] {
                // The block's times, its number and whose it is.
                block[24..48].fill(0);
                block[8..12].fill(0);
                for frame in &frames {
                    let start = frame.offset as usize - 82;
                    // The status says more of a veth's frame; the hash is not asked for; interface and address, the rest of it.
                    block[start + 20..start + 24].fill(0);
                    block[start + 28..start + 48].fill(0);
                    block[start + 52..start + 56].fill(0);
                    block[start + 58..start + 82].fill(0);
                    // Nobody clears what fills up to the next frame.
                    let end = start + 82 + frame.bytes.len();
                    let padded = end.next_multiple_of(8).min(written);
                    block[end..padded].fill(0);
                }
            }
            let differs = kernel.iter().zip(&own).position(|(kernel, own)| kernel != own);
            let starts: Vec<_> = frames.iter().map(|frame| frame.offset - 82).collect();
            assert_eq!(differs, None, "frames begin at {starts:?}");
        });
        assert_eq!(blocks, 1);
    });
}

#[test]
fn a_recording_is_lent_as_often_as_is_said() {
    let trace = trace(300);
    let mut recording = Recording::new(64 << 10, 10).unwrap();
    assert!(
        trace.iter().zip(1..).all(|(frame, second)| recording.frame(frame, Nanos(second * Nanos::SECOND)))
    );
    assert_eq!(recording.frames(), 300);
    let mut source = recording.replay(3);
    let mut seen = Vec::new();
    loop {
        match source.next(Duration::ZERO).unwrap() {
            Batch::Frames(lease) => {
                seen.extend(lease.frames().map(|frame| (frame.bytes.to_vec(), frame.timestamp)));
            }
            Batch::Idle => panic!("idle without a lease"),
            Batch::End => break,
        }
    }
    let round: Vec<_> = trace.into_iter().zip((1..).map(|second| Nanos(second * Nanos::SECOND))).collect();
    assert_eq!(seen.len(), 900);
    assert!(seen.chunks(300).all(|seen| seen == round), "other frames, or another order");
    assert_eq!(source.counters().received, Some(900));
    // A block that is leased is not lent again.
    let mut source = source.again(2);
    let mut held = Vec::new();
    while let Batch::Frames(lease) = source.next(Duration::ZERO).unwrap() {
        held.push(lease);
    }
    assert!(matches!(source.next(Duration::ZERO), Ok(Batch::Idle)));
    held.clear();
    assert!(matches!(source.next(Duration::ZERO), Ok(Batch::Frames(_))));
}

#[test]
fn a_full_recording_takes_no_more() {
    let mut recording = Recording::new(64 << 10, 1).unwrap();
    let frame = vec![0; 1000];
    let taken = (0..1000).take_while(|_| recording.frame(&frame, Nanos(0))).count();
    assert_eq!(taken, (65_536 - 48) / 1088);
    let captured = recording.replay(1).next(Duration::ZERO).unwrap();
    let Batch::Frames(lease) = captured else { panic!("no block") };
    let mut again = Recording::new(64 << 10, 2).unwrap();
    assert!(again.block(&lease) && again.block(&lease) && !again.block(&lease));
    assert_eq!(again.frames(), 2 * taken as u64);
}
