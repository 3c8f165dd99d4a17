//! Values whose length their sender does not know ahead, by hand: texts in pieces, aggregates that end with a mark.
//!
//! Source: <https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md>, "Streamed strings", "Streamed aggregated data types".
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod redis_support;
mod support;

use redis_support::by_hand::{ask, reply, told};
use support::{Random, split_invariant};

/// Whether the length of a value is told ahead or not, the same is told of it.
#[test]
fn in_every_place_of_a_reply() {
    let steps = [
        ask("GET a"),
        reply("$?\r\n;3\r\nhel\r\n;2\r\nlo\r\n;0\r\n"),
        ask("GET b"),
        ask("HGETALL h"),
        reply("|?\r\n+ttl\r\n:3\r\n.\r\n$2\r\nhi\r\n%?\r\n+f\r\n$?\r\n;1\r\nv\r\n;0\r\n+g\r\n:2\r\n.\r\n"),
        ask("MULTI"),
        reply("+OK\r\n"),
        ask("LRANGE l 0 -1"),
        ask("INCR n"),
        reply("+QUEUED\r\n+QUEUED\r\n"),
        ask("EXEC"),
        reply("*?\r\n*?\r\n:1\r\n:2\r\n.\r\n:7\r\n.\r\n"),
        ask("SUBSCRIBE news"),
        reply(
            ">?\r\n+subscribe\r\n+news\r\n:1\r\n.\r\n>?\r\n+message\r\n+news\r\n$?\r\n;2\r\nhi\r\n;0\r\n.\r\n",
        ),
        ask("PING"),
        reply("+PONG\r\n"),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange ok [GET a] string hello",
            "exchange ok [GET b] string hi",
            "exchange ok [HGETALL h] map 2 f v g 2",
            "exchange ok [MULTI] status OK",
            "exchange ok [LRANGE l 0 -1] array 2 1 2",
            "exchange ok [INCR n] integer 7",
            "exchange ok [EXEC] array 2",
            "exchange ok [SUBSCRIBE news] push 3 subscribe news 1",
            "message [news hi]",
            "exchange ok [PING] status PONG",
        ]
    );
    split_invariant(told, &steps, &mut Random(5), true, "streamed");
}

#[test]
fn what_ends_nothing_is_malformed() {
    for bytes in ["*?\r\n:1\r\n;0\r\n", "%?\r\n:1\r\n.\r\n", "*2\r\n:1\r\n.\r\n", "$?\r\n;x\r\n"] {
        let lines = told(&[ask("GET a"), reply("+OK\r\n"), ask("GET b"), reply(bytes)]);
        assert_eq!(
            lines,
            [
                "exchange ok [GET a] status OK",
                "notice [a reply is malformed]",
                "exchange incomplete:midstream [GET b]",
            ],
            "{bytes}"
        );
    }
}
