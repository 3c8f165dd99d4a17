//! What a Redis server sends unasked, by hand: messages of subscriptions, invalidations, lines of MONITOR, streams to replicas; and what it does not answer.
//!
//! Sources: <https://redis.io/docs/latest/develop/reference/protocol-spec/>, <https://redis.io/docs/latest/develop/pubsub/>,
//! <https://redis.io/docs/latest/develop/reference/client-side-caching/> and the pages of the commands.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod redis_support;
mod support;

use redis_support::array;
use redis_support::by_hand::{ask, brief, lines, reply, told};
use support::field;

#[test]
fn messages_of_subscriptions() {
    let steps = [
        ask("SUBSCRIBE first second"),
        reply(
            "*3\r\n$9\r\nsubscribe\r\n$5\r\nfirst\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$6\r\nsecond\r\n:2\r\n",
        ),
        reply("*3\r\n$7\r\nmessage\r\n$6\r\nsecond\r\n$5\r\nHello\r\n"),
        ask("PSUBSCRIBE n*"),
        reply("*3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:3\r\n"),
        reply("*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$1\r\nx\r\n"),
        ask("PING"),
        reply("*2\r\n$4\r\npong\r\n$0\r\n\r\n"),
        ask("UNSUBSCRIBE"),
        reply(
            "*3\r\n$11\r\nunsubscribe\r\n$6\r\nsecond\r\n:2\r\n*3\r\n$11\r\nunsubscribe\r\n$5\r\nfirst\r\n:1\r\n",
        ),
        ask("PUNSUBSCRIBE"),
        reply("*3\r\n$12\r\npunsubscribe\r\n$2\r\nn*\r\n:0\r\n"),
        ask("GET a"),
        reply("$1\r\n1\r\n"),
    ];
    let told_of = told(&steps);
    assert_eq!(told_of[0], "exchange ok [SUBSCRIBE first second] array 3 subscribe second 2");
    assert_eq!(told_of[1], "message [second Hello]");
    assert_eq!(told_of[2], "exchange ok [PSUBSCRIBE n*] array 3 psubscribe n* 3");
    assert_eq!(told_of[3], "message [n* news x]");
    assert!(told_of[4].starts_with("exchange ok [PING] array 2 pong"));
    assert!(told_of[5].starts_with("exchange ok [UNSUBSCRIBE] array 3 unsubscribe"));
    assert_eq!(
        told_of[6..],
        ["exchange ok [PUNSUBSCRIBE] array 3 punsubscribe n* 0", "exchange ok [GET a] string 1"]
    );
}

/// <https://redis.io/docs/latest/commands/ssubscribe/>
#[test]
fn messages_of_shards() {
    let steps = [
        ask("SSUBSCRIBE a"),
        reply(
            "*3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$5\r\nHello\r\n",
        ),
        // The slot moved: nobody asked for the end.
        reply("*3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n"),
        ask("GET k"),
        reply("$1\r\nv\r\n"),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange ok [SSUBSCRIBE a] array 3 ssubscribe a 1",
            "message [a Hello]",
            "exchange ok [GET k] string v"
        ]
    );
}

/// Lists that look like messages are replies, unless they come to a RESP2 client that subscribed.
#[test]
fn replies_that_look_like_messages() {
    let list = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n";
    let confirmation = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
    let steps = [
        ask("LRANGE l 0 2"),
        reply(list),
        ask("LRANGE l 0 2"),
        reply(confirmation),
        ask("HELLO 3"),
        reply("%1\r\n$5\r\nproto\r\n:3\r\n"),
        ask("SUBSCRIBE c"),
        reply(">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"),
        ask("LRANGE l 0 2"),
        reply(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nHello\r\n"),
        reply(list),
        ask("LRANGE l 0 2"),
        reply(confirmation),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange ok [LRANGE l 0 2] array 3 message c x",
            "exchange ok [LRANGE l 0 2] array 3 subscribe c 1",
            "exchange ok [HELLO 3] map 1 proto 3",
            "exchange ok [SUBSCRIBE c] push 3 subscribe c 1",
            "message [c Hello]",
            "exchange ok [LRANGE l 0 2] array 3 message c x",
            "exchange ok [LRANGE l 0 2] array 3 subscribe c 1",
        ]
    );
}

#[test]
fn invalidations_of_cached_keys() {
    let steps = [
        ask("CLIENT TRACKING ON"),
        reply("+OK\r\n"),
        ask("GET foo"),
        reply("$3\r\nbar\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nfoo\r\n"),
        ask("FLUSHALL"),
        reply(">2\r\n$10\r\ninvalidate\r\n_\r\n+OK\r\n"),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange ok [CLIENT TRACKING ON] status OK",
            "exchange ok [GET foo] string bar",
            "message [foo]",
            "message [nil]",
            "exchange ok [FLUSHALL] status OK"
        ]
    );
    let names: Vec<_> = lines(&steps).iter().map(|line| field(line, "db.operation.name").unwrap()).collect();
    assert_eq!(names[2], "INVALIDATE");
    // To a RESP2 client that redirected them to its subscription.
    let steps = [
        ask("SUBSCRIBE __redis__:invalidate"),
        reply("*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n"),
        reply("*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$3\r\nfoo\r\n"),
    ];
    assert_eq!(told(&steps)[1], "message [__redis__:invalidate foo]");
}

#[test]
fn lines_of_monitor() {
    let steps = [
        ask("MONITOR"),
        reply("+OK\r\n+1339518083.107412 [0 127.0.0.1:60866] \"keys\" \"*\"\r\n"),
        reply("+1339518087.877697 [0 127.0.0.1:60866] \"auth\" \"hunter2\"\r\n"),
        ask("QUIT"),
        reply("+OK\r\n"),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange ok [MONITOR] status OK",
            "message [1339518083.107412 [0 127.0.0.1:60866] \"keys\" \"*\"]",
            "message [<secret>]",
            "exchange ok [QUIT] status OK"
        ]
    );
    let steps = [
        ask("MONITOR"),
        reply("+OK\r\n+1339518083.107412 [0 127.0.0.1:60866] \"keys\" \"*\"\r\n"),
        ask("RESET"),
        reply("+RESET\r\n"),
        ask("ECHO x"),
        reply("+x\r\n"),
    ];
    assert_eq!(told(&steps)[2..], ["exchange ok [RESET] status RESET", "exchange ok [ECHO x] status x"]);
}

#[test]
fn commands_without_replies() {
    let steps = [
        ask("CLIENT REPLY SKIP"),
        ask("SET a 1"),
        ask("GET a"),
        reply("$1\r\n1\r\n"),
        ask("client reply off"),
        ask("SET a 2"),
        ask("CLIENT REPLY SKIP"),
        ask("SET a 3"),
        ask("CLIENT REPLY ON"),
        reply("+OK\r\n"),
        ask("GET a"),
        reply("$1\r\n3\r\n"),
    ];
    assert_eq!(
        told(&steps),
        [
            "message [CLIENT REPLY SKIP]",
            "message [SET a 1]",
            "exchange ok [GET a] string 1",
            "message [client reply off]",
            "message [SET a 2]",
            "message [CLIENT REPLY SKIP]",
            "message [SET a 3]",
            "exchange ok [CLIENT REPLY ON] status OK",
            "exchange ok [GET a] string 3",
        ]
    );
}

#[test]
fn replication() {
    let copy = [&[0xfa; 300][..], b"\r\n*1\r\n"].concat();
    let changes = [array(&[b"SELECT", b"0"]), array(&[b"SET", b"k", b"v"])].concat();
    let mark = [b'm'; 40];
    let counted = [format!("${}\r\n", copy.len()).as_bytes(), &copy, &changes].concat();
    let marked = [&b"$EOF:"[..], &mark, b"\r\n", &copy, &mark, &changes].concat();
    for stream in [counted, marked] {
        let steps = [
            ask("REPLCONF listening-port 6380"),
            reply("+OK\r\n"),
            ask("PSYNC ? -1"),
            reply("+FULLRESYNC 8de1787ba490483314a4d30f1c628bc5025eb761 2443808505\r\n\n\n"),
            reply(&stream),
            ask("REPLCONF ACK 100"),
            reply("\n"),
        ];
        let all = lines(&steps);
        let told_of: Vec<_> = all.iter().map(|line| brief(line)).collect();
        assert_eq!(told_of[0], "exchange ok [REPLCONF listening-port 6380] status OK");
        assert!(told_of[1].starts_with("exchange ok [PSYNC ? -1] status FULLRESYNC"), "{told_of:#?}");
        assert_eq!(
            told_of[2..],
            ["session ok [replicating]", "message [REPLCONF ACK 100]", "session [replicated]"]
        );
        let number = |name| field(&all[4], name).unwrap();
        assert_eq!(number("sniffx.redis.copy.size"), copy.len().to_string());
        assert_eq!(number("sniffx.redis.changes.size"), changes.len().to_string());
        assert_eq!(number("sniffx.redis.changes"), "2");
    }
}

/// Without a word of status before the copy, and without a copy.
#[test]
fn other_replication() {
    let steps = [ask("SYNC"), reply("\n$5\r\nREDIS"), reply(array(&[b"PING"]))];
    let all = lines(&steps);
    assert_eq!(all.len(), 3, "{all:#?}");
    assert_eq!(field(&all[2], "sniffx.redis.copy.size").unwrap(), "5");
    assert_eq!(field(&all[2], "sniffx.redis.changes").unwrap(), "1");
    let steps = [ask("PSYNC abc 7"), reply("+CONTINUE\r\n"), reply(array(&[b"PING"]))];
    let all = lines(&steps);
    assert_eq!(field(&all[2], "sniffx.redis.copy.size").unwrap(), "0");
    assert_eq!(field(&all[2], "sniffx.redis.changes").unwrap(), "1");
}

/// UNSUBSCRIBE without channels stands for all of them: the confirmations that are left are not those of the command behind it.
#[test]
fn confirmations_of_another_command() {
    let of = |word: &str, channel: &str, left: u32| {
        format!("*3\r\n${}\r\n{word}\r\n$1\r\n{channel}\r\n:{left}\r\n", word.len())
    };
    let steps = [
        ask("SUBSCRIBE a b c"),
        reply([of("subscribe", "a", 1), of("subscribe", "b", 2), of("subscribe", "c", 3)].concat()),
        ask("UNSUBSCRIBE"),
        ask("PSUBSCRIBE d"),
        reply([of("unsubscribe", "a", 2), of("unsubscribe", "b", 1), of("unsubscribe", "c", 0)].concat()),
        reply(of("psubscribe", "d", 1)),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange ok [SUBSCRIBE a b c] array 3 subscribe c 3",
            "exchange ok [UNSUBSCRIBE] array 3 unsubscribe a 2",
            "exchange ok [PSUBSCRIBE d] array 3 psubscribe d 1",
        ]
    );
}

/// Lines of MONITOR have a time in front; what has none answers a command.
#[test]
fn a_monitor_that_asks() {
    let steps = [
        ask("MONITOR"),
        reply("+OK\r\n+1339518083.107412 [0 127.0.0.1:60866] \"keys\" \"*\"\r\n"),
        ask("PING"),
        reply("+1339518083.2 [0 127.0.0.1:60866] \"ping\"\r\n+PONG\r\n"),
        ask("QUIT"),
        reply("+OK\r\n"),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange ok [MONITOR] status OK",
            "message [1339518083.107412 [0 127.0.0.1:60866] \"keys\" \"*\"]",
            "message [1339518083.2 [0 127.0.0.1:60866] \"ping\"]",
            "exchange ok [PING] status PONG",
            "exchange ok [QUIT] status OK",
        ]
    );
}
