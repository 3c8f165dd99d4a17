//! External plugins: what they mark as a secret or as what users put in is hidden, whatever word chose them, over TCP and over UDP.

use std::path::Path;
use std::process::Command;

use sniff_x_tests::external::{datagrams, lines};
use sniff_x_tests::frames::{self, Timed};
use sniff_x_tests::made::{self, From, Talk};
use sniff_x_tests::{binary, skip};
use tempfile::TempDir;

use crate::{Ports, lines_with, marker};

/// The plugin's folder, or a skip.
pub(crate) fn folder(built: Option<TempDir>) -> Option<TempDir> {
    if built.is_none() {
        skip("there is no C compiler (cc): the external plugin is left out");
    }
    built
}

/// A line of the plugin's protocol, which marks those that begin with LOGIN as secrets, and its answer.
pub(crate) fn line(command: &str, word: &str, talk: Talk) -> Talk {
    let line = format!("{command} {word}\n");
    talk.says(From::Client, line.as_bytes()).says(From::Server, b"OK\n")
}

/// The plugin's port, and one that says nothing.
const PORTS: [u16; 2] = [4000, 4001];

/// The same line on both ports, over TCP and over UDP.
fn write(path: &Path, command: &str, word: &str, is_tcp: bool) {
    if is_tcp {
        let ports = &mut Ports(20_000);
        made::write(path, &PORTS.map(|port| line(command, word, ports.talk(port, true))));
    } else {
        let text = format!("{command} {word}");
        frames::write(path, 1, &PORTS.map(|port| datagram(port, text.as_bytes())));
    }
}

/// Ethernet, IPv4 and UDP, without checksums.
fn datagram(port: u16, payload: &[u8]) -> Timed {
    let length = |header: usize| u16::try_from(header + payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    bytes.extend(length(28));
    bytes.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([50_000_u16.to_be_bytes(), port.to_be_bytes(), length(8), [0, 0]].concat());
    bytes.extend(payload);
    Timed { time: 1_772_359_200_000_000_000 + u64::from(port), bytes }
}

/// Words that choose the plugin, and on how many of the ports it gets what is said.
const CHOSEN: [(&str, usize); 6] =
    [("lines", 1), ("all", 1), ("mysql,redis,lines", 1), ("auto", 2), ("lines,auto", 2), ("all,auto", 2)];

const VIEWS: [&[&str]; 4] = [
    &["--format", "json"],
    &["--wide"],
    &["--columns", "operation,text,result,details"],
    &["--group-by", "operation"],
];

/// All that a run writes: events, log, statistics.
fn written(capture: &Path, plugin: &Path, chosen: &str, view: &[&str], redact: bool) -> [String; 3] {
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("stats.json");
    let mut command = Command::new(binary::path());
    command.env("RUST_LOG", "trace").env_remove("SNIFF_X_PLUGIN_DIR").arg("--plugin-dir").arg(plugin);
    command.arg("--read").arg(capture).arg("--stats-file").arg(&stats).args(view);
    let output = command.args(redact.then_some("--redact")).arg(chosen).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    [text(output.stdout), text(output.stderr), std::fs::read_to_string(stats).unwrap()]
}

#[test]
fn what_external_plugins_mark_is_hidden() {
    for is_tcp in [true, false] {
        let Some(plugin) = folder(if is_tcp { lines() } else { datagrams() }) else { return };
        let captures = tempfile::tempdir().unwrap();
        let (secret, value) = (marker("sec"), marker("val"));
        let [with_secret, with_value] = ["secret.pcap", "value.pcap"].map(|name| captures.path().join(name));
        write(&with_secret, "LOGIN", &secret, is_tcp);
        write(&with_value, "SAY", &value, is_tcp);
        for (chosen, ports) in CHOSEN {
            for view in VIEWS {
                let what = format!("TCP {is_tcp}, {chosen}, {view:?}");
                // A group has the events of both ports.
                let is_grouped = view.contains(&"--group-by");
                let told = if is_grouped { 1 } else { ports };
                for redact in [false, true] {
                    let outputs = written(&with_secret, plugin.path(), chosen, view, redact);
                    assert_eq!(lines_with(&outputs, &secret), [""; 0], "{what}, redact {redact}");
                    // It is looked for where it would be: the events are there.
                    let stats: serde_json::Value = serde_json::from_str(&outputs[2]).unwrap();
                    assert_eq!(stats["counters"]["events.written"], ports, "{what}: {}", outputs[0]);
                }
                let shown = written(&with_value, plugin.path(), chosen, view, false);
                assert_eq!(lines_with(&shown, &value).len(), told, "{what}: {shown:?}");
                let redacted = written(&with_value, plugin.path(), chosen, view, true);
                assert_eq!(lines_with(&redacted, &value), [""; 0], "{what}");
                assert!(redacted[0].contains('?'), "{what}: {}", redacted[0]);
            }
        }
    }
}
