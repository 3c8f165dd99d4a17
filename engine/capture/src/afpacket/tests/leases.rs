//! Blocks that are held, shared, and outlive the socket that they came from.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use super::{Seen, collect, finish, frame, ip, open, options, own_network, sender, veth};
use crate::FilterLevel::Ebpf;
use crate::{Batch, Lease, LiveOptions, Source as _};

#[test]
fn a_held_block_costs_frames_that_are_counted() {
    if !own_network() {
        return;
    }
    veth();
    let mut source =
        open(Ebpf, &LiveOptions { ring_size: 128 << 10, block_size: 64 << 10, ..options(&["here"]) });
    let mut there = sender("there");
    there.write_all(&frame(0, 1000)).unwrap();
    let Batch::Frames(held) = source.next(Duration::from_secs(2)).unwrap() else { panic!("no block") };
    for number in 1..=400 {
        there.write_all(&frame(number, 1000)).unwrap();
    }
    let mut seen = Vec::new();
    collect(&held, &mut seen);
    while let Batch::Frames(lease) = source.next(Duration::from_millis(50)).unwrap() {
        collect(&lease, &mut seen);
    }
    assert!(seen.len() < 200, "two blocks have no room for more");
    assert_eq!(
        held.frames().next().map(|f| f.bytes.to_vec()),
        Some(frame(0, 1000)),
        "the held one is as it was"
    );
    drop(held);
    there.write_all(&frame(401, 1000)).unwrap();
    seen.extend(finish(&mut source));
    assert_eq!(seen.last().map(|one| one.bytes.clone()), Some(frame(401, 1000)), "it goes on at once");
    assert!(matches!(source.next(Duration::from_secs(1)), Ok(Batch::End)), "the end is the end");
    let counters = source.counters();
    assert_eq!(counters.received, Some(402));
    assert_eq!(counters.dropped, Some(402 - seen.len() as u64), "every frame is seen or counted");
}

#[test]
fn a_lease_outlives_its_source() {
    if !own_network() {
        return;
    }
    veth();
    let mut source = open(Ebpf, &options(&["here"]));
    sender("there").write_all(&frame(7, 1000)).unwrap();
    let Batch::Frames(lease) = source.next(Duration::from_secs(2)).unwrap() else { panic!("no block") };
    drop(source);
    ip("link del here");
    let mut seen = Vec::new();
    collect(&lease, &mut seen);
    assert_eq!(seen.iter().map(|one| one.bytes.clone()).collect::<Vec<_>>(), [frame(7, 1000)]);
}

#[test]
fn nothing_is_lost_while_all_blocks_are_cloned_and_dropped_elsewhere() {
    if !own_network() {
        return;
    }
    veth();
    let mut source = open(Ebpf, &LiveOptions { retire: Duration::from_millis(1), ..options(&["here"]) });
    let (send, receive) = std::sync::mpsc::sync_channel::<Lease>(2);
    let worker = thread::spawn(move || {
        let mut seen = Vec::new();
        for lease in receive {
            let copy = lease.clone();
            drop(lease);
            collect(&copy, &mut seen);
        }
        seen
    });
    let traffic = thread::spawn(|| {
        let mut there = sender("there");
        for number in 0..50_000 {
            there.write_all(&frame(number, 300)).unwrap();
        }
    });
    while !traffic.is_finished() {
        if let Batch::Frames(lease) = source.next(Duration::from_millis(5)).unwrap() {
            send.send(lease).unwrap();
        }
    }
    traffic.join().unwrap();
    source.stop();
    while let Batch::Frames(lease) = source.next(Duration::ZERO).unwrap() {
        send.send(lease).unwrap();
    }
    drop(send);
    let seen = worker.join().unwrap();
    let dropped = source.counters().dropped.unwrap();
    assert_eq!(seen.len() as u64 + dropped, 50_000);
    let number = |one: &Seen| u32::from_be_bytes(one.bytes[14..18].try_into().unwrap());
    assert!(seen.windows(2).all(|pair| number(&pair[0]) < number(&pair[1])), "in order, each once");
}
