//! SIGHUP with the real binary: the file of `--config` is read again while connections go on. The truth is what the client asked for.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use sniff_x_tests::binary::{self, Capture, ForAll};
use sniff_x_tests::netns::{IFACE, Net, SERVER};
use sniff_x_tests::{has_program, is_root, live, root};

fn can_run() -> bool {
    is_root()
        && has_program("ip", "iproute2")
        && has_program("python3", "python3")
        && has_program("setpriv", "util-linux")
}

/// An HTTP server, and a client whose connections stay open.
struct Talk {
    server: Child,
    client: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Talk {
    fn new(net: &Net) -> Self {
        let script = root().join("tests/scripts/keepalive.py");
        let mut server = net.on_server("python3");
        server
            .arg(&script)
            .args(["serve", SERVER, "8001", "8002"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut server = server.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "listening\n");
        let mut client = net.on_client("python3");
        client.arg(&script).args(["ask", SERVER]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = client.spawn().unwrap();
        let (to, from) = (client.stdin.take().unwrap(), BufReader::new(client.stdout.take().unwrap()));
        Self { server, client, to, from }
    }

    /// Asks and waits for the answer.
    fn ask(&mut self, how: &str, port: u16, path: &str) {
        writeln!(self.to, "{how} {port} {path}").unwrap();
        let mut status = String::new();
        self.from.read_line(&mut status).unwrap();
        assert_eq!(status, if path.starts_with("/missing") { "404\n" } else { "200\n" });
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        for child in [&mut self.client, &mut self.server] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Replaces the file as editors do.
fn write(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn paths(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["url.path"].as_str()).collect()
}

/// `sniff_x` captures with `file` for its configuration and says that it filters at `level`.
fn goes_on_with_what_the_file_says(net: &Net, mut sniff_x: Command, file: &Path, level: &str) {
    const START: &str = "plugin = 'http'\nformat = 'json'\nverbose = true\n";
    let config = |more: &str| write(file, &format!("{START}{more}"));
    let mut talk = Talk::new(net);
    config("[http]\nport = 8001");
    sniff_x.arg("--config").arg(file);
    let mut capture = Capture::start(sniff_x);
    talk.ask("keep", 8001, "/one");
    talk.ask("once", 8002, "/not/asked/for");

    // Another port, while a connection to the first goes on.
    config("[http]\nport = [8001, 8002]");
    capture.hang_up("--config was read again, changed: --port");
    talk.ask("keep", 8001, "/two");
    talk.ask("once", 8002, "/three");
    // What still lies in the ring is decoded as the options say that come next.
    capture.wait_for_event("/three");

    // Other options reach connections that are open.
    config("[http]\nport = [8001, 8002]\nerrors = true");
    capture.hang_up("changed: --errors");
    talk.ask("keep", 8001, "/withheld");
    talk.ask("keep", 8001, "/missing/four");
    talk.ask("once", 8002, "/missing/five");

    // A mistake changes nothing, wherever it is.
    for (text, why) in [
        ("[http]\nport = 'many'", "http: --port"),
        ("filter = 'tcp port'", "--filter: "),
        ("ringsize = 1", "no option 'ringsize'"),
        ("[http", "TOML parse error"),
    ] {
        config(text);
        let said = capture.hang_up("all stays as it was");
        assert!(said.contains("error: SIGHUP: ") && said.contains(why), "{said}");
    }
    std::fs::remove_file(file).unwrap();
    let said = capture.hang_up("all stays as it was");
    assert!(said.contains("No such file"), "{said}");
    talk.ask("keep", 8001, "/withheld/too");
    talk.ask("once", 8002, "/missing/six");
    talk.ask("keep", 8001, "/missing/six/too");
    capture.wait_for_event("/missing/six\"");
    capture.wait_for_event("/missing/six/too");

    // What can't change is told, the rest changes.
    config(
        "ring-size = '8M'\nsnaplen = 99\nfilter = 'host 10.213.0.1 and tcp port 8001'\n[http]\nport = [8001, 8002]",
    );
    let said = capture.hang_up("changed: --errors, --filter");
    for name in ["--ring-size", "--snaplen"] {
        assert!(
            said.contains(&format!("warning: SIGHUP: {name} can't change while it runs, it stays")),
            "{said}"
        );
    }
    talk.ask("once", 8002, "/filtered");
    talk.ask("keep", 8001, "/seven");
    config("[http]\nport = [8001, 8002]");
    capture.hang_up("changed: --filter");
    talk.ask("once", 8002, "/eight");
    talk.ask("keep", 8001, "/nine");
    let (events, said, status) = capture.stop();
    assert!(status.success() && said.contains(&format!("filtering {level}")), "{said}");
    let all = [
        "/one",
        "/two",
        "/three",
        "/missing/four",
        "/missing/five",
        "/missing/six",
        "/missing/six/too",
        "/seven",
        "/eight",
        "/nine",
    ];
    let mut seen = paths(&events);
    seen.sort_by_key(|path| all.iter().position(|known| known == path));
    assert_eq!(seen, all, "{said}\n{events:#?}");
    for event in &events {
        let is_missing = event["url.path"].as_str().is_some_and(|path| path.starts_with("/missing"));
        assert_eq!(event["status"], if is_missing { "error" } else { "ok" }, "{event:#}");
    }
}

#[test]
fn with_ebpf_and_one_ring() {
    if !can_run() {
        return;
    }
    live("reload");
    let (net, folder) = (Net::new(), tempfile::tempdir().unwrap());
    let mut sniff_x = net.on_server(binary::path());
    sniff_x.args(["--iface", IFACE]);
    goes_on_with_what_the_file_says(&net, sniff_x, &folder.path().join("x.toml"), "in the kernel (eBPF)");
}

#[test]
fn with_ebpf_and_several_rings() {
    if !can_run() {
        return;
    }
    live("reload, rings");
    let (net, folder) = (Net::new(), tempfile::tempdir().unwrap());
    let mut sniff_x = net.on_server(binary::path());
    sniff_x.args(["--iface", IFACE, "--iface", "lo", "--threads", "2"]);
    goes_on_with_what_the_file_says(&net, sniff_x, &folder.path().join("x.toml"), "in the kernel (eBPF)");
}

#[test]
fn with_queues_to_several_workers() {
    if !can_run() {
        return;
    }
    live("reload, queues");
    let (net, folder) = (Net::new(), tempfile::tempdir().unwrap());
    let mut sniff_x = net.on_server(binary::path());
    sniff_x.args(["--iface", "any", "--threads", "2", "--write"]).arg(folder.path().join("frames.pcapng"));
    goes_on_with_what_the_file_says(&net, sniff_x, &folder.path().join("x.toml"), "in the kernel (eBPF)");
}

#[test]
fn as_an_ordinary_user_with_and_without_ebpf() {
    if !can_run() {
        return;
    }
    live("reload, capabilities");
    let (net, for_all) = (Net::new(), ForAll::new());
    for (capabilities, level) in [(",+net_raw,+bpf", "eBPF"), (",+net_raw", "classic BPF")] {
        for interface in [IFACE, "any"] {
            let mut sniff_x = for_all.with(&net, capabilities);
            sniff_x.args(["--iface", interface]);
            let level = format!("in the kernel ({level})");
            goes_on_with_what_the_file_says(&net, sniff_x, &for_all.folder().join("x.toml"), &level);
        }
    }
}

/// The threads of a process by name, with what they have of capabilities in any set.
fn capabilities_of(process: u32) -> Vec<(String, u64)> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    tasks
        .map(|task| {
            let folder = task.unwrap().path();
            let name = std::fs::read_to_string(folder.join("comm")).unwrap().trim().to_owned();
            let status = std::fs::read_to_string(folder.join("status")).unwrap();
            let value = |key: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
                u64::from_str_radix(line.trim(), 16).unwrap()
            };
            (name, value("CapEff:") | value("CapPrm:") | value("CapAmb:") | value("CapInh:"))
        })
        .collect()
}

#[test]
fn one_thread_alone_may_load_programs() {
    if !can_run() {
        return;
    }
    live("reload, privileges");
    const CAP_BPF: u64 = 1 << 39;
    let (net, for_all) = (Net::new(), ForAll::new());
    let file = for_all.folder().join("x.toml");
    write(&file, "");
    for (with_file, threads) in [(true, "1"), (true, "2"), (false, "1")] {
        let mut sniff_x = for_all.with(&net, ",+net_raw,+bpf");
        sniff_x.args(["--iface", IFACE, "--threads", threads, "-v"]);
        if with_file {
            sniff_x.arg("--config").arg(&file);
        }
        let mut capture = Capture::start({
            sniff_x.arg("http");
            sniff_x
        });
        capture.hang_up("SIGHUP: ");
        // Those that answer, take in and write may start later than the answer comes.
        let mut threads = capabilities_of(capture.id());
        for _ in 0..600 {
            if threads.len() >= 3 {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            threads = capabilities_of(capture.id());
        }
        assert!(threads.len() >= 3, "{threads:?}");
        for (name, capabilities) in threads {
            let expected = if with_file && name == "control" { CAP_BPF } else { 0 };
            assert_eq!(capabilities, expected, "{name}");
        }
        let (_, said, status) = capture.stop();
        assert!(status.success(), "{said}");
    }
}

#[test]
fn without_a_file_there_is_nothing_to_read_again() {
    if !can_run() {
        return;
    }
    live("reload, no file");
    let net = Net::new();
    let mut talk = Talk::new(&net);
    let mut sniff_x = net.on_server(binary::path());
    sniff_x.args(["--iface", IFACE, "--format", "json", "-v", "http", "-p", "8001"]);
    let mut capture = Capture::start(sniff_x);
    talk.ask("keep", 8001, "/one");
    capture.hang_up("SIGHUP: there is no --config FILE to read again");
    talk.ask("keep", 8001, "/two");
    let (events, said, status) = capture.stop();
    assert!(status.success(), "{said}");
    assert_eq!(paths(&events), ["/one", "/two"]);
}

#[test]
fn the_command_line_wins_again() {
    if !can_run() {
        return;
    }
    live("reload, command line");
    let (net, folder) = (Net::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("x.toml");
    let mut talk = Talk::new(&net);
    write(&file, "");
    let mut sniff_x = net.on_server(binary::path());
    sniff_x.args(["--iface", IFACE, "--format", "json", "-v", "--config"]).arg(&file);
    sniff_x.args(["http", "-p", "8001"]);
    let mut capture = Capture::start(sniff_x);
    write(&file, "plugin = 'redis'\n[http]\nport = 8002");
    capture.hang_up("nothing changed");
    talk.ask("once", 8002, "/not/asked/for");
    talk.ask("once", 8001, "/one");
    let (events, said, status) = capture.stop();
    assert!(status.success(), "{said}");
    assert_eq!(paths(&events), ["/one"]);
}

#[test]
fn auto_goes_on_with_other_options() {
    if !can_run() {
        return;
    }
    live("reload, auto");
    let (net, folder) = (Net::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("x.toml");
    let config =
        |more: &str| write(&file, &format!("plugin = 'auto'\nformat = 'json'\nverbose = true\n{more}"));
    let mut talk = Talk::new(&net);
    config("");
    let mut sniff_x = net.on_server(binary::path());
    sniff_x.args(["--iface", IFACE, "--config"]).arg(&file);
    let mut capture = Capture::start(sniff_x);
    talk.ask("keep", 8001, "/one");
    talk.ask("once", 8002, "/two");
    capture.wait_for_event("/two");
    config("[http]\nerrors = true");
    capture.hang_up("changed: --http.errors");
    talk.ask("keep", 8001, "/withheld");
    talk.ask("keep", 8001, "/missing/three");
    talk.ask("once", 8002, "/missing/four");
    capture.wait_for_event("/missing/four");
    config("filter = 'tcp port 8001'");
    capture.hang_up("changed: --http.errors, --filter");
    talk.ask("once", 8002, "/filtered");
    talk.ask("keep", 8001, "/five");
    let (events, said, status) = capture.stop();
    assert!(status.success(), "{said}");
    assert_eq!(paths(&events), ["/one", "/two", "/missing/three", "/missing/four", "/five"], "{said}");
}
