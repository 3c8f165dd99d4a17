//! Passwords on every way through a Redis connection, by hand: none may be told, whatever the letters, the quotes and the losses.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod redis_support;
mod support;

use redis_support::array;
use redis_support::by_hand::{ask, lines, reply, sent, told};
use sniff_x_flow::Direction;
use sniff_x_proto::replay::Step;

const SECRET: &str = "hunter2";

fn assert_hidden(steps: &[Step]) -> Vec<String> {
    let lines = lines(steps);
    assert!(lines.iter().all(|line| !line.contains(SECRET)), "{lines:#?}");
    told(steps)
}

/// As an array, and in one line; in letters of any size; answered with what quotes it.
#[test]
fn commands_with_passwords() {
    for command in [
        "AUTH hunter2",
        "aUtH bob hunter2",
        "HELLO 3 AUTH bob hunter2",
        "hello 3 setname x auth bob hunter2",
        "CONFIG SET maxmemory 1 RequirePass hunter2",
        "config set masterauth hunter2",
        "config set tls-key-file-pass hunter2",
        "ACL SETUSER bob on >hunter2 ~*",
        "acl setuser bob <hunter2 #hunter2 !hunter2",
        "ACL DRYRUN bob AUTH hunter2",
        "MIGRATE h 6379 k 0 5000 auth hunter2",
        "MIGRATE h 6379 k 0 5000 COPY Auth2 bob hunter2 KEYS k",
        "SENTINEL SET mymaster auth-pass hunter2",
        "SENTINEL CONFIG SET sentinel-pass hunter2",
        "COMMAND GETKEYS MIGRATE h 6379 k 0 5000 AUTH hunter2",
        "EVAL redis.call('MIGRATE','h',1,'k',0,9,'AUTH','hunter2') 0",
        "FUNCTION LOAD redis.call('ACL','SETUSER','bob','>hunter2')",
    ] {
        let answer = || reply("-ERR no such thing 'hunter2'\r\n");
        assert_hidden(&[ask(command), answer()]);
        assert_hidden(&[sent(format!("{command}\r\n").as_bytes()), answer()]);
        let quoted: Vec<_> = command.split(' ').map(|word| format!("\"{word}\"")).collect();
        assert_hidden(&[sent(format!("{}\r\n", quoted.join(" ")).as_bytes()), answer()]);
        // Of a transaction.
        let multi = [ask("MULTI"), reply("+OK\r\n"), ask(command), reply("+QUEUED\r\n"), ask("EXEC")];
        assert_hidden(&[&multi[..], &[reply("*1\r\n-ERR no such thing 'hunter2'\r\n")]].concat());
        assert_hidden(&multi);
    }
}

/// Servers refuse these lines; they were sent all the same.
#[test]
fn lines_with_quotes_that_do_not_match() {
    for line in [
        "AUTH \"hunter2 and more",
        "AUTH 'hunter2",
        "ACL SETUSER bob '>hunter2'x",
        "MIGRATE h 6379 k 0 5000 'AUTH'x hunter2",
        "HELLO 3 'AUTH'x bob hunter2",
        "CONFIG SET 'requirepass'x hunter2",
    ] {
        let refused = reply("-ERR Protocol error: unbalanced quotes in request\r\n");
        assert_hidden(&[sent(format!("{line}\r\n").as_bytes()), refused]);
    }
}

/// Old servers quote commands with their passwords.
#[test]
fn replies_that_quote_other_commands() {
    let call = "*6\r\n:1\r\n:1700000000\r\n:12\r\n*4\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$11\r\nrequirepass\r\n$7\r\nhunter2\r\n\
        $9\r\n127.0.0.1\r\n$0\r\n\r\n";
    let steps = [ask("slowlog GET"), reply(format!("*1\r\n{call}")), ask("SLOWLOG LEN"), reply(":1\r\n")];
    assert_eq!(
        assert_hidden(&steps),
        ["exchange ok [slowlog GET] array 1", "exchange ok [SLOWLOG LEN] integer 1"]
    );
    for (command, answer) in [
        ("CONFIG GET requirepass", "*2\r\n$11\r\nrequirepass\r\n$7\r\nhunter2\r\n"),
        ("ACL LIST", "*1\r\n$20\r\nuser bob on #hunter2\r\n"),
        ("ACL GETUSER bob", "*2\r\n$9\r\npasswords\r\n*1\r\n$7\r\nhunter2\r\n"),
        ("acl genpass", "$7\r\nhunter2\r\n"),
    ] {
        assert_hidden(&[ask(command), reply(answer)]);
    }
    let steps = [
        ask("MONITOR"),
        reply("+OK\r\n+1339518083.1 [0 127.0.0.1:1] \"config\" \"set\" \"MasterAuth\" \"hunter2\"\r\n"),
        reply("+1339518083.2 [0 127.0.0.1:1] \"HELLO\" \"3\" \"AUTH\" \"bob\" \"hunter2\"\r\n"),
        reply("+1339518083.3 [0 127.0.0.1:1] \"acl\" \"setuser\" \"bob\" \">hunter2\"\r\n"),
        reply("+1339518083.4 [0 lua] \"migrate\" \"h\" \"1\" \"k\" \"0\" \"9\" \"auth\" \"hunter2\"\r\n"),
    ];
    assert_hidden(&steps);
}

/// What announces a password is missing in part: nobody knows what follows.
#[test]
fn passwords_behind_a_loss() {
    for words in [
        &[&b"CONFIG"[..], b"SET", b"requirepass", b"hunter2"][..],
        &[b"SENTINEL", b"SET", b"auth-pass", b"hunter2", b"quorum", b"2"],
        &[b"MIGRATE", b"h", b"AUTH", b"hunter2"],
        &[b"HELLO", b"3", b"AUTH", b"bob", b"hunter2"],
        &[b"ACL", b"SETUSER", b"bob", b">hunter2"],
    ] {
        let bytes = array(words);
        for at in 0..bytes.len() {
            for len in 1..bytes.len() - at {
                assert_hidden(&[
                    ask("PING"),
                    reply("+PONG\r\n"),
                    sent(&bytes[..at]),
                    Step::Gap(Direction::ToServer, len as u64),
                    sent(&bytes[at + len..]),
                    reply("-ERR 'hunter2'\r\n"),
                ]);
            }
        }
    }
}
