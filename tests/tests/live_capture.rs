//! Capture with the real binary in network namespaces: loopback, `any`, privileges, `--write`. The truth is what the two programs exchanged.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use sniff_x_tests::binary::{self, Capture, ForAll};
use sniff_x_tests::netns::{CLIENT, IFACE, Net, SERVER};
use sniff_x_tests::{has_program, is_root, live, root};

const PORT: &str = "7777";
/// Bytes that the client sends; the server sends twice as many. Far more than a segment, so that GSO makes frames beyond the MTU.
const SIZE: u64 = 3_000_000;

fn can_run() -> bool {
    is_root() && has_program("ip", "iproute2") && has_program("python3", "python3")
}

/// One exchange; `server` and `client` make commands on the two hosts.
fn exchange(server: impl Fn() -> Command, client: impl Fn() -> Command, address: &str) {
    let script = root().join("tests/scripts/exchange.py");
    let size = SIZE.to_string();
    let mut serving =
        server().arg(&script).args(["serve", address, PORT, &size]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(serving.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "listening\n");
    let asked = client().arg(&script).args(["ask", address, PORT, &size]).status().unwrap();
    assert!(asked.success() && serving.wait().unwrap().success());
}

fn over_veth(net: &Net) {
    exchange(|| net.on_server("python3"), || net.on_client("python3"), SERVER);
}

/// The one connection, whole: every byte once.
fn assert_whole(events: &[Value]) {
    let [event] = events else { panic!("one connection, not {events:#?}") };
    assert_eq!(event["status"], "ok", "{event:#}");
    assert_eq!(event["sniffx.tcp.end"], "fin", "{event:#}");
    assert_eq!(event["server.port"].to_string(), PORT);
    assert_eq!(event["sniffx.to_server.bytes"], SIZE, "{event:#}");
    assert_eq!(event["sniffx.to_client.bytes"], 2 * SIZE, "{event:#}");
    // The kernel's TCP may send a tail twice; a frame that is reported twice would double everything.
    assert!(event["sniffx.to_server.retransmitted_bytes"].as_u64() < Some(SIZE / 2), "{event:#}");
    assert!(event["sniffx.to_client.retransmitted_bytes"].as_u64() < Some(SIZE), "{event:#}");
}

#[test]
fn loopback_shows_every_byte_once() {
    if !can_run() {
        return;
    }
    live("loopback");
    let net = Net::new();
    let mut command = net.on_server(binary::path());
    command.args(["--iface", "lo", "--format", "json", "-v", "tcp", "-p", PORT]);
    let capture = Capture::start(command);
    exchange(|| net.on_server("python3"), || net.on_server("python3"), "127.0.0.1");
    let (events, said, status) = capture.stop();
    assert!(status.success(), "{said}");
    assert_whole(&events);
}

/// `sniff-x … | head -1`, where the line that `head` waits for was the last one.
#[test]
fn a_pipe_that_is_closed_ends_a_capture_on_a_silent_line() {
    if !can_run() {
        return;
    }
    live("a closed pipe");
    let net = Net::new();
    for threads in ["1", "2"] {
        let mut child = net
            .on_server(binary::path())
            .args(["--iface", IFACE, "--format", "json", "-v", "--threads", threads, "tcp", "-p", PORT])
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(said.any(|line| line.contains("capturing")));
        drop(child.stdout.take());
        assert!(said.any(|line| line.contains("frames")), "the summary at the end");
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn any_shows_frames_of_all_interfaces() {
    if !can_run() {
        return;
    }
    live("any");
    let net = Net::new();
    let mut command = net.on_server(binary::path());
    command.args(["--iface", "any", "--format", "json", "-v", "tcp", "-p", PORT]);
    let capture = Capture::start(command);
    over_veth(&net);
    exchange(|| net.on_server("python3"), || net.on_server("python3"), "127.0.0.1");
    let (events, said, status) = capture.stop();
    assert!(status.success(), "{said}");
    let [first, second] = &events[..] else { panic!("two connections, not {events:#?}\n{said}") };
    assert_whole(std::slice::from_ref(first));
    assert_whole(std::slice::from_ref(second));
}

#[test]
fn several_workers_see_one_connection_whole() {
    if !can_run() {
        return;
    }
    live("threads");
    let net = Net::new();
    let mut command = net.on_server(binary::path());
    command.args(["--iface", IFACE, "--threads", "2", "--format", "json", "-v", "tcp", "-p", PORT]);
    let capture = Capture::start(command);
    over_veth(&net);
    let (events, said, status) = capture.stop();
    assert!(status.success(), "{said}");
    assert_whole(&events);
}

#[test]
fn what_is_written_reads_back_as_what_was_seen() {
    if !can_run() || !has_program("tcpdump", "tcpdump") {
        return;
    }
    live("write");
    let net = Net::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.pcapng");
    let mut command = net.on_server(binary::path());
    command.args(["--iface", IFACE, "-v", "--filter", "tcp port 7777", "--write"]).arg(&file);
    let stats = folder.path().join("stats.json");
    command.arg("--stats-file").arg(&stats);
    let capture = Capture::start(command);
    over_veth(&net);
    let (events, said, status) = capture.stop();
    assert!(status.success() && events.is_empty(), "{said}");
    let again = binary::events([Path::new("--read"), &file, Path::new("tcp")]);
    assert_whole(&again);
    // A second reader agrees that the file is sound, and sees as many frames as we counted.
    let tcpdump = Command::new("tcpdump").args(["-nr"]).arg(&file).output().unwrap();
    assert!(tcpdump.status.success(), "{}", String::from_utf8_lossy(&tcpdump.stderr));
    let counters: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
    let lines = tcpdump.stdout.iter().filter(|b| **b == b'\n').count();
    assert_eq!(counters["counters"]["frames.written"], lines, "{counters:#}");
}

#[test]
fn an_ordinary_user_with_two_capabilities_gets_the_prefilter() {
    if !can_run() || !has_program("setpriv", "util-linux") {
        return;
    }
    live("capabilities");
    let (net, sniff_x) = (Net::new(), ForAll::new());
    for (capabilities, level) in [(",+net_raw,+bpf", "eBPF"), (",+net_raw", "classic BPF")] {
        let mut command = sniff_x.with(&net, capabilities);
        command.args(["--iface", IFACE, "--format", "json", "-v", "tcp", "-p", PORT]);
        let capture = Capture::start(command);
        over_veth(&net);
        let (events, said, status) = capture.stop();
        assert!(status.success() && said.contains(level), "{said}");
        assert_whole(&events);
    }
}

#[test]
fn without_the_capability_it_says_which_one_and_how_to_grant_it() {
    if !can_run() || !has_program("setpriv", "util-linux") {
        return;
    }
    live("no capability");
    let (net, sniff_x) = (Net::new(), ForAll::new());
    let output = sniff_x.with(&net, "").args(["--iface", IFACE, "mysql"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("needs cap_net_raw") && said.contains("setcap cap_net_raw,cap_bpf=ep"), "{said}");
}

/// On the server's side of the wire what the client sends comes in, and what the server sends goes out.
#[test]
fn inbound_and_outbound_are_seen_from_the_interface() {
    if !can_run() || !has_program("tcpdump", "tcpdump") || !has_program("setpriv", "util-linux") {
        return;
    }
    live("inbound, outbound");
    let (net, sniff_x) = (Net::new(), ForAll::new());
    std::fs::set_permissions(sniff_x.folder(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    for (capabilities, level) in [(",+net_raw,+bpf", "eBPF"), (",+net_raw", "classic BPF")] {
        for (filter, comes, comes_not) in [
            ("inbound", CLIENT, SERVER),
            ("outbound", SERVER, CLIENT),
            ("tcp and not outbound", CLIENT, SERVER),
        ] {
            let file = sniff_x.folder().join("frames.pcapng");
            let mut command = sniff_x.with(&net, capabilities);
            command.args(["--iface", IFACE, "-v", "--filter", filter, "--write"]).arg(&file);
            let capture = Capture::start(command);
            over_veth(&net);
            let (_, said, status) = capture.stop();
            assert!(status.success() && said.contains(level), "{said}");
            let count = |from: &str| {
                let read =
                    Command::new("tcpdump").arg("-nr").arg(&file).args(["tcp and src host", from]).output();
                read.unwrap().stdout.iter().filter(|byte| **byte == b'\n').count()
            };
            assert!(count(comes) > 0 && count(comes_not) == 0, "{filter} {level}: {said}");
        }
    }
}
