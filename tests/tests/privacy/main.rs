//! A secret and a value, random for each run, go in by every way that each plugin has, and are looked for in everything that the real binary writes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use sniff_x_tests::binary;
use sniff_x_tests::external::lines;
use sniff_x_tests::made::{self, Talk};

mod binary_mysql;
mod external;
mod http;
mod mysql;
mod redis;

/// A word that stands nowhere else.
fn marker(what: &str) -> String {
    format!("{what}{:016x}z", RandomState::new().hash_one(what))
}

/// Client ports count up.
struct Ports(u16);

impl Ports {
    fn talk(&mut self, server: u16, begins: bool) -> Talk {
        self.0 += 1;
        Talk::new(self.0, server, begins)
    }
}

/// Every way in for passwords and tokens.
fn secrets(secret: &str) -> Vec<Talk> {
    let ports = &mut Ports(20_000);
    let mut talks = mysql::secrets(secret, ports);
    talks.extend(binary_mysql::secrets(secret, ports));
    talks.extend(redis::secrets(secret, ports));
    talks.extend(http::secrets(secret, ports));
    talks.push(external::line("LOGIN", secret, ports.talk(4000, true)));
    talks
}

/// Every way in for what users put in.
fn values(value: &str) -> Vec<Talk> {
    let ports = &mut Ports(30_000);
    let mut talks = mysql::values(value, ports);
    talks.extend(binary_mysql::values(value, ports));
    talks.extend(redis::values(value, ports));
    talks.extend(http::values(value, ports));
    talks.push(external::line("SAY", value, ports.talk(4000, true)));
    talks
}

const OPTIONS: [&str; 22] = [
    "--header",
    "authorization",
    "--header",
    "proxy-authorization",
    "--header",
    "cookie",
    "--header",
    "set-cookie",
    "--header",
    "referer",
    "--header",
    "x-shown",
    "--header",
    "host",
    "--body",
    "200",
    "--reply",
    "200",
    "--header",
    "trailer",
    "--header",
    "location",
];

/// How events are looked at: what stands in front of the plugins, and they.
const VIEWS: [(&[&str], &str); 12] = [
    (&["--format", "text"], NAMED),
    (&["--format", "json"], NAMED),
    (&["--wide", "--color", "always", "--time", "date"], NAMED),
    (
        &[
            "--columns",
            "time,client,server,protocol,kind,db,user,operation,status,rows,duration,size,text,result,details",
        ],
        NAMED,
    ),
    (&["--group-by", "client"], NAMED),
    (&["--group-by", "server"], NAMED),
    (&["--group-by", "db"], NAMED),
    (&["--group-by", "operation"], NAMED),
    (&["--group-by", "user"], NAMED),
    (&["--format", "json"], "auto"),
    (&["--threads", "2"], "all"),
    (&["--threads", "5"], "all"),
];

const NAMED: &str = "mysql,redis,http,tcp";

/// All that one run writes, with the statistics file.
fn written(
    capture: &Path,
    redact: bool,
    (view, plugins): (&[&str], &str),
    external: Option<&Path>,
) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("stats.json");
    let mut command = Command::new(binary::path());
    command.env("RUST_LOG", "trace").env_remove("SNIFF_X_PLUGIN_DIR");
    command.args(["-vv", "--read"]).arg(capture).arg("--stats-file").arg(&stats).args(view);
    command.args(redact.then_some("--redact"));
    let mut plugins = plugins.to_owned();
    // Not with `auto` on this capture: it takes any line for its own.
    if let Some(folder) = external.filter(|_| plugins != "auto") {
        command.arg("--plugin-dir").arg(folder);
        plugins += if plugins == NAMED { ",lines" } else { "" };
    }
    let Output { status, stdout, stderr } = command.arg(plugins).args(OPTIONS).output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    assert!(!stdout.is_empty());
    vec![
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
        std::fs::read_to_string(stats).unwrap(),
    ]
}

/// The lines that have the marker, whatever its case.
fn lines_with<'a>(outputs: &'a [String], marker: &str) -> Vec<&'a str> {
    outputs.iter().flat_map(|o| o.lines()).filter(|line| line.to_ascii_lowercase().contains(marker)).collect()
}

#[test]
fn secrets_never_come_out() {
    let secret = marker("sec");
    let folder = tempfile::tempdir().unwrap();
    let external = external::folder(lines());
    let external = external.as_ref().map(tempfile::TempDir::path);
    let capture = folder.path().join("secrets.pcap");
    made::write(&capture, &secrets(&secret));
    for view in VIEWS {
        for redact in [false, true] {
            let outputs = written(&capture, redact, view, external);
            let found = lines_with(&outputs, &secret);
            assert!(
                found.is_empty(),
                "{view:?}, redact {redact}: {} lines:\n{}",
                found.len(),
                found.join("\n")
            );
            // They are looked for where they would be: places of secrets come out.
            let hidden = outputs[0].matches("<secret>").count();
            assert!(redact || hidden > 100 || view.0.contains(&"--group-by"), "{view:?}: {hidden}");
        }
    }
}

#[test]
fn values_come_out_unless_they_are_redacted() {
    let value = marker("val");
    let folder = tempfile::tempdir().unwrap();
    let external = external::folder(lines());
    let external = external.as_ref().map(tempfile::TempDir::path);
    let capture = folder.path().join("values.pcap");
    made::write(&capture, &values(&value));
    for view in VIEWS {
        let shown = written(&capture, false, view, external);
        let found = lines_with(&shown, &value).len();
        assert!(
            found > 60 || view.0.contains(&"--group-by"),
            "{view:?}: {found}: the test would find nothing"
        );
        let outputs = written(&capture, true, view, external);
        let found = lines_with(&outputs, &value);
        assert!(found.is_empty(), "{view:?}: {} lines:\n{}", found.len(), found.join("\n"));
    }
}

/// Counters on the way (`--stats-interval`), while the capture comes in parts.
#[test]
fn counters_on_the_way_say_numbers_alone() {
    let (secret, value) = (marker("sec"), marker("val"));
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("both.pcap");
    let talks: Vec<_> = secrets(&secret).into_iter().chain(values(&value)).collect();
    made::write(&capture, &talks);
    let bytes = std::fs::read(&capture).unwrap();
    let mut command = Command::new(binary::path());
    command.args(["--read", "-", "--redact", "--stats-interval", "0.001", NAMED]).args(OPTIONS);
    command.env_remove("RUST_LOG").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for part in bytes.chunks(bytes.len().div_ceil(20)) {
        input.write_all(part).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let counters: Vec<_> = said.lines().filter(|line| line.starts_with("sniff-x: info: ")).collect();
    assert!(!counters.is_empty(), "none were logged: {said}");
    for line in counters {
        for word in line.trim_start_matches("sniff-x: info: ").split(' ') {
            let (name, number) = word.split_once('=').unwrap_or_else(|| panic!("{word} in {line}"));
            let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b"._".contains(&b));
            assert!(is_name && number.bytes().all(|b| b.is_ascii_digit()), "{word} in {line}");
        }
    }
    let all = [said];
    assert_eq!([lines_with(&all, &secret), lines_with(&all, &value)], [[""; 0]; 2]);
}

/// Each way in is one: what goes in there comes out where it is no secret.
#[test]
fn every_way_in_is_decoded() {
    let value = marker("val");
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("values.pcap");
    made::write(&capture, &values(&value));
    let file = capture.to_str().unwrap();
    let events = binary::events(["-q", "--read", file, "mysql,redis,http"].iter().chain(&OPTIONS));
    let of = |key: &str| {
        let has = |event: &&serde_json::Value| {
            let fields = event.as_object().unwrap();
            fields.iter().any(|(k, v)| k.starts_with(key) && v.as_str().is_some_and(|v| v.contains(&value)))
        };
        events.iter().filter(has).count()
    };
    for (key, least) in [
        // Two answers: five types and long data; those with a second statement; plain and compressed ones.
        ("db.query.parameter.", 12),
        ("sniffx.mysql.attribute.", 4),
        ("db.query.text", 40),
        ("sniffx.redis.reply", 5),
        ("url.query", 2),
        ("sniffx.http.request.body", 2),
        ("sniffx.http.response.body", 2),
        ("http.request.header.", 2),
        ("error.message", 10),
    ] {
        assert!(of(key) >= least, "{key}: {}", of(key));
    }
}

/// What `--write` puts beside the frames (comments, notes) holds nothing from inside of them.
#[test]
fn written_frames_have_no_notes_with_secrets() {
    let secret = marker("sec");
    let folder = tempfile::tempdir().unwrap();
    let (capture, copy) = (folder.path().join("secrets.pcap"), folder.path().join("copy.pcapng"));
    made::write(&capture, &secrets(&secret));
    let run = binary::run([
        "-q",
        "--read",
        capture.to_str().unwrap(),
        "--write",
        copy.to_str().unwrap(),
        "mysql,redis,http",
    ]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let file = std::fs::read(&copy).unwrap();
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let (mut at, mut beside, mut frames) = (0, Vec::new(), 0);
    while at < file.len() {
        let (kind, length) = (word(at), word(at + 4));
        // Of an enhanced packet block what stands behind the frame, of others all.
        let from = if kind == 6 { 28 + word(at + 20).next_multiple_of(4) } else { 8 };
        frames += usize::from(kind == 6);
        beside.extend(&file[at + from..at + length]);
        at += length;
    }
    assert!(frames > 500, "{frames}");
    assert!(!beside.windows(secret.len()).any(|w| w.eq_ignore_ascii_case(secret.as_bytes())));
}

#[test]
fn raw_bytes_and_redaction_exclude_each_other() {
    for args in
        [&["--write", "x.pcapng", "mysql"][..], &["tcp", "--dump", "x"], &["tcp", "--content", "text"]]
    {
        let run = binary::run(["--redact", "--read", "none.pcap"].iter().chain(args));
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.code() == Some(2) && said.contains("--redact hides"), "{args:?}: {said}");
    }
}
