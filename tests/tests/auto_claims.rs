//! `auto` over every real capture, with all ports moved: who claims which connections, against what tshark dissects there. Where both differ the test looks at
//! the connection's bytes itself, with rules of its own ([`Bytes`]): they must show who is right.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sniff_x_capture::{Batch, open_file};
use sniff_x_flow::assembler::{Assembler, AssemblerOptions};
use sniff_x_flow::packet::{FlowHasher, Packet, ParseOptions, Parsed, Parser};
use sniff_x_flow::{Endpoint, FlowInfo, FlowKey, Side, Transport};
use sniff_x_proto::event::{Arena, Kind};
use sniff_x_proto::host::{ActivePlugin, Host, HostCounters};
use sniff_x_proto::{About, Decoder, OptionError, Options, Plugin, Probe};
use sniff_x_tests::shared_captures;

/// Both ends of a connection as tshark writes them, in order.
type Ends = [String; 2];

/// A plugin that notes which connections it gets.
struct Noted {
    plugin: Box<dyn Plugin>,
    claims: Arc<Mutex<Vec<(&'static str, Ends)>>>,
}

/// Ports are moved, so that none tells anything; and an order of ports is not kept.
fn moved(port: u16) -> u16 {
    port.wrapping_add(20_011)
}

fn moved_back(end: Endpoint) -> String {
    let port = end.port().wrapping_sub(20_011);
    format!("{}:{port}", end.address()).replace("::ffff:", "")
}

fn ends(mut ends: Ends) -> Ends {
    ends.sort();
    ends
}

impl Plugin for Noted {
    fn about(&self) -> &About {
        self.plugin.about()
    }
    fn configure(&mut self, options: &Options) -> Result<(), OptionError> {
        self.plugin.configure(options)
    }
    fn rule(&self) -> String {
        self.plugin.rule()
    }
    fn is_server_port(&self, port: u16) -> bool {
        self.plugin.is_server_port(port)
    }
    fn probe(&self, to_server: &[u8], to_client: &[u8]) -> Probe {
        self.plugin.probe(to_server, to_client)
    }
    fn open(&self, flow: &FlowInfo) -> Decoder {
        let both = ends([moved_back(flow.client()), moved_back(flow.server())]);
        self.claims.lock().unwrap().push((self.about().name, both));
        self.plugin.open(flow)
    }
}

/// The beginning of each segment with payload that either end sent, in order.
type Spoken = Vec<(String, Vec<u8>)>;

/// What became of a capture.
#[derive(Default)]
struct Outcome {
    /// By connection.
    spoken: BTreeMap<Ends, Spoken>,
    claims: Vec<(&'static str, Ends)>,
    counters: HostCounters,
    /// Events by protocol, kind and status.
    events: BTreeMap<(&'static str, &'static str, &'static str), u64>,
}

/// What the bytes of a connection show.
#[derive(Clone, Copy, Debug)]
enum Bytes {
    /// A segment, or all that one end says, begins with the first line of a request or response of HTTP/1.
    Http,
    /// None does.
    NoHttp,
    /// None of the client's does, whatever the server answers.
    NoRequest,
    /// A method and a target that goes on beyond 512 bytes.
    LongTarget,
    /// The client begins with a request line that has no version.
    NoVersion,
    /// It begins as SOCKS does, with its version 4 or 5.
    Socks,
    /// It begins with a record of TLS.
    Tls,
    /// The server begins with version 10 of MySQL's handshake.
    Greeting,
    /// All that is said is one MySQL packet: COM_STMT_CLOSE.
    Close,
    /// Every query's first word is none of SQL's, as tests that count bytes have it.
    NoWord,
    /// The first packet does not have the sequence id 0 or 1.
    Misnumbered,
    /// No segment begins with an array of texts whose first one is a command of Redis.
    NoCommand,
}

impl Bytes {
    fn show(self, spoken: &Spoken) -> bool {
        let mut segments = spoken.iter().map(|(_, bytes)| bytes.as_slice());
        let first = segments.clone().next().unwrap_or_default();
        match self {
            Self::Http => segments.any(is_http) || sides(spoken).iter().any(|side| is_http(side)),
            Self::NoHttp => !Self::Http.show(spoken),
            Self::NoRequest => {
                let client = spoken.first().map_or("", |(end, _)| end);
                spoken.iter().all(|(end, bytes)| end != client || !is_http(bytes))
            }
            Self::LongTarget => {
                let side = &sides(spoken)[0];
                let line = side.split(|b| *b == b'\n').next().unwrap_or_default();
                line.starts_with(b"SEARCH /") && line.len() > 512
            }
            Self::NoVersion => {
                let line = first.split(|b| *b == b'\n').next().unwrap_or_default();
                (line.starts_with(b"GET /") || line.starts_with(b"POST "))
                    && !line.windows(6).any(|w| w == b" HTTP/")
            }
            Self::Socks => matches!(first, [4 | 5, ..]),
            Self::Tls => segments.any(|bytes| matches!(bytes, [0x16, 3, ..])),
            Self::Greeting => segments.any(|bytes| matches!(bytes, [_, _, 0, 0, 10, b'0'..=b'9', ..])),
            Self::Close => {
                segments.clone().count() == 1
                    && matches!(first, [5, 0, 0, 0, 0x19, rest @ ..] if rest.len() == 4)
            }
            Self::NoWord => {
                let mut queries = segments.filter_map(|bytes| bytes.strip_prefix(&[0x0f, 0, 0, 0, 3]));
                // Padded in later segments.
                queries.all(|text| text == b"UPDATE")
            }
            Self::Misnumbered => first.get(3).is_some_and(|number| *number > 1),
            Self::NoCommand => !segments.any(|bytes| {
                let mut lines = bytes.split(|b| *b == b'\n');
                let mut line = || lines.next().unwrap_or_default().trim_ascii_end();
                let (count, length, word) = (line(), line(), line());
                let is_word = ["GET", "SET", "PING", "INFO", "COMMAND", "HELLO", "AUTH", "CLIENT"]
                    .iter()
                    .any(|known| word.eq_ignore_ascii_case(known.as_bytes()));
                count.starts_with(b"*") && length.starts_with(b"$") && is_word
            }),
        }
    }
}

/// All that each end says.
fn sides(spoken: &Spoken) -> Vec<Vec<u8>> {
    let mut sides: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for (end, bytes) in spoken {
        sides.entry(end).or_default().extend(bytes);
    }
    sides.into_values().collect()
}

fn is_http(bytes: &[u8]) -> bool {
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii_end();
    let mut words = line.split(|b| *b == b' ');
    let (first, last) = (words.next().unwrap_or_default(), words.next_back().unwrap_or_default());
    let is_version = |word: &[u8]| matches!(word, b"HTTP/1.0" | b"HTTP/1.1");
    let is_code = |word: &[u8]| word.len() == 3 && word.iter().all(u8::is_ascii_digit);
    let method = first.len() > 2 && first.iter().all(|b| b.is_ascii_uppercase() || *b == b'-');
    let code = line.split(|b| *b == b' ').nth(1).unwrap_or_default();
    method && is_version(last) && words.next().is_some() || is_version(first) && is_code(code)
}

fn play(path: &Path) -> Outcome {
    let claims = Arc::default();
    let plugins = sniff_x_proto::names().filter(|name| *name != "tcp").map(|name| {
        let plugin = sniff_x_proto::builtin(name).unwrap();
        let noted = Noted { plugin, claims: Arc::clone(&claims) };
        ActivePlugin::by_probe(Box::new(noted), |key| key.transport() == Transport::Tcp)
    });
    let plugins: Vec<_> = plugins.collect();
    let mut host = Host::new(plugins.into(), Arena::new(64 << 10), 128 << 10);
    let mut assembler: Assembler<Host> = Assembler::new(AssemblerOptions::default());
    let hasher = FlowHasher::with_seed(1);
    let parser = Parser::new(hasher.clone(), ParseOptions::default());
    let mut outcome = Outcome::default();
    let mut source = open_file(path).unwrap();
    while let Ok(Batch::Frames(lease)) = source.next(Duration::ZERO) {
        for frame in lease.frames() {
            let Parsed::Tcp(mut segment) = parser.parse(&frame) else { continue };
            let Packet { key, sender, payload, .. } = segment.packet;
            let end = |side: Side| {
                let end = key.endpoint(side);
                Endpoint::new(end.address(), moved(end.port()))
            };
            let (key, sender) = FlowKey::new(end(sender), end(sender.other()), Transport::Tcp, key.place());
            (segment.packet.key, segment.packet.sender, segment.packet.hash) =
                (key, sender, hasher.hash(&key));
            let from = payload.start as usize - frame.offset as usize;
            let bytes = &frame.bytes[from..from + payload.len as usize];
            if !bytes.is_empty() {
                let [one, other] = [sender, sender.other()].map(|side| moved_back(key.endpoint(side)));
                let spoken = outcome.spoken.entry(ends([one.clone(), other])).or_default();
                if spoken.len() < 200 {
                    spoken.push((one, bytes[..bytes.len().min(4096)].to_vec()));
                }
            }
            assembler.assemble(&mut host, &segment, bytes);
        }
        let now = host.now;
        assembler.advance(&mut host, now);
        note(&mut host, &mut outcome);
    }
    while assembler.flush_some(&mut host, 64) > 0 {
        note(&mut host, &mut outcome);
    }
    note(&mut host, &mut outcome);
    outcome.counters = host.counters;
    outcome.claims = claims.lock().unwrap().clone();
    outcome
}

fn note(host: &mut Host, outcome: &mut Outcome) {
    for event in host.arena.events() {
        let head = &event.head;
        let status = head.status.map_or("", |s| s.as_str());
        *outcome.events.entry((head.protocol, head.kind.as_str(), status)).or_default() += 1;
        assert!(head.kind != Kind::Summary);
    }
    host.arena.clear();
}

/// Our name for tshark's protocol, if there is a decoder.
fn ours(protocol: &str) -> Option<&'static str> {
    match protocol {
        "mysql" => Some("mysql"),
        "resp" => Some("redis"),
        "http" | "websocket" => Some("http"),
        _ => None,
    }
}

/// The connections in which tshark saw one of our protocols.
fn dissected(path: &Path) -> BTreeSet<(&'static str, Ends)> {
    let text = std::fs::read_to_string(path.with_extension("oracle.jsonl")).unwrap_or_default();
    let message = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        let protocol = ours(line["proto"].as_str()?)?;
        line["tcp_stream"].as_u64()?;
        let end = |name: &str| Some(line[name].as_str()?.replace(['[', ']'], "").replace("::ffff:", ""));
        Some((protocol, ends([end("src")?, end("dst")?])))
    };
    text.lines().filter_map(message).collect()
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_capture = |path: &PathBuf| path.extension().is_some_and(|e| e == "pcap" || e == "pcapng");
    let mut files: Vec<_> = files.filter(is_capture).collect();
    files.sort();
    files
}

/// Connections on which `auto` and tshark agree, by folder: mysql, redis, http.
const AGREED: &[(&str, [usize; 3])] = &[
    ("amqp", [0, 0, 0]),
    ("cassandra", [0, 0, 0]),
    ("dns", [0, 0, 0]),
    ("http1", [0, 0, 1093]),
    ("http2", [0, 0, 9]),
    ("kafka", [0, 0, 0]),
    ("link", [0, 0, 35]),
    ("memcached", [0, 0, 0]),
    ("mongodb", [0, 0, 0]),
    ("mysql", [55, 0, 0]),
    ("nasty", [0, 0, 52]),
    ("other", [2, 0, 27]),
    ("postgresql", [0, 0, 0]),
    ("reassembly", [0, 0, 58]),
    ("redis", [0, 16, 0]),
    ("tds", [0, 0, 0]),
    ("tls", [0, 0, 0]),
];

/// Where they do not: how many connections only `auto` claims, how many only tshark, what the bytes of each of
/// them show, and why.
#[rustfmt::skip]
const DIFFERENT: &[(&str, &str, usize, usize, Bytes, &str)] = &[
    ("dns/suricata-verify__datasets-04-http-dns.pcap", "http", 1, 0, Bytes::Http, "a request in a folder of DNS"),
    ("http1/PcapPlusPlus__exp-http_req_frag.pcap", "http", 0, 1, Bytes::NoHttp, "the request is in IP fragments, which this test does not put together"),
    ("http1/deepflow__client-ip.pcap", "http", 1, 0, Bytes::Http, "joined in a response, which tshark does not see"),
    ("http1/scapy__http_compressed-zstd.pcap", "http", 1, 0, Bytes::Http, "tshark's own reader of zstd fails there"),
    ("http1/suricata-verify__http-data-after-09.pcap", "http", 0, 1, Bytes::NoVersion, "a request without a version"),
    ("http1/suricata-verify__http-missing-protocol.pcap", "http", 0, 1, Bytes::NoVersion, "HTTP/0.9: nothing to know it by"),
    ("http1/zeek__methods.pcap", "http", 0, 32, Bytes::NoRequest, "no spaces around the target, bytes that are no method, no target; the server refuses each"),
    ("http1/zeek__socks.pcap", "http", 0, 1, Bytes::Socks, "HTTP inside of SOCKS"),
    ("http2/suricata-verify__drop-protocol-change.pcap", "http", 1, 0, Bytes::Http, "an upgrade to HTTP/2 begins as HTTP/1"),
    ("http2/suricata-verify__transform-base64-7296.pcap", "http", 2, 0, Bytes::Http, "an upgrade to HTTP/2 begins as HTTP/1"),
    ("link/PcapPlusPlus__frag_http_req.pcap", "http", 0, 1, Bytes::NoHttp, "the request is in IP fragments, which this test does not put together"),
    ("link/suricata-verify__detect-http-uri--DetectEngineHttpRawUriTest01--test.fpc.pcap", "http", 1, 0, Bytes::Http, "one direction of a request in two segments, without its handshake"),
    ("link/suricata-verify__detect-http-uri--DetectEngineHttpRawUriTest03--test.fpc.pcap", "http", 1, 0, Bytes::Http, "one direction of a request in two segments, without its handshake"),
    ("link/suricata-verify__detect-http-uri--DetectEngineHttpRawUriTest05--test.fpc.pcap", "http", 1, 0, Bytes::Http, "one direction of a request in two segments, without its handshake"),
    ("link/suricata-verify__detect-http-uri--DetectEngineHttpRawUriTest08--test.fpc.pcap", "http", 1, 0, Bytes::Http, "one direction of a request in two segments, without its handshake"),
    ("link/suricata-verify__detect-http-uri--DetectEngineHttpRawUriTest09--test.fpc.pcap", "http", 1, 0, Bytes::Http, "one direction of a request in two segments, without its handshake"),
    ("link/suricata-verify__detect-http-uri--DetectEngineHttpRawUriTest29--test.fpc.pcap", "http", 1, 0, Bytes::Http, "one direction of a request in two segments, without its handshake"),
    ("link/zeek__mixed-vlan-mpls.pcap", "http", 0, 1, Bytes::NoHttp, "the request was not captured whole in this direction"),
    ("link/zeek__tunnels-socks.pcap", "http", 0, 1, Bytes::Socks, "HTTP inside of SOCKS"),
    ("mysql/arkime__no-syn-ack.pcap", "http", 1, 0, Bytes::Http, "a request in a folder of MySQL"),
    ("mysql/percona-toolkit__tcpdump026.pcap", "mysql", 0, 1, Bytes::Close, "a single CLOSE, which is five bytes that may be anything"),
    ("mysql/percona-toolkit__tcpdump031.pcap", "mysql", 0, 1, Bytes::NoWord, "a query whose only word is UPDATEDDDDNNNN, in parts"),
    ("mysql/percona-toolkit__tcpdump032.pcap", "mysql", 0, 1, Bytes::NoWord, "a query whose only word is UPDATEDDDDNNNN, in parts"),
    ("nasty/PcapPlusPlus__HttpMalformedResponse.pcapng", "http", 1, 0, Bytes::Http, "a response that is malformed behind its first line"),
    ("nasty/nDPI__fuzz-2006-09-29-28586.pcap", "http", 4, 0, Bytes::Http, "flipped bits behind good first lines"),
    ("other/arkime__arkime_synthetic.pcap", "mysql", 0, 1, Bytes::Misnumbered, "no MySQL: the first packet has the number 10"),
    ("postgresql/zeek__http-on-port-5432.pcap", "http", 1, 0, Bytes::Http, "HTTP on PostgreSQL's port"),
    ("postgresql/zeek__mysql-on-port-5432.pcap", "mysql", 1, 0, Bytes::Greeting, "MySQL on PostgreSQL's port"),
    ("reassembly/PcapPlusPlus__unidirectional_tcp_stream_with_missing_packet.pcap", "http", 1, 0, Bytes::Http, "bytes are missing, tshark does not go on"),
    ("reassembly/wireshark__challenge01_ooo_stream.pcapng", "http", 0, 1, Bytes::Tls, "TLS, which tshark has the keys for"),
    ("reassembly/zeek__reassembly.pcap", "http", 1, 0, Bytes::LongTarget, "an attack: the request line has no end, and tshark waits for one"),
    ("redis/tcpdump__resp_3_malicious.pcap", "redis", 0, 12, Bytes::NoCommand, "no commands: what is sent is made to crash a dissector"),
    ("redis/tcpdump__resp_4_infiniteloop.pcapng", "redis", 0, 1, Bytes::NoCommand, "one direction, replies alone: nobody asks"),
    ("redis/zeek__attr.pcap", "redis", 0, 2, Bytes::NoCommand, "commands that Redis does not know, without an array"),
    ("tds/arkime__ntlm_synthetic.pcap", "http", 2, 0, Bytes::Http, "NTLM inside of HTTP, in a folder of TDS"),
    ("tls/arkime__https-connect.pcap", "http", 1, 0, Bytes::Http, "CONNECT comes before TLS"),
    ("tls/nDPI__tls_certificate_too_long.pcap", "http", 2, 0, Bytes::Http, "HTTP beside TLS"),
    ("tls/zeek__ocsp-empty-responderid.pcap", "http", 1, 0, Bytes::Http, "certificates are asked about by HTTP"),
    ("tls/zeek__ocsp-http-get.pcap", "http", 1, 0, Bytes::Http, "certificates are asked about by HTTP"),
    ("tls/zeek__ocsp-revoked.pcap", "http", 4, 0, Bytes::Http, "certificates are asked about by HTTP"),
];

/// Claims that were withdrawn: requests whose first line is good and whose decoder finds out that they are none.
const WITHDRAWN: &[(&str, u64)] = &[("other/arkime__arkime_synthetic.pcap", 1)];

#[test]
fn every_capture() {
    let Some(root) = shared_captures() else { return };
    let mut wrong = Vec::new();
    for (folder, agreed) in AGREED {
        let mut both: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut withdrawn, mut unrecognised) = (0, 0);
        for path in captures(&root.join(folder)) {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            let outcome = play(&path);
            let claimed: BTreeSet<_> = outcome.claims.iter().cloned().collect();
            let expected = dissected(&path);
            for protocol in ["mysql", "redis", "http"] {
                let of = |set: &mut dyn Iterator<Item = &(&str, Ends)>| {
                    set.filter(|(p, _)| *p == protocol).count()
                };
                *both.entry(protocol).or_default() += of(&mut claimed.intersection(&expected));
                let found = [of(&mut claimed.difference(&expected)), of(&mut expected.difference(&claimed))];
                let known = DIFFERENT.iter().find(|(n, p, ..)| *n == name && *p == protocol);
                let differ = claimed.symmetric_difference(&expected).filter(|(p, _)| *p == protocol);
                for (_, ends) in differ {
                    let spoken = outcome.spoken.get(ends);
                    if !known.is_some_and(|(.., bytes, _)| bytes.show(spoken.unwrap_or(&Vec::new()))) {
                        wrong.push(format!("{name} {protocol} {ends:?}: the bytes do not show why"));
                    }
                }
                if found != known.map_or([0, 0], |(_, _, more, less, ..)| [*more, *less]) {
                    wrong.push(format!(
                        "{name} {protocol}: {found:?} more and less than tshark, {:?}",
                        outcome.events
                    ));
                }
            }
            let known = WITHDRAWN.iter().find(|(n, _)| *n == name).map_or(0, |(_, n)| *n);
            if outcome.counters.withdrawn != known {
                wrong.push(format!("{name}: {} withdrawn, {:?}", outcome.counters.withdrawn, outcome.events));
            }
            withdrawn += outcome.counters.withdrawn;
            unrecognised += outcome.counters.unrecognised;
        }
        println!("{folder}: {both:?} as tshark, {withdrawn} withdrawn, {unrecognised} unrecognised");
        if ["mysql", "redis", "http"].map(|protocol| both[protocol]) != *agreed {
            wrong.push(format!("{folder}: {both:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
