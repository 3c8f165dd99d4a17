//! Rules of several plugins and `--filter` together, on the wire: on each level, on interfaces of different kinds, and where the rules are
//! too long for any program in the kernel. The truth is what is sent; the events are those that the same file gives.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Stdio};

use serde_json::Value;
use sniff_x_tests::binary::{self, Capture, ForAll};
use sniff_x_tests::made::{self, From, Talk};
use sniff_x_tests::netns::{IFACE, Net};
use sniff_x_tests::{has_program, is_root, live, root, skip};

const REDIS: u16 = 6379;
const HTTP: u16 = 80;

fn can_run() -> bool {
    is_root() && has_program("ip", "iproute2") && has_program("python3", "python3")
}

fn redis(client: u16) -> Talk {
    Talk::new(client, REDIS, true)
        .says(From::Client, b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n")
        .says(From::Server, b"$5\r\nvalue\r\n")
        .says(From::Client, b"*1\r\n$4\r\nPING\r\n")
        .says(From::Server, b"+PONG\r\n")
}

fn http(client: u16) -> Talk {
    Talk::new(client, HTTP, true)
        .says(From::Client, b"GET /item HTTP/1.1\r\nHost: shop\r\n\r\n")
        .says(From::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
}

/// Port, kind, and what tells the exchanges of one connection apart, in order of the clients' ports.
fn told(events: &[Value]) -> Vec<String> {
    const KEYS: [&str; 6] =
        ["client.port", "server.port", "protocol", "status", "db.operation.name", "url.path"];
    let mut told: Vec<String> =
        events.iter().map(|event| KEYS.map(|key| event[key].to_string()).join(" ")).collect();
    told.sort();
    told
}

/// What both plugins see in a file, as far as `wanted` says.
fn expected(file: &Path, wanted: impl Fn(u64) -> bool) -> Vec<String> {
    let events = binary::events([Path::new("--read"), file, Path::new("redis,http")]);
    assert!(events.iter().all(|event| event["status"] == "ok"), "{events:#?}");
    let wanted: Vec<_> =
        events.into_iter().filter(|event| wanted(event["server.port"].as_u64().unwrap())).collect();
    told(&wanted)
}

fn send(net: &Net, file: &Path) {
    let script = root().join("tests/scripts/send.py");
    assert!(net.on_client("python3").arg(script).arg(file).arg(IFACE).status().unwrap().success());
}

#[test]
fn several_plugins_and_a_filter() {
    if !can_run() || !has_program("setpriv", "util-linux") {
        return;
    }
    live("several plugins and a filter");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("talks.pcap");
    made::write(&file, &[redis(40_001), http(40_002), redis(40_003), http(40_004)]);
    let all = expected(&file, |_| true);
    assert_eq!(all.len(), 6, "{all:?}");
    let (net, sniff_x) = (Net::new(), ForAll::new());
    type Wanted = fn(u64) -> bool;
    let cases: [(&str, Wanted); 7] = [
        ("tcp", |_| true),
        ("not port 6379", |port| port == 80),
        ("host 10.0.0.2 and (tcp port 6379 or udp)", |port| port == 6379),
        ("tcp[2:2] = 80 or tcp[0:2] = 80", |port| port == 80),
        ("udp or arp or vlan", |_| false),
        // A frame with such a port has no header that would have to be walked over.
        ("port 80 and protochain 6", |port| port == 80),
        ("protochain 6 and not port 6379", |port| port == 80),
    ];
    for (capabilities, level) in
        [(",+net_raw,+bpf", "in the kernel (eBPF)"), (",+net_raw", "in the kernel (classic BPF)")]
    {
        for (filter, wanted) in cases {
            let mut command = sniff_x.with(&net, capabilities);
            command.args(["--iface", IFACE, "--format", "json", "-v", "--filter", filter, "redis,http"]);
            let capture = Capture::start(command);
            send(&net, &file);
            let (events, said, status) = capture.stop();
            let left_open = filter.starts_with("protochain");
            let says = |what: &str| said.contains(what) || !left_open;
            assert!(says("asked of it again in user space") && says("filtering in user space"), "{said}");
            assert!(
                status.success() && (left_open || said.contains(&format!("filtering {level}"))),
                "{said}"
            );
            assert_eq!(told(&events), expected(&file, wanted), "{filter} on {level}\n{said}");
            // Whoever has the last word, what a classic program rejects is not counted.
            let counted = said.contains(" filtered, ");
            assert_eq!(counted, level.contains("eBPF"), "{said}");
        }
    }
}

/// A filter that grows beyond what the kernel takes: on which level it runs, and why, is told; the events are the same on all.
#[test]
fn a_filter_too_long_for_the_kernel_is_told() {
    if !can_run() || !has_program("setpriv", "util-linux") {
        return;
    }
    live("a filter too long for the kernel");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("talks.pcap");
    made::write(&file, &[redis(40_001), http(40_002)]);
    let (net, sniff_x) = (Net::new(), ForAll::new());
    let other = |n: usize| format!("(host 10.9.{}.{} and port {})", n >> 8, n & 255, 1000 + n);
    let pairs = |count: usize| -> String {
        let others: Vec<_> = (0..count).map(other).collect();
        format!("{} or (host 10.0.0.2 and port 6379)", others.join(" or "))
    };
    let both = ",+net_raw,+bpf";
    for (count, capabilities, level, why) in [
        (20, both, "in the kernel (eBPF)", ""),
        (20, ",+net_raw", "in the kernel (classic BPF)", "cap_bpf"),
        (1500, both, "in user space", "32767 is the most"),
        (1500, ",+net_raw", "in user space", "4096 is the most"),
    ] {
        let mut command = sniff_x.with(&net, capabilities);
        command.args(["--iface", IFACE, "--format", "json", "-v", "--filter", &pairs(count), "redis,http"]);
        let stats = tempfile::tempdir_in(sniff_x.folder()).unwrap();
        std::fs::set_permissions(stats.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let stats = stats.path().join("stats.json");
        command.arg("--stats-file").arg(&stats);
        let capture = Capture::start(command);
        send(&net, &file);
        let (events, said, status) = capture.stop();
        assert!(status.success(), "{said}");
        assert!(said.contains(&format!("filtering {level}")) && said.contains(why), "{count}: {said}");
        assert_eq!(told(&events), expected(&file, |port| port == 6379), "{count} {level}\n{said}");
        // HTTP's frames were rejected, and counted; nobody counts what a classic program rejects, and what is not known is not told.
        let counters: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
        let counters = &counters["counters"];
        if level.contains("classic BPF") {
            assert!(
                counters.get("frames.filtered").or(counters.get("frames.received")).is_none(),
                "{counters:#}"
            );
        } else {
            let [received, filtered] =
                ["frames.received", "frames.filtered"].map(|name| counters[name].as_u64());
            assert!(filtered >= Some(4) && received == filtered.map(|filtered| filtered + 6), "{counters:#}");
        }
        assert_eq!(counters["frames.passed"], 6, "{counters:#}");
    }
}

/// A tun interface on the server's host, and who sends there.
struct Tun {
    input: ChildStdin,
    said: BufReader<ChildStdout>,
    child: std::process::Child,
}

impl Tun {
    fn new(net: &Net, file: &Path) -> Option<Self> {
        if !PathBuf::from("/dev/net/tun").exists() {
            skip("there is no /dev/net/tun");
            return None;
        }
        let mut command = net.on_server("python3");
        command.arg(root().join("tests/scripts/tun.py")).arg(file).arg("tun0");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, said) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut tun = Self { input, said, child };
        tun.wait_for("up\n");
        Some(tun)
    }

    fn wait_for(&mut self, what: &str) {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert_eq!(line, what);
    }

    fn send(&mut self) {
        self.input.write_all(b"\n").unwrap();
        self.wait_for("sent\n");
    }
}

impl Drop for Tun {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ethernet on one, IP without a link header on the other, and the loopback.
#[test]
fn interfaces_of_different_kinds() {
    if !can_run() {
        return;
    }
    live("interfaces of different kinds");
    let folder = tempfile::tempdir().unwrap();
    let (wire, tunnel) = (folder.path().join("wire.pcap"), folder.path().join("tunnel.pcap"));
    made::write(&wire, &[redis(40_001), http(40_002)]);
    made::write(&tunnel, &[redis(40_003), http(40_004)]);
    let net = Net::new();
    let Some(mut tun) = Tun::new(&net, &tunnel) else { return };
    let several = ["--iface", IFACE, "--iface", "tun0", "--iface", "lo", "--format", "json", "-v"];
    type Wanted = fn(u64) -> bool;
    let cases: [(&[&str], Wanted, &str); 4] = [
        (&[], |_| true, "in the kernel (eBPF)"),
        (&["--filter", "tcp port 6379"], |port| port == 6379, "in user space"),
        (&["--filter", "not port 6379 and ip[0] = 0x45"], |port| port == 80, "in user space"),
        (&["--filter", "ip6 or net 10.1.0.0/16"], |_| false, "in user space"),
    ];
    for (more, wanted, level) in cases {
        let mut command = net.on_server(binary::path());
        command.args(several).args(more).arg("redis,http");
        let capture = Capture::start(command);
        send(&net, &wire);
        tun.send();
        let (events, said, status) = capture.stop();
        assert!(status.success() && said.contains(&format!("filtering {level}")), "{said}");
        let mut both = [expected(&wire, wanted), expected(&tunnel, wanted)].concat();
        both.sort();
        assert_eq!(told(&events), both, "{more:?}\n{said}");
    }
    // What one of them can't be asked is a mistake that names it.
    let output =
        net.on_server(binary::path()).args(several).args(["--filter", "vlan 5", "redis"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("--filter on tun0"), "{said}");
}
