//! Redis: commands that carry passwords, and those that carry what users keep.

use sniff_x_tests::made::{From, Talk};

use crate::Ports;

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}

/// Every command with a password, in every way to send it.
pub(crate) fn secrets(secret: &str, ports: &mut Ports) -> Vec<Talk> {
    let rule = format!(">{secret}");
    let commands: [&[&str]; 10] = [
        &["AUTH", secret],
        &["auth", "bob", secret],
        &["HELLO", "3", "AUTH", "bob", secret, "SETNAME", "x"],
        &["HELLO", "3", "SETNAME", "auth", "AUTH", "bob", secret],
        &["ACL", "SETUSER", "bob", "on", &rule, "~*"],
        &["CONFIG", "SET", "maxmemory", "1", "requirepass", secret],
        &["CONFIG", "SET", "masterauth", secret],
        &["MIGRATE", "h", "6379", "k", "0", "5000", "AUTH", secret],
        &["MIGRATE", "h", "6379", "", "0", "5000", "AUTH2", "bob", secret, "KEYS", "k"],
        &["SENTINEL", "SET", "m", "auth-pass", secret],
    ];
    let mut talks = Vec::new();
    for words in commands {
        let refusal = format!("-ERR Error in modifier '{secret}': no\r\n");
        for answer in ["+OK\r\n", &refusal] {
            let bytes = command(words);
            talks.push(
                ports.talk(6379, true).says_in(From::Client, &bytes, 5).says(From::Server, answer.as_bytes()),
            );
            // Behind others in one segment, in one line, in a transaction, joined in the middle, with a hole.
            let pipeline = [command(&["PING"]), bytes.clone(), command(&["PING"])].concat();
            let answers = format!("+PONG\r\n{answer}+PONG\r\n");
            talks.push(
                ports.talk(6379, true).says(From::Client, &pipeline).says(From::Server, answers.as_bytes()),
            );
            let line =
                words.iter().map(|w| if w.is_empty() { "''" } else { w }).collect::<Vec<_>>().join(" ")
                    + "\r\n";
            talks.push(
                ports
                    .talk(6379, true)
                    .says_in(From::Client, line.as_bytes(), 3)
                    .says(From::Server, answer.as_bytes()),
            );
            let multi = [command(&["MULTI"]), bytes.clone(), command(&["EXEC"])].concat();
            let answers = format!("+OK\r\n+QUEUED\r\n*1\r\n{answer}");
            talks.push(
                ports.talk(6379, true).says(From::Client, &multi).says(From::Server, answers.as_bytes()),
            );
            talks.push(
                ports.talk(6379, false).says(From::Client, &bytes).says(From::Server, answer.as_bytes()),
            );
            talks.push(
                ports
                    .talk(6379, true)
                    .says(From::Client, &bytes[..bytes.len() / 2])
                    .loses(From::Client, 6)
                    .says(From::Client, &bytes)
                    .says(From::Server, answer.as_bytes()),
            );
        }
    }
    let config = format!("*2\r\n$11\r\nrequirepass\r\n${}\r\n{secret}\r\n", secret.len());
    talks.push(
        ports
            .talk(6379, true)
            .says(From::Client, &command(&["CONFIG", "GET", "*"]))
            .says(From::Server, config.as_bytes()),
    );
    let monitored = format!(
        "+OK\r\n+1.5 [0 1.2.3.4:5] \"AUTH\" \"{secret}\"\r\n+1.6 [0 1.2.3.4:5] \"ACL\" \"SETUSER\" \"b\" \">{secret}\"\r\n"
    );
    talks.push(
        ports
            .talk(6379, true)
            .says(From::Client, &command(&["MONITOR"]))
            .says(From::Server, monitored.as_bytes()),
    );
    talks
}

/// Arguments, replies and messages.
pub(crate) fn values(value: &str, ports: &mut Ports) -> Vec<Talk> {
    let mut talks = Vec::new();
    let length = value.len();
    let reply = format!("${length}\r\n{value}\r\n");
    for words in [
        &["SET", "k", value][..],
        &["EVAL", value, "0"],
        &["MYSTERY", value],
        &["MSET", "a", value, "b", value],
        &["GET", "k"],
    ] {
        for answer in [&reply, &format!("-ERR unknown command '{value}'\r\n"), &format!("-OOPS {value}\r\n")]
        {
            talks.push(
                ports
                    .talk(6379, true)
                    .says_in(From::Client, &command(words), 6)
                    .says(From::Server, answer.as_bytes()),
            );
        }
    }
    let message =
        format!("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n{reply}");
    talks.push(
        ports
            .talk(6379, true)
            .says(From::Client, &command(&["SUBSCRIBE", "c"]))
            .says(From::Server, message.as_bytes()),
    );
    talks
}
