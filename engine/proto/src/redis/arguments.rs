//! What the arguments of a command are, for `--redact`: names of keys, fields, channels and groups stay, and words and numbers that only say what is done;
//! everything else is a value. Of a command that is not known here all arguments are values.
//!
//! Source: <https://redis.io/docs/latest/commands/>.

use super::word::Word;

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A name, or a word that says what is done.
    Name,
    /// A number, if it begins like one.
    Number,
    /// A value.
    Value,
}

/// Patterns of arguments and the commands that have them. `k` is a name, `p` a number, `v` a value, `n` the number of names that follow, `s` `STREAMS` with names
/// behind it; what stands in parentheses is repeated, and behind the end of a pattern all are values.
const PATTERNS: &[(&str, &[&str])] = &[
    (
        "k",
        &[
            "GET",
            "GETDEL",
            "GETEX",
            "GETSET",
            "SET",
            "SETNX",
            "APPEND",
            "STRLEN",
            "INCR",
            "DECR",
            "INCRBY",
            "DECRBY",
            "INCRBYFLOAT",
            "TTL",
            "PTTL",
            "EXPIRETIME",
            "PEXPIRETIME",
            "PERSIST",
            "TYPE",
            "DUMP",
            "KEYS",
            "SORT",
            "SORT_RO",
            "LPUSH",
            "RPUSH",
            "LPUSHX",
            "RPUSHX",
            "LLEN",
            "LPOS",
            "LPOP",
            "RPOP",
            "SADD",
            "SREM",
            "SISMEMBER",
            "SMISMEMBER",
            "SMEMBERS",
            "SCARD",
            "SPOP",
            "SRANDMEMBER",
            "HLEN",
            "HGETALL",
            "HKEYS",
            "HVALS",
            "HRANDFIELD",
            "ZADD",
            "ZREM",
            "ZSCORE",
            "ZMSCORE",
            "ZINCRBY",
            "ZCARD",
            "ZCOUNT",
            "ZRANGE",
            "ZREVRANGE",
            "ZRANGEBYSCORE",
            "ZREVRANGEBYSCORE",
            "ZRANGEBYLEX",
            "ZREVRANGEBYLEX",
            "ZLEXCOUNT",
            "ZRANK",
            "ZREVRANK",
            "ZPOPMIN",
            "ZPOPMAX",
            "ZRANDMEMBER",
            "ZREMRANGEBYRANK",
            "ZREMRANGEBYSCORE",
            "ZREMRANGEBYLEX",
            "XADD",
            "XLEN",
            "XRANGE",
            "XREVRANGE",
            "XDEL",
            "XTRIM",
            "PFADD",
            "PUBLISH",
            "SPUBLISH",
            "GEOADD",
            "GEODIST",
            "GEOHASH",
            "GEOPOS",
            "GEORADIUS",
            "GEORADIUSBYMEMBER",
            "GEORADIUS_RO",
            "GEORADIUSBYMEMBER_RO",
            "GEOSEARCH",
            "BITFIELD",
            "BITFIELD_RO",
            "BITPOS",
            "CLIENT",
            "CLUSTER",
            "COMMAND",
            "SCRIPT",
            "FUNCTION",
            "LATENCY",
            "MODULE",
            "PUBSUB",
            "INFO",
            "DEBUG",
            "REPLCONF",
            "FLUSHALL",
            "FLUSHDB",
            "SHUTDOWN",
        ],
    ),
    (
        "kp",
        &[
            "EXPIRE",
            "PEXPIRE",
            "EXPIREAT",
            "PEXPIREAT",
            "SETEX",
            "PSETEX",
            "RESTORE",
            "LINDEX",
            "LSET",
            "LREM",
            "SETRANGE",
            "SETBIT",
            "GETBIT",
            "SSCAN",
            "HSCAN",
            "ZSCAN",
            "MOVE",
            "SLOWLOG",
            "REPLICAOF",
            "SLAVEOF",
        ],
    ),
    ("kpp", &["LRANGE", "LTRIM", "GETRANGE", "SUBSTR", "BITCOUNT"]),
    ("p", &["SELECT", "SCAN", "HELLO"]),
    ("pp", &["WAIT", "SWAPDB"]),
    ("ppp", &["WAITAOF"]),
    (
        "kk",
        &[
            "HGET",
            "HEXISTS",
            "HSTRLEN",
            "HINCRBY",
            "HINCRBYFLOAT",
            "HSETNX",
            "RPOPLPUSH",
            "SMOVE",
            "COPY",
            "LINSERT",
            "OBJECT",
            "MEMORY",
            "XACK",
            "XCLAIM",
            "XAUTOCLAIM",
            "XPENDING",
            "XSETID",
            "XGROUP",
            "XINFO",
            "GEOSEARCHSTORE",
            "ACL",
            "SENTINEL",
            "ZRANGESTORE",
        ],
    ),
    ("kkp", &["BRPOPLPUSH"]),
    ("kkkk", &["LMOVE"]),
    ("kkkkp", &["BLMOVE"]),
    ("kpkpp", &["MIGRATE"]),
    (
        "(k)",
        &[
            "DEL",
            "UNLINK",
            "EXISTS",
            "TOUCH",
            "MGET",
            "WATCH",
            "RENAME",
            "RENAMENX",
            "SINTER",
            "SUNION",
            "SDIFF",
            "SINTERSTORE",
            "SUNIONSTORE",
            "SDIFFSTORE",
            "PFCOUNT",
            "PFMERGE",
            "HMGET",
            "HDEL",
            "BITOP",
            "BLPOP",
            "BRPOP",
            "BZPOPMIN",
            "BZPOPMAX",
            "SUBSCRIBE",
            "PSUBSCRIBE",
            "SSUBSCRIBE",
            "UNSUBSCRIBE",
            "PUNSUBSCRIBE",
            "SUNSUBSCRIBE",
        ],
    ),
    ("(kv)", &["MSET", "MSETNX"]),
    ("k(kv)", &["HSET", "HMSET", "CONFIG"]),
    ("n", &["SINTERCARD", "ZINTERCARD", "ZUNION", "ZINTER", "ZDIFF", "LMPOP", "ZMPOP"]),
    ("kn", &["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE", "EVALSHA", "EVALSHA_RO", "FCALL", "FCALL_RO"]),
    ("vn", &["EVAL", "EVAL_RO"]),
    ("pn", &["BLMPOP", "BZMPOP"]),
    ("s", &["XREAD", "XREADGROUP"]),
];

/// Commands of modules begin so, and with a name behind it.
const MODULES: [&[u8]; 8] = [b"JSON.", b"FT.", b"TS.", b"BF.", b"CF.", b"CMS.", b"TOPK.", b"TDIGEST."];

/// The pattern of a command; empty if it is not known.
fn pattern(name: &[u8]) -> &'static [u8] {
    let known =
        PATTERNS.iter().find(|(_, names)| names.iter().any(|n| name.eq_ignore_ascii_case(n.as_bytes())));
    let is_module =
        || MODULES.iter().any(|m| name.get(..m.len()).is_some_and(|start| start.eq_ignore_ascii_case(m)));
    known.map_or_else(|| if is_module() { &b"k"[..] } else { b"" }, |(pattern, _)| pattern.as_bytes())
}

/// Goes through the arguments of one command.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arguments {
    pattern: &'static [u8],
    at: usize,
    /// Names that still follow.
    names: u64,
    /// The argument before was the number of names.
    counted: bool,
}

impl Arguments {
    /// The argument with this number (from 1) of a command of `count` arguments, its name among them; `previous` is the argument before.
    pub(super) fn next(&mut self, number: u64, count: u64, name: &Word<32>, previous: &Word<32>) -> Role {
        if number == 1 {
            *self = Self { pattern: pattern(name.whole().unwrap_or_default()), ..Self::default() };
        }
        if core::mem::take(&mut self.counted) {
            let digits = previous.whole().and_then(|w| core::str::from_utf8(w).ok());
            self.names = digits.and_then(|d| d.parse().ok()).unwrap_or(0);
        }
        if self.names > 0 {
            self.names -= 1;
            return Role::Name;
        }
        match self.pattern.get(self.at).copied() {
            Some(b'(') => {
                self.at += 1;
                return self.next_in_group();
            }
            Some(b's') if number > 1 && previous.is(b"STREAMS") => {
                self.at += 1;
                // Half of what is left are names, the other half ids.
                self.names = (count.saturating_sub(number) / 2).saturating_sub(1);
                return Role::Name;
            }
            // Options and their values stand before STREAMS.
            Some(b's') => return Role::Number,
            _ => {}
        }
        self.next_in_group()
    }

    fn next_in_group(&mut self) -> Role {
        let Some(&what) = self.pattern.get(self.at) else { return Role::Value };
        self.at += 1;
        if self.pattern.get(self.at) == Some(&b')') {
            self.at = self.pattern.iter().position(|b| *b == b'(').map_or(self.at, |start| start + 1);
        }
        match what {
            b'k' => Role::Name,
            b'p' => Role::Number,
            b'n' => {
                self.counted = true;
                Role::Number
            }
            _ => Role::Value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(command: &str) -> String {
        let words: Vec<_> = command.split(' ').collect();
        let word = |text: &str| {
            let mut word = Word::default();
            word.push(text.as_bytes());
            word
        };
        let name = word(words[0]);
        let mut arguments = Arguments::default();
        let mut out = vec![words[0]];
        for (number, pair) in (1..).zip(words.windows(2)) {
            let role = arguments.next(number, words.len() as u64, &name, &word(pair[0]));
            let is_number = pair[1].starts_with(|c: char| c.is_ascii_digit() || c == '-');
            let shown = role == Role::Name || role == Role::Number && is_number;
            out.push(if shown { pair[1] } else { "?" });
        }
        out.join(" ")
    }

    #[test]
    fn names_stay_and_values_go() {
        for (command, expected) in [
            ("GET k", "GET k"),
            ("set k v EX 10", "set k ? ? ?"),
            ("SETEX k 10 v", "SETEX k 10 ?"),
            ("MSET a 1 b 2", "MSET a ? b ?"),
            ("DEL a b c", "DEL a b c"),
            ("HSET h f v g w", "HSET h f ? g ?"),
            ("HGET h f", "HGET h f"),
            ("LRANGE l 0 -1", "LRANGE l 0 -1"),
            ("LRANGE l x y", "LRANGE l ? ?"),
            ("EVAL return 2 a b x y", "EVAL ? 2 a b ? ?"),
            ("EVALSHA abc 0 x", "EVALSHA abc 0 ?"),
            ("ZUNIONSTORE d 2 a b WEIGHTS 1 2", "ZUNIONSTORE d 2 a b ? ? ?"),
            ("XREAD COUNT 2 STREAMS a b 0-0 0-0", "XREAD ? 2 ? a b ? ?"),
            ("ZADD z 1 m", "ZADD z ? ?"),
            ("PUBLISH c m", "PUBLISH c ?"),
            ("CONFIG SET maxmemory 1gb", "CONFIG SET maxmemory ?"),
            ("JSON.SET d $ v", "JSON.SET d ? ?"),
            ("MYSTERY a b", "MYSTERY ? ?"),
            ("PING hello", "PING ?"),
        ] {
            assert_eq!(shown(command), expected);
        }
    }

    #[test]
    fn a_command_has_one_pattern() {
        let mut names: Vec<_> = PATTERNS.iter().flat_map(|(_, names)| names.iter()).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
