//! What redis-benchmark sends with its defaults (SET, GET, INCR, LPUSH, RPUSH, LPOP, SADD, HSET, a small LRANGE), and what a server answers. Every second client sends
//! 16 commands at once (`-P 16`).

use anyhow::Result;

use super::connection::{Connection, From};
use super::{Capture, Client, Random};

/// Commands that a client sends at once.
const PIPELINE: usize = 16;

/// A connection that sends one command after the other, or many at once.
pub(super) struct Benchmark {
    connection: Connection,
    at_once: usize,
}

impl Benchmark {
    pub(super) fn new(connection: Connection, number: u32) -> Self {
        Self { connection, at_once: if number.is_multiple_of(2) { 1 } else { PIPELINE } }
    }
}

/// A command in the form of an array.
fn command(words: &[&[u8]], to: &mut Vec<u8>) {
    to.extend(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        to.extend(format!("${}\r\n", word.len()).as_bytes());
        to.extend(*word);
        to.extend(b"\r\n");
    }
}

/// One command and its reply.
fn exchange(random: &mut Random, asked: &mut Vec<u8>, answered: &mut Vec<u8>) {
    let key = format!("key:{:012}", random.below(100_000));
    let (key, value) = (key.as_bytes(), &b"xxx"[..]);
    let length = format!(":{}\r\n", random.below(10_000)).into_bytes();
    let (words, reply): (&[&[u8]], Vec<u8>) = match random.below(9) {
        0 => (&[b"SET", key, value], b"+OK\r\n".to_vec()),
        1 => (&[b"GET", key], b"$3\r\nxxx\r\n".to_vec()),
        2 => (&[b"INCR", b"counter:__rand_int__"], length),
        3 => (&[b"LPUSH", b"mylist", value], length),
        4 => (&[b"RPUSH", b"mylist", value], length),
        5 => (&[b"LPOP", b"mylist"], b"$3\r\nxxx\r\n".to_vec()),
        6 => (&[b"SADD", b"myset", key], b":1\r\n".to_vec()),
        7 => (&[b"HSET", b"myhash", key, value], b":0\r\n".to_vec()),
        _ => (&[b"LRANGE", b"mylist", b"0", b"9"], [b"*10\r\n", &b"$3\r\nxxx\r\n".repeat(10)[..]].concat()),
    };
    command(words, asked);
    answered.extend(reply);
}

impl Client for Benchmark {
    fn open(&mut self, capture: &mut Capture) -> Result<()> {
        self.connection.open(capture)
    }

    fn turn(&mut self, capture: &mut Capture, random: &mut Random) -> Result<()> {
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        for _ in 0..self.at_once {
            exchange(random, &mut asked, &mut answered);
        }
        self.connection.data(capture, From::Client, &asked)?;
        self.connection.data(capture, From::Server, &answered)?;
        if random.below(4) == 0 { self.connection.ack(capture) } else { Ok(()) }
    }

    fn close(&mut self, capture: &mut Capture) -> Result<()> {
        self.connection.close(capture)
    }
}
