//! External plugins through the program: a C plugin in a folder of the plugin path.
#![expect(clippy::unwrap_used, reason = "a test may panic, and its small functions with it")]

mod pcap;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder with the C plugin of the plugin crate's tests and a file that is no library; none without a C compiler.
fn folder() -> Option<TempDir> {
    folder_with(&[])
}

/// Another build of the plugin.
fn folder_with(flags: &[&str]) -> Option<TempDir> {
    if Command::new("cc").arg("--version").output().is_err() {
        return None;
    }
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/plugin");
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("cc")
        .args(flags)
        .args(["-std=c11", "-shared", "-fPIC", "-I"])
        .arg(crate_folder.join("include"))
        .arg("-o")
        .arg(folder.path().join("lines.so"))
        .arg(crate_folder.join("tests/lines.c"))
        .status();
    assert!(status.unwrap().success());
    std::fs::write(folder.path().join("broken.so"), "no library").unwrap();
    for name in ["lines.so", "broken.so"] {
        // Whatever the umask is: a library that others can change is not loaded.
        std::fs::set_permissions(folder.path().join(name), Permissions::from_mode(0o755)).unwrap();
    }
    Some(folder)
}

fn sniff_x(folder: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_sniff-x"))
        .args(arguments)
        .env("SNIFF_X_PLUGIN_DIR", folder.path())
        .env("XDG_DATA_HOME", folder.path().join("none"))
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn plugins_of_the_path_are_like_those_built_in() {
    let Some(folder) = folder() else { return println!("skipped: there is no C compiler (cc)") };
    let library = folder.path().join("lines.so");

    let (code, list, errors) = sniff_x(&folder, &["--list"]);
    assert_eq!(code, Some(0));
    let line = list.lines().find(|l| l.starts_with("lines ")).unwrap();
    assert!(line.contains(" 1.2 ") && line.ends_with(library.to_str().unwrap()), "{list}");
    assert!(
        errors.contains("broken.so: can't be loaded"),
        "what can't be loaded is told, the rest goes on: {errors}"
    );

    let (code, help, _) = sniff_x(&folder, &["lines", "--help"]);
    assert_eq!(code, Some(0));
    assert!(help.contains("-p, --port <PORT>") && help.contains("--loud"), "{help}");

    let (code, _, errors) = sniff_x(&folder, &["--read", "x.pcap", "lines", "-p", "0"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("lines: --port: '0' is not a port from 1 to 65535"), "{errors}");

    let (code, _, errors) = sniff_x(&folder, &["--read", "x.pcap", "lines,tcp", "-p", "1"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("write --lines.port or --tcp.port"), "{errors}");

    let (code, _, errors) = sniff_x(&folder, &["--read", "x.pcap", "line"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("did you mean 'lines'?") && errors.contains("broken.so"), "{errors}");
}

/// Built-in plugins need no code of others: a broken folder does not matter to them.
#[test]
fn the_path_is_not_looked_at_for_builtin_plugins() {
    let Some(folder) = folder() else { return println!("skipped: there is no C compiler (cc)") };
    let (code, _, errors) = sniff_x(&folder, &["tcp", "--help"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
}

/// From the capture through the C interface to the output: an event of the external plugin, with its own keys.
#[test]
fn an_external_plugin_decodes_a_capture() {
    let Some(folder) = folder() else { return println!("skipped: there is no C compiler (cc)") };
    let capture = folder.path().join("lines.pcap");
    let talk: [(bool, &[u8]); 4] =
        [(true, b"GET "), (true, b"it\n"), (false, b"FAIL no\n"), (true, b"LOGIN me\n")];
    std::fs::write(&capture, pcap::file(&talk)).unwrap();
    let (code, out, errors) =
        sniff_x(&folder, &["--read", capture.to_str().unwrap(), "--format", "json", "lines"]);
    assert_eq!(code, Some(0), "{errors}");
    let events: Vec<serde_json::Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let [exchange, pending] = &events[..] else { panic!("two events: {out}") };
    assert_eq!((&exchange["protocol"], &exchange["status"]), (&"lines".into(), &"error".into()));
    assert_eq!(exchange["db.operation.name"], "GET it");
    assert_eq!(exchange["error.message"], "FAIL no");
    assert_eq!((&exchange["lines.length"], &exchange["lines.word.7"]), (&7.into(), &"FAIL no".into()));
    assert_eq!(exchange["duration_ns"], 2_000_000);
    assert_eq!(
        (&pending["status"], &pending["sniffx.incomplete.reason"]),
        (&"incomplete".into(), &"eof".into())
    );

    // The same without its name, for its probe.
    let (_, auto, errors) =
        sniff_x(&folder, &["--read", capture.to_str().unwrap(), "--format", "json", "auto"]);
    assert_eq!(auto, out, "{errors}");

    // Not the plugin's port.
    let (_, out, _) = sniff_x(&folder, &["--read", capture.to_str().unwrap(), "lines", "-p", "4001"]);
    assert_eq!(out, "");
}

/// In whatever order `all`, `auto` and the plugin's own name stand, and whoever of them named it first.
#[test]
fn words_for_several_plugins_include_external_ones() {
    let Some(folder) = folder() else { return println!("skipped: there is no C compiler (cc)") };
    let capture = folder.path().join("lines.pcap");
    std::fs::write(&capture, pcap::file(&[(true, b"GET it\n"), (false, b"YES\n")])).unwrap();
    let told = |plugins: &str, port: &str| {
        let read = ["-q", "--read", capture.to_str().unwrap(), "--format", "json", plugins];
        let (code, out, errors) = sniff_x(&folder, &[&read[..], &["--lines.port", port]].concat());
        assert_eq!(code, Some(0), "{plugins}: {errors}");
        // No word includes the one that takes any stream; and where it is named, who knows the bytes comes before it.
        assert!(!out.contains(r#""protocol":"tcp""#), "{plugins}: {out}");
        out.contains(r#""protocol":"lines""#)
    };
    for plugins in ["lines", "all", "lines,all", "all,lines", "redis,all"] {
        assert_eq!([told(plugins, "4000"), told(plugins, "4001")], [true, false], "{plugins}");
    }
    for plugins in ["auto", "lines,auto", "auto,lines", "all,auto", "auto,all", "tcp,auto"] {
        assert_eq!([told(plugins, "4000"), told(plugins, "4001")], [true, true], "{plugins}");
    }
}

/// The same for UDP: each datagram is an event, also one in fragments.
#[test]
fn an_external_plugin_decodes_datagrams() {
    let Some(folder) = folder_with(&["-DDATAGRAMS"]) else {
        return println!("skipped: there is no C compiler (cc)");
    };
    // Ethernet and IPv4 from 10.0.0.`from` to 10.0.0.`to`; `fragment` is the word with flags and offset.
    let frame = |from: u8, to: u8, fragment: u16, payload: &[u8]| {
        let [high, low] = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
        let [flags, offset] = fragment.to_be_bytes();
        let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0, 0x45, 0, high, low];
        frame.extend([0, 7, flags, offset, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
        frame.extend(payload);
        frame
    };
    let udp = |from: u16, to: u16, text: &str| {
        let words = [from, to, u16::try_from(8 + text.len()).unwrap(), 0];
        [&words.map(u16::to_be_bytes).concat()[..], text.as_bytes()].concat()
    };
    let answer = udp(4000, 5000, "an answer that comes in two parts");
    let frames = [
        frame(2, 1, 0x0002, &answer[16..]),
        frame(2, 1, 0x2000, &answer[..16]),
        frame(1, 2, 0, &udp(5000, 4000, "thanks")),
        frame(1, 2, 0, &udp(5000, 4000, "bye")),
        frame(1, 2, 0, &udp(5000, 4000, "nobody hears this")),
    ];
    let mut file: Vec<u8> =
        [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].iter().flat_map(|word| word.to_le_bytes()).collect();
    for frame in frames {
        let len = u32::try_from(frame.len()).unwrap();
        file.extend([1_772_359_200, 0, len, len].iter().flat_map(|word| word.to_le_bytes()));
        file.extend(frame);
    }
    let capture = folder.path().join("lines.pcap");
    std::fs::write(&capture, file).unwrap();
    let (code, out, errors) =
        sniff_x(&folder, &["--read", capture.to_str().unwrap(), "--format", "json", "lines"]);
    assert_eq!(code, Some(0), "{errors}");
    let events: Vec<serde_json::Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let [first, second] = &events[..] else { panic!("two events: {out}") };
    for event in [first, second] {
        assert_eq!((&event["client.address"], &event["server.port"]), (&"10.0.0.1".into(), &4000.into()));
    }
    assert_eq!(first["db.operation.name"], "an answer that comes in two parts");
    assert_eq!((&first["lines.last"], &second["lines.last"]), (&true.into(), &false.into()));
    assert_eq!(second["db.operation.name"], "thanks");
    assert!(errors.contains("udp.bytes") && errors.contains("decoder.bypassed_limit 1"), "{errors}");
}
