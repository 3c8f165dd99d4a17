//! The pool that threads share.

use super::{A, Bed, Log, S, Seg, c, s};
use crate::Nanos;
use crate::assembler::{AssemblerOptions, Flushed, SharedStreamPool};

#[test]
fn threads_share_a_pool_and_each_flow_stays_whole() {
    const PORTS: u16 = 200;
    let pool = SharedStreamPool::new(4, &AssemblerOptions::default(), |_| Log::default());
    // Each flow's segments come from four threads in turn; a barrier keeps their order.
    let barrier = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let (pool, barrier) = (&pool, &barrier);
            scope.spawn(move || {
                let bed = Bed::new();
                for step in 0..40 {
                    barrier.wait();
                    if step % 4 != thread {
                        continue;
                    }
                    for port in 1..=PORTS {
                        let seg = match step {
                            0 => c(S, 100, 0, ""),
                            _ => c(A, 101 + (step - 1) * 5, 501, "12345"),
                        };
                        let seg = Seg { port, ..seg };
                        pool.assemble(&bed.segment(&seg), seg.payload);
                    }
                }
            });
        }
    });
    let mut streams = 0;
    pool.for_each(|counters, log| {
        assert!(counters.opened > 0, "every shard has its share");
        assert!(log.bytes.iter().all(|bytes| bytes[0].len() == 39 * 5));
        streams += counters.opened;
    });
    assert_eq!(streams, u64::from(PORTS));
    assert_eq!(pool.flush_older_than(Nanos(u64::MAX)), Flushed { flushed: 200, closed: 200 });
    assert_eq!(pool.flush_all(), 0);
}

#[test]
fn serial_numbers_are_unique_and_limits_are_shared() {
    let options = AssemblerOptions { max_connections: Some(8), ..AssemblerOptions::default() };
    let pool = SharedStreamPool::new(4, &options, |_| Log::default());
    let bed = Bed::new();
    for port in 1..100 {
        for seg in [c(S, 100, 0, ""), s(S | A, 500, 101, ""), c(A, 101, 501, "")] {
            pool.assemble(&bed.segment(&Seg { port, ..seg }), &[]);
        }
    }
    let mut open = 0;
    pool.for_each(|counters, _| {
        assert!((1..=2).contains(&counters.open));
        open += counters.open;
    });
    assert!(open <= 8);
    pool.advance(Nanos(u64::MAX));
    let (mut open, mut serials) = (0, Vec::new());
    pool.for_each(|counters, log| {
        assert!(counters.limit_connections > 0);
        open += counters.open;
        serials.append(&mut log.serials);
    });
    assert_eq!(open, 0);
    serials.sort_unstable();
    assert_eq!(serials.len(), 99);
    serials.dedup();
    assert_eq!(serials.len(), 99);
}
