//! The command line as a user meets it: the real program, its exit codes and what it says.
#![expect(clippy::unwrap_used, reason = "a test may panic, and its small functions with it")]

use std::process::{Command, Output, Stdio};

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn said(output: Output) -> Said {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sniff-x"));
    let data = std::env::temp_dir().join("sniff-x-test-no-plugins-here");
    command
        .env("XDG_DATA_HOME", data)
        .env_remove("SNIFF_X_PLUGIN_DIR")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

fn sniff_x(arguments: &[&str]) -> Said {
    said(program().args(arguments).output().unwrap())
}

/// Wrong usage: exit code 2, nothing on standard output, and on standard error all that helps.
#[track_caller]
fn wrong(arguments: &[&str], helps: &[&str]) {
    let said = sniff_x(arguments);
    assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
    assert_eq!(said.out, "", "{arguments:?}");
    for help in helps {
        assert!(said.err.contains(help), "{arguments:?}: no {help:?} in\n{}", said.err);
    }
}

/// Loopback exists everywhere.
#[test]
fn no_source_lists_the_interfaces_and_gives_an_example() {
    for arguments in [&[][..], &["mysql"]] {
        wrong(arguments, &["--iface IF or --read FILE", "lo", "Try: sniff-x --iface"]);
    }
    wrong(&["--iface", "lo", "--read", "x.pcap", "mysql"], &["cannot be used with"]);
}

#[test]
fn no_plugin_and_nothing_to_write() {
    wrong(
        &["--iface", "lo"],
        &["PLUGIN", "--write", "mysql, redis, http, tcp", "Try: sniff-x --iface lo mysql"],
    );
    wrong(&["--read", "x.pcap"], &["Try: sniff-x --read x.pcap mysql"]);
}

#[test]
fn unknown_plugins_and_interfaces_list_what_there_is() {
    wrong(
        &["--iface", "lo", "mysqk"],
        &["no plugin 'mysqk'; did you mean 'mysql'?", "Plugins: mysql, redis, http, tcp, all, auto"],
    );
    wrong(&["--iface", "lo", "mysql,oracle"], &["no plugin 'oracle'\n", "Plugins: mysql"]);
    wrong(&["--iface", "lo", "mysql,"], &["no plugin ''", "Plugins: mysql"]);
    wrong(&["--iface", "l0", "mysql"], &["no interface 'l0'; did you mean 'lo'?", "Interfaces: ", "any"]);
    wrong(&["--iface", "any", "--iface", "lo", "mysql"], &["--iface any is all interfaces"]);
}

#[test]
fn wrong_plugin_options_list_the_plugins_options() {
    let dump = ["--dump <DIR>", "Options of tcp:", "-p, --port <PORT>"];
    wrong(&["--iface", "lo", "tcp", "--frobnicate"], &dump);
    wrong(&["--iface", "lo", "tcp", "-p", "70000"], &["'70000' is not a port", dump[1], dump[2]]);
    wrong(&["--iface", "lo", "tcp", "--dump"], &["a value is required for '--dump <DIR>'"]);
    wrong(&["--iface", "lo", "-p", "3307", "tcp"], &["'-p'", "behind its name"]);
    wrong(&["--iface", "lo", "tcp", "extra"], &["unexpected argument 'extra'"]);
}

#[test]
fn wrong_values_of_own_options() {
    wrong(&["--iface", "lo", "tcp", "--ring-size", "64X"], &["--ring-size", "64K"]);
    wrong(&["--iface", "lo", "tcp", "--duration", "0"], &["--duration", "above 0"]);
    wrong(&["--iface", "lo", "tcp", "--format", "xml"], &["text, json"]);
    wrong(&["--iface", "lo", "tcp", "--backend", "pfring"], &["auto, afpacket, libpcap"]);
    wrong(&["--iface", "lo", "tcp", "--threads", "0"], &["--threads"]);
    wrong(&["--iface", "lo", "tcp", "--threads", "100000"], &["from 1 to 256"]);
    wrong(&["--iface", "lo", "tcp", "-q", "-v"], &["cannot be used with"]);
    wrong(&["--iface", "lo", "tcp", "--snaplen", "8G"], &["--snaplen"]);
    wrong(&["--read", "x.pcap", "tcp", "--write", "-"], &["--write -"]);
}

#[test]
fn filters_point_at_what_is_wrong() {
    wrong(
        &["--read", "x.pcap", "--filter", "tcp prt 3306", "tcp"],
        &["--filter: ", "  tcp prt 3306\n      ^^^"],
    );
}

/// What libpcap refuses on every link, too.
#[test]
fn filters_that_can_not_be_asked() {
    wrong(
        &["--read", "x.pcap", "--filter", "mpls and arp", "tcp"],
        &["--filter: behind 'mpls' only IPv4 and IPv6"],
    );
    wrong(
        &["--read", "x.pcap", "--filter", "vlan 5000", "tcp"],
        &["a VLAN id is at most 4095", "       ^^^^"],
    );
}

#[test]
fn a_filter_that_never_matches_is_a_warning() {
    let said = sniff_x(&["--read", "/nonexistent/x.pcap", "--filter", "ip and arp", "tcp"]);
    assert!(said.err.contains("no frame can match this: ip and arp"), "{}", said.err);
    for text in ["ip proto 300", "byte 0 & 1 or ether proto 70000"] {
        let said = sniff_x(&["--read", "/nonexistent/x.pcap", "--filter", text, "tcp"]);
        assert!(said.err.contains(&format!("no frame can match this: {text}")), "{}", said.err);
        assert_eq!(said.err.contains("read no byte, as in tcpdump"), text.contains('&'), "{}", said.err);
    }
}

#[test]
fn what_filters_are_made_into() {
    let dump = |form: &str| {
        let said =
            sniff_x(&["--filter", "host 10.0.0.1 or vlan 5", "--dump-filter", form, "mysql", "-p", "3307"]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{form}");
        said.out
    };
    let ast = "rule of mysql, of the innermost TCP or UDP header\nand\n  tcp\n  port 3307\n\
               --filter, of the frame\nor\n  host 10.0.0.1\n  vlan 5\n";
    let found = dump("ast");
    assert!(found == ast || found == ast.replace("and\n  tcp\n  port 3307", "tcp port 3307"), "{found}");
    let ebpf = dump("ebpf");
    assert!(ebpf.contains("call skb_load_bytes") && ebpf.trim_end().ends_with("exit"), "{ebpf}");
    let cbpf = dump("cbpf");
    assert!(
        cbpf.contains("ld vlan_avail") && cbpf.contains("jeq #0xceb ") && cbpf.contains("ret #0"),
        "{cbpf}"
    );
    wrong(&["--dump-filter", "c", "mysql"], &["ast, ebpf, cbpf"]);
    // What has no end in the kernel is asked there as far as it goes.
    for (form, asks) in [("ebpf", "if w0 == 0x33 goto"), ("cbpf", "jeq #0x33 ")] {
        let said = sniff_x(&["--filter", "ip protochain 6", "--dump-filter", form, "mysql"]);
        assert!(said.out.contains(asks) && said.out.ends_with("again in user space\n"), "{}", said.out);
    }
}

#[test]
fn help_shows_the_options_of_the_plugin() {
    let general = sniff_x(&["--help"]);
    assert_eq!((general.code, general.err.as_str()), (Some(0), ""));
    for option in
        ["--iface", "--read", "--filter", "--format", "--write", "--backend", "--threads", "--ring-size"]
    {
        assert!(general.out.contains(option), "{option}");
    }
    assert!(!general.out.contains("--dump "));
    let tcp = sniff_x(&["tcp", "--help"]);
    assert_eq!(tcp.code, Some(0));
    let (options, own) = (tcp.out.find("Options of tcp:").unwrap(), tcp.out.find("Input:").unwrap());
    assert!(options < own, "the plugin's come first");
    assert!(tcp.out.contains("--dump <DIR>"));
}

#[test]
fn information() {
    let list = sniff_x(&["--list"]).out;
    assert!(list.lines().any(|l| l.starts_with("mysql ") && l.ends_with("built in")), "{list}");
    assert!(["all ", "auto "].iter().all(|name| list.lines().any(|l| l.starts_with(name))), "{list}");
    let version = sniff_x(&["--ver"]).out;
    assert!(version.starts_with(concat!("sniff-x ", env!("CARGO_PKG_VERSION"), "\n")), "{version}");
    assert!(version.contains("event schema"));
    assert_eq!(sniff_x(&["--version"]).out, version);
    let devices = sniff_x(&["--dev"]).out;
    assert!(devices.lines().any(|l| l.split_whitespace().any(|word| word == "lo")), "{devices}");
}

#[test]
fn the_plugin_path_in_its_order() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let missing = two.path().join("missing");
    let output = program()
        .args(["--env", "--plugin-dir"])
        .arg(one.path())
        .env("SNIFF_X_PLUGIN_DIR", std::env::join_paths([two.path(), &missing]).unwrap())
        .output();
    let shown = said(output.unwrap()).out;
    let lines: Vec<_> = shown.lines().skip(1).collect();
    assert!(
        lines[0].contains(one.path().to_str().unwrap()) && lines[0].ends_with("(--plugin-dir, exists)"),
        "{shown}"
    );
    assert!(lines[1].ends_with("(SNIFF_X_PLUGIN_DIR, exists)"), "{shown}");
    assert!(lines[2].ends_with("(SNIFF_X_PLUGIN_DIR, does not exist)"), "{shown}");
    assert!(
        lines[3].contains("sniff-x/plugins") && lines[3].ends_with("(default, does not exist)"),
        "{shown}"
    );
}

#[test]
fn man_page_and_completions_know_every_option() {
    let man = sniff_x(&["--man"]);
    assert_eq!(man.code, Some(0));
    assert!(man.out.contains("\\-\\-tcp.dump"), "{}", man.out);
    for shell in ["bash", "zsh", "fish"] {
        let script = sniff_x(&["--completions", shell]);
        assert_eq!(script.code, Some(0));
        assert!(script.out.contains("ring-size") && script.out.contains("tcp.dump"), "{shell}");
    }
    wrong(&["--completions", "tcsh"], &["bash"]);
}

#[test]
fn arguments_that_are_not_text() {
    use std::os::unix::ffi::OsStrExt;
    let output = program().arg(std::ffi::OsStr::from_bytes(b"--iface=\xff")).arg("mysql").output().unwrap();
    assert_eq!(said(output).code, Some(2));
}

#[test]
fn options_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sniff-x.toml");
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/captures/mysql-mariadb.pcapng");
    let text = format!(
        "plugin = 'mysql'\nread = '{capture}'\nformat = 'json'\nquiet = true\n[mysql]\nerrors = true\n"
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();

    let said = sniff_x(&["--config", file]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        !said.out.is_empty() && said.out.lines().all(|l| l.contains("\"status\":\"error\"")),
        "{}",
        said.out
    );
    // The command line wins.
    let said = sniff_x(&["--config", file, "--format", "text", "tcp"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        !said.out.is_empty() && said.out.lines().all(|l| l.contains(" tcp ") && l.contains("  summary ")),
        "{}",
        said.out
    );

    std::fs::write(folder.path().join("wrong.toml"), "fromat = 'json'").unwrap();
    let wrong_file = folder.path().join("wrong.toml");
    wrong(
        &["--config", wrong_file.to_str().unwrap(), "mysql"],
        &["no option 'fromat'; did you mean 'format'?"],
    );
    wrong(&["--config", "/nowhere/x.toml", "mysql"], &["/nowhere/x.toml", "No such file"]);
}
