//! Redis by hand: bytes as the protocol's text has them, and what must be told of them.
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
use redis_support::by_hand::{ask, brief, lines, reply, sent, told};
use sniff_x_flow::{Direction, End};
use sniff_x_proto::redis::Redis;
use sniff_x_proto::replay::{Replay, Step};
use sniff_x_proto::{Options, Plugin};
use support::{field, head};

#[test]
fn types_of_resp3() {
    let steps = [
        ask("HELLO 3"),
        reply("%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n"),
        ask("GET a"),
        reply("_\r\n"),
        ask("ZSCORE z m"),
        reply(",1.5e3\r\n"),
        ask("SISMEMBER s m"),
        reply("#f\r\n"),
        ask("BIG"),
        reply("(3492890328409238509324850943850943825024385\r\n"),
        ask("INFO"),
        reply("=8\r\ntxt:some\r\n"),
        ask("SMEMBERS s"),
        reply("~2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ask("HGETALL h"),
        reply("%1\r\n$1\r\nf\r\n$1\r\nv\r\n"),
        ask("GET t"),
        reply("|1\r\n+key-popularity\r\n%1\r\n$1\r\na\r\n,0.19\r\n$1\r\nx\r\n"),
        ask("GET l"),
        reply("!21\r\nSYNTAX invalid syntax\r\n"),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange ok [HELLO 3] map 2 server redis proto 3",
            "exchange ok [GET a] nil",
            "exchange ok [ZSCORE z m] double 1.5e3",
            "exchange ok [SISMEMBER s m] boolean false",
            "exchange ok [BIG] big number 3492890328409238509324850943850943825024385",
            "exchange ok [INFO] string txt:some",
            "exchange ok [SMEMBERS s] set 2 a b",
            "exchange ok [HGETALL h] map 1 f v",
            "exchange ok [GET t] string x",
            "exchange error [GET l] error SYNTAX SYNTAX invalid syntax",
        ]
    );
}

#[test]
fn inline_commands() {
    let steps = [
        sent(b"PING\r\n"),
        reply("+PONG\r\n"),
        sent(b"set 'a b' \"\\x41\\n\"\n"),
        reply("+OK\r\n"),
        sent(b"\r\n  EXISTS  somekey \r\n"),
        reply(":0\r\n"),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange ok [PING] status PONG",
            "exchange ok [set a b A\n] status OK",
            "exchange ok [EXISTS somekey] integer 0"
        ]
    );
}

#[test]
fn sent_ahead() {
    let asked = [&array(&[b"INCR", b"x"])[..], &array(&[b"GET", b"y"]), b"PING\r\n"].concat();
    let steps = [sent(&asked), reply(":1\r\n$-1"), ask("LPOP l"), reply("\r\n+PONG\r\n*-1\r\n")];
    assert_eq!(
        told(&steps),
        [
            "exchange ok [INCR x] integer 1",
            "exchange ok [GET y] nil",
            "exchange ok [PING] status PONG",
            "exchange ok [LPOP l] nil"
        ]
    );
}

#[test]
fn each_command_of_a_transaction_has_its_own_result() {
    let steps = [
        ask("MULTI"),
        reply("+OK\r\n"),
        ask("SET a abc"),
        reply("+QUEUED\r\n"),
        ask("LPOP a"),
        reply("+QUEUED\r\n"),
        ask("LRANGE l 0 -1"),
        reply("+QUEUED\r\n"),
        ask("CONFIG GET requirepass"),
        reply("+QUEUED\r\n"),
        ask("SELECT 3"),
        reply("+QUEUED\r\n"),
        ask("GET n"),
        reply("+QUEUED\r\n"),
        ask("EXEC"),
        reply(
            "*6\r\n+OK\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n*2\r\n$1\r\nx\r\n*1\r\n:5\r\n\
             *2\r\n$11\r\nrequirepass\r\n$7\r\nhunter2\r\n+OK\r\n$-1\r\n",
        ),
        ask("GET k"),
        reply("$1\r\nv\r\n"),
    ];
    let told_of = told(&steps);
    assert_eq!(
        told_of,
        [
            "exchange ok [MULTI] status OK",
            "exchange ok [SET a abc] status OK",
            "exchange error [LPOP a] error WRONGTYPE WRONGTYPE Operation against a key holding the wrong kind of value",
            "exchange ok [LRANGE l 0 -1] array 2 x 5",
            "exchange ok [CONFIG GET requirepass] array 2",
            "exchange ok [SELECT 3] status OK",
            "exchange ok [GET n] nil",
            "exchange ok [EXEC] array 6",
            "exchange ok [GET k] string v",
        ]
    );
    let namespaces: Vec<_> = lines(&steps).iter().map(|line| field(line, "db.namespace").unwrap()).collect();
    assert_eq!(namespaces[6..], ["3", "3", "3"]);
    assert_eq!(namespaces[4], "0");
}

#[test]
fn transactions_that_do_not_run() {
    let steps = [
        ask("WATCH a"),
        reply("+OK\r\n"),
        ask("MULTI"),
        reply("+OK\r\n"),
        ask("INCR a"),
        reply("+QUEUED\r\n"),
        ask("EXEC"),
        reply("*-1\r\n"),
        ask("MULTI"),
        reply("+OK\r\n"),
        ask("INCR a b c"),
        reply("-ERR wrong number of arguments for 'incr' command\r\n"),
        ask("GET a"),
        reply("+QUEUED\r\n"),
        ask("EXEC"),
        reply("-EXECABORT Transaction discarded because of previous errors.\r\n"),
        ask("MULTI"),
        reply("+OK\r\n"),
        ask("GET b"),
        reply("+QUEUED\r\n"),
        ask("DISCARD"),
        reply("+OK\r\n"),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange ok [WATCH a] status OK",
            "exchange ok [MULTI] status OK",
            "message [queued, but not carried out] [INCR a]",
            "exchange ok [EXEC] nil",
            "exchange ok [MULTI] status OK",
            "exchange error [INCR a b c] error ERR ERR wrong number of arguments for 'incr' command",
            "message [queued, but not carried out] [GET a]",
            "exchange error [EXEC] error EXECABORT EXECABORT Transaction discarded because of previous errors.",
            "exchange ok [MULTI] status OK",
            "message [queued, but not carried out] [GET b]",
            "exchange ok [DISCARD] status OK",
        ]
    );
}

#[test]
fn commands_that_wait() {
    const WAIT: u64 = 5_000_000_000;
    let steps = [
        ask("BLPOP q 0"),
        Step::Wait(WAIT),
        reply("*2\r\n$1\r\nq\r\n$1\r\nv\r\n"),
        ask("BLPOP q 1"),
        ask("PING"),
        reply("*-1\r\n+PONG\r\n"),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange ok [BLPOP q 0] array 2 q v",
            "exchange ok [BLPOP q 1] nil",
            "exchange ok [PING] status PONG"
        ]
    );
}

/// A reply that comes too late for its command is not that of the next one.
#[test]
fn commands_that_are_given_up() {
    const HOUR: u64 = 3_600_000_000_000;
    let steps = [
        ask("BLPOP q 0"),
        Step::Wait(HOUR),
        reply("*2\r\n$1\r\nq\r\n$1\r\nv\r\n"),
        ask("GET k"),
        reply("$1\r\n1\r\n"),
        ask("GET l"),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange incomplete:timeout [BLPOP q 0]",
            "exchange ok [GET k] string 1",
            "exchange incomplete:eof [GET l]"
        ]
    );
}

#[test]
fn scripts() {
    let steps = [
        sent(&array(&[b"EVAL", b"return redis.call('GET',KEYS[1])", b"1", b"k"])),
        reply("$1\r\nv\r\n"),
        ask("EVALSHA ffff 0"),
        reply("-NOSCRIPT No matching script. Please use EVAL.\r\n"),
        ask("EVALSHA eeee 0"),
        reply("-MYERR of my own\r\n"),
        ask("SCRIPT LOAD return"),
        reply("$4\r\neeee\r\n"),
        ask("FCALL f 1 k a"),
        reply("*1\r\n*1\r\n:1\r\n"),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange ok [EVAL return redis.call('GET',KEYS[1]) 1 k] string v",
            "exchange error [EVALSHA ffff 0] error NOSCRIPT NOSCRIPT No matching script. Please use EVAL.",
            "exchange error [EVALSHA eeee 0] error MYERR MYERR of my own",
            "exchange ok [SCRIPT LOAD return] string eeee",
            "exchange ok [FCALL f 1 k a] array 1 1",
        ]
    );
}

#[test]
fn big_and_nested_replies() {
    let long = "x".repeat(1 << 20);
    let big = format!("${}\r\n{long}\r\n", long.len());
    let nested = "*3\r\n*2\r\n:1\r\n*2\r\n$1\r\na\r\n%1\r\n+k\r\n~1\r\n:2\r\n$-1\r\n+end\r\n";
    let many = format!("*20000\r\n{}", "$3\r\nabc\r\n".repeat(20000));
    let steps = [
        ask("GET big"),
        reply(&big),
        ask("EXECUTE nested"),
        reply(nested),
        ask("LRANGE l 0 -1"),
        reply(&many),
        sent(&array(&[b"SET", b"big", long.as_bytes()])),
        reply("+OK\r\n"),
    ];
    let all = lines(&steps);
    assert_eq!(brief(&all[0]), format!("exchange ok [GET big] string {}", "x".repeat(64)));
    assert_eq!(brief(&all[1]), "exchange ok [EXECUTE nested] array 3 1 a k 2 nil end");
    assert!(brief(&all[2]).starts_with("exchange ok [LRANGE l 0 -1] array 20000 abc abc "));
    for (line, bytes) in all.iter().zip([big.as_str(), nested, &many]) {
        assert_eq!(field(line, "sniffx.db.response.size").unwrap(), bytes.len().to_string());
    }
    assert_eq!(head(&all[3]), ("exchange", "ok"));
    assert_eq!(field(&all[3], "sniffx.text.length").unwrap(), ("SET big ".len() + long.len()).to_string());
}

/// Of numbers and words of status as much as of texts.
#[test]
fn so_much_of_a_reply_is_shown_as_is_asked_for() {
    let steps =
        [ask("GET k"), reply("$5\r\nh\u{e9}ll\r\n"), ask("GET l"), reply("*2\r\n$2\r\nab\r\n:12345\r\n")];
    for (bytes, shown) in [
        ("0", ["", ""]),
        ("1", ["h", "a"]),
        ("2", ["h", "ab"]),
        ("5", ["h\u{e9}ll", "ab 12"]),
        ("64", ["h\u{e9}ll", "ab 12345"]),
    ] {
        let mut plugin = Redis::default();
        let mut options = Options::default();
        options.push("reply", bytes);
        plugin.configure(&options).unwrap();
        let mut replay = Replay::new(Box::new(plugin), 6379, false);
        steps.iter().for_each(|step| replay.step(step));
        let all = replay.finish(End::Fin);
        let found = all.iter().map(|line| field(line, "sniffx.redis.reply").unwrap_or_default());
        assert_eq!(found.collect::<Vec<_>>(), shown, "{bytes}");
        // What is not shown is counted all the same.
        assert_eq!(field(&all[1], "sniffx.redis.reply.count").unwrap(), "2");
    }
    for wrong in ["-1", "65537", "all"] {
        let mut options = Options::default();
        options.push("reply", wrong);
        let error = Redis::default().configure(&options).unwrap_err().to_string();
        assert!(error.contains("a number of bytes up to 65536"), "{error}");
    }
}

#[test]
fn errors_of_a_cluster() {
    let steps = [
        ask("GET x"),
        reply("-MOVED 3999 127.0.0.1:6381\r\n"),
        ask("GET x"),
        reply("-ASK 3999 127.0.0.1:6381\r\n"),
        ask("ASKING"),
        reply("+OK\r\n"),
    ];
    assert_eq!(
        told(&steps),
        [
            "exchange error [GET x] error MOVED MOVED 3999 127.0.0.1:6381",
            "exchange error [GET x] error ASK ASK 3999 127.0.0.1:6381",
            "exchange ok [ASKING] status OK",
        ]
    );
    // Of a transaction the command that is elsewhere, and with it the whole.
    let steps = [
        sent(
            &[array(&[b"MULTI"]), array(&[b"GET", b"x"]), array(&[b"GET", b"y"]), array(&[b"EXEC"])].concat(),
        ),
        reply(
            "+OK\r\n-MOVED 3999 127.0.0.1:6381\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of previous errors.\r\n",
        ),
    ];
    assert_eq!(
        told(&steps)[1..],
        [
            "exchange error [GET x] error MOVED MOVED 3999 127.0.0.1:6381",
            "message [queued, but not carried out] [GET y]",
            "exchange error [EXEC] error EXECABORT EXECABORT Transaction discarded because of previous errors.",
        ]
    );
}

/// <https://redis.io/docs/latest/develop/reference/clients/>: the error comes at once, and the server closes the connection; protected mode does the same.
#[test]
fn clients_that_are_turned_away() {
    let too_many = reply("-ERR max number of clients reached\r\n");
    let all = lines(std::slice::from_ref(&too_many));
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(brief(&all[0]), "session error [rejected] ERR ERR max number of clients reached");
    let told_of = told(&[reply("-DENIED Redis is running in protected mode\r\n"), ask("PING")]);
    assert_eq!(
        told_of,
        [
            "session error [rejected] DENIED DENIED Redis is running in protected mode",
            "exchange incomplete:eof [PING]"
        ]
    );
    // What had been asked already is what is refused.
    assert_eq!(
        told(&[ask("PING"), too_many.clone()]),
        ["exchange error [PING] error ERR ERR max number of clients reached"]
    );
    // It may answer what was lost, or nobody knows what.
    for earlier in [Step::Gap(Direction::ToServer, 14), ask("PING")] {
        let mut replay = Replay::new(Box::<Redis>::default(), 6379, true);
        [earlier, too_many.clone()].iter().for_each(|step| replay.step(step));
        let all = replay.finish(End::Fin);
        assert!(all.iter().all(|line| !line.contains("rejected")), "{all:#?}");
    }
    let all = lines(&[Step::Gap(Direction::ToServer, 14), too_many]);
    assert!(all.iter().all(|line| !line.contains("rejected")), "{all:#?}");
}

#[test]
fn secrets() {
    let commands = [
        ("AUTH hunter2", "AUTH <secret>"),
        ("auth bob hunter2", "auth bob <secret>"),
        ("HELLO 3 AUTH bob hunter2 SETNAME c", "HELLO 3 AUTH bob <secret> SETNAME c"),
        ("ACL SETUSER bob on >hunter2 ~* +@all", "ACL SETUSER bob on <secret> ~* +@all"),
        ("CONFIG SET requirepass hunter2", "CONFIG SET requirepass <secret>"),
        ("CONFIG SET maxmemory 1 masterauth hunter2", "CONFIG SET maxmemory 1 masterauth <secret>"),
        ("MIGRATE h 6379 k 0 50 AUTH hunter2", "MIGRATE h 6379 k 0 50 AUTH <secret>"),
        ("MIGRATE h 6379 k 0 50 AUTH2 bob hunter2", "MIGRATE h 6379 k 0 50 AUTH2 bob <secret>"),
    ];
    for (command, shown) in commands {
        let inline = sent(format!("{command}\r\n").as_bytes());
        for asked in [ask(command), inline] {
            let all = lines(&[asked, reply("-ERR what is 'hunter2'?\r\n")]);
            assert_eq!(field(&all[0], "db.query.text").unwrap(), shown);
            assert!(!all.concat().contains("hunter2"), "{all:#?}");
        }
        // In small parts, so that no argument comes whole.
        let Step::Data(_, bytes) = ask(command) else { unreachable!() };
        let mut parts: Vec<_> = bytes.chunks(1).map(sent).collect();
        parts.push(reply("+OK\r\n"));
        let all = lines(&parts);
        assert_eq!(field(&all[0], "db.query.text").unwrap(), shown);
    }
}

#[test]
fn bytes_that_are_no_text() {
    let all = lines(&[sent(&array(&[b"GET", b"k\xff\0\x01"])), reply(b"$2\r\n\xc3\x28\r\n")]);
    assert!(all[0].contains(r"db.query.text='GET k\xff\x00\x01'"), "{}", all[0]);
    let all = lines(&[ask("GET k"), reply(b"$3\r\n\xfe\x00\xc3\r\n")]);
    assert!(all[0].contains(r"sniffx.redis.reply='\xfe\x00\xc3'"), "{}", all[0]);
}

#[test]
fn databases_and_users() {
    let steps = [
        ask("GET a"),
        reply("$-1\r\n"),
        ask("SELECT 7"),
        reply("+OK\r\n"),
        ask("AUTH pw"),
        reply("+OK\r\n"),
        ask("SELECT 99"),
        reply("-ERR DB index is out of range\r\n"),
        ask("AUTH bob pw"),
        reply("+OK\r\n"),
        ask("GET a"),
        reply("$-1\r\n"),
        ask("RESET"),
        reply("+RESET\r\n"),
        ask("GET a"),
        reply("$-1\r\n"),
    ];
    let all = lines(&steps);
    let shown: Vec<_> = all
        .iter()
        .map(|line| {
            let user = field(line, "sniffx.db.user").unwrap_or_default();
            format!("{} {user}", field(line, "db.namespace").unwrap())
        })
        .collect();
    assert_eq!(shown, ["0 ", "0 ", "7 ", "7 default", "7 default", "7 bob", "7 bob", "0 default"]);
}
