//! Names: both programs run where `/etc` is a folder made here, so that what they mean is looked up by libpcap itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sniff_x_flow::LinkType;
use sniff_x_tests::frames::{Timed, write};
use sniff_x_tests::{binary, has_program, is_root};

use super::{made, written};

const HOSTS: &str = "127.0.0.1 localhost
10.0.0.1 alpha alpha.example.net
10.0.0.1 both
10.0.1.2 both
192.168.7.9 both
fe80::1 both
2001:db8::2 both
10.0.1.2 mixed
2001:db8::2 mixed
fe80::1 six
10.0.0.1 no-ether wide dashes short hashed second nameless
10.0.1.2 indented last tcp udp latin
";

/// In the ways that ethers(5) can be written, and some in which it can't.
const ETHERS: &[u8] = b"# Ethernet addresses
02:00:00:00:00:01 alpha alias # the rest of a line
2:0:0:0:0:2 Both
02:00:00:00:00:03\tmixed\r

0x2:0:0:0:0:3 six
   2:00:0:000:0:3 indented
02-00-00-00-00-01 dashes
02:00:00:00:00:100 wide
02:00:00:00:01 short
02:00:00:00:00:01:02 long
02:00:00:00:00:01
zz:00:00:00:00:01 letters
#02:00:00:00:00:01 commented
02:00:00:00:00:01 ha#shed
02:00:00:00:00:01# second
02:00:00:00:00:02 alpha
02:00:00:00:00:02 tcp
02:00:00:00:00:03 only-ether
02:00:00:00:00:03 latin # caf\xe9
02:00:00:00:00:02 last";

const SERVICES: &str = "low 53/tcp\nlow 53/udp\nweb 80/tcp www # http\nodd 3306/udp\nsplit 443/tcp\nsplit 80/udp\nhigh\t51000/tcp\ncontrol 5432/sctp\n";
const PROTOCOLS: &str = "ip 0 IP\ntcp 6 TCP\nudp 17 UDP\nstream 132 SCTP\nicmp 1 ICMP\n";
/// Two to four bytes long, and with what is missing before them or behind.
const NETWORKS: &str = "ten 10\nlab 10.0.1.0\ndesk 10.0.1.2\nhome 192.168.7.9 House\nleft 0.0.0.10\nleft-two 0.0.192.168\nhex 0xa.0.01.2\ndefault 0.0.0.0\n";
const SWITCH: &str = "hosts: files\nethers: files\nservices: files\nprotocols: files\nnetworks: files\n";

/// What both take, with the same meaning.
const SAME: &[&str] = &[
    "ether host alpha",
    "ether src alpha",
    "ether dst alpha",
    "ether src host alpha",
    "ether src and dst alpha",
    "ether src or dst host ALPHA",
    "ether host both or mixed",
    "ether host (alpha or both) and tcp",
    "ether src alpha and not ether dst both",
    "ether host not alpha",
    "ether src both",
    "ether dst six",
    "ether src indented",
    "ether src \\tcp",
    "ether src ha",
    "ether src latin",
    "ether src only-ether",
    "ether src last",
    "wlan host alpha",
    "fddi src alpha or tr dst both",
    "link dst mixed",
    "vlan and ether src alpha",
    "host alpha",
    "host alpha.example.net",
    "src alpha",
    "dst host alpha",
    "arp host alpha",
    "rarp src alpha",
    "ip host both",
    "ip6 host both",
    "ip6 src both or mixed",
    "host both",
    "src host both",
    "src and dst both",
    "not host mixed",
    "host alpha and port 80",
    "host six or alpha",
    "ip6 host six",
    "port low",
    "port www",
    "src port odd",
    "port split",
    "tcp port split",
    "udp port odd",
    "portrange low-web",
    "portrange web-high",
    "portrange web-odd",
    "udp portrange low-low",
    "proto stream",
    "proto SCTP",
    "ip proto \\udp",
    "ip6 proto stream",
    "net ten",
    "src net lab",
    "net desk",
    "src net HOME",
    "dst net house",
    "net left",
    "src net left-two",
    "net hex or home",
];

/// `gateway`, and what pcap-filter(7) says is the same: libpcap that knows IPv6 refuses the word.
const GATEWAYS: &[(&str, &str)] = &[
    ("gateway alpha", "ether host alpha and not host 10.0.0.1"),
    ("gateway both", "ether host both and not (host 10.0.0.1 or 10.0.1.2 or 192.168.7.9)"),
    ("gateway mixed", "ether host mixed and not host 10.0.1.2"),
    ("gateway \\tcp", "ether host \\tcp and not host 10.0.1.2"),
    ("ip gateway alpha", "ether host alpha and not ip host 10.0.0.1"),
    ("arp gateway alpha", "ether host alpha and not arp host 10.0.0.1"),
    ("rarp gateway both", "ether host both and not rarp host (10.0.0.1 or 10.0.1.2 or 192.168.7.9)"),
    ("not gateway alpha", "not (ether host alpha and not host 10.0.0.1)"),
    ("gateway not alpha", "not (ether host alpha and not host 10.0.0.1)"),
    (
        "gateway alpha or mixed",
        "(ether host alpha and not host 10.0.0.1) or (ether host mixed and not host 10.0.1.2)",
    ),
    (
        "gateway (alpha or mixed) and udp",
        "((ether host alpha and not host 10.0.0.1) or (ether host mixed and not host 10.0.1.2)) and udp",
    ),
    ("gateway alpha and (port 80 or 3306)", "ether host alpha and not host 10.0.0.1 and (port 80 or 3306)"),
    ("gateway mixed and ip[2:2] > 39", "ether host mixed and not host 10.0.1.2 and ip[2:2] > 39"),
    ("vlan and gateway alpha", "vlan and ether host alpha and not host 10.0.0.1"),
];

/// What both refuse: the part that is pointed at, and what is said of it.
const REFUSED: &[(&str, &str, &str)] = &[
    ("ether host nobody", "nobody", "unknown Ethernet host 'nobody': /etc/ethers does not have it"),
    ("ether src alias", "alias", "unknown Ethernet host"),
    ("ether src dashes", "dashes", "unknown Ethernet host"),
    ("ether src wide", "wide", "unknown Ethernet host"),
    ("ether src short", "short", "unknown Ethernet host"),
    ("ether src long", "long", "unknown Ethernet host"),
    ("ether src letters", "letters", "unknown Ethernet host"),
    ("ether src commented", "commented", "unknown Ethernet host"),
    ("ether src hashed", "hashed", "unknown Ethernet host"),
    ("ether src second", "second", "unknown Ethernet host"),
    ("ether net ten", "ten", "'ether' has no addresses"),
    ("ether host 5", "5", "'ether' has no addresses"),
    ("host nobody", "nobody", "unknown host"),
    ("ip6 host alpha", "alpha", "has no IPv6 address"),
    ("ip host six", "six", "has no IPv4 address"),
    ("tcp host alpha", "alpha", "write 'tcp and host alpha'"),
    ("gateway no-ether", "no-ether", "unknown Ethernet host"),
    ("gateway only-ether", "only-ether", "unknown host"),
    ("gateway six", "six", "has no IPv4 address"),
    ("ether gateway alpha", "alpha", "'ether' has no gateways"),
    ("ip6 gateway alpha", "alpha", "'ip6' has no gateways"),
    ("tcp gateway alpha", "alpha", "'tcp' has no gateways"),
    ("src gateway alpha", "gateway", "takes no 'src' or 'dst'"),
    ("gateway 10.0.0.1", "10.0.0.1", "expected the name of a host behind 'gateway'"),
    ("gateway 5", "5", "expected the name of a host"),
    ("gateway fe80::1", "fe80::1", "expected the name of a host"),
    ("gateway 2:0:0:0:0:1", "2:0:0:0:0:1", "needs 'ether host'"),
    ("gateway", "", "the name of a host is expected"),
    ("port control", "control", "unknown service"),
    ("tcp port odd", "odd", "is one of udp"),
    ("udp portrange web-high", "web-high", "is one of tcp"),
    ("proto nothing", "nothing", "unknown protocol"),
    ("net nowhere", "nowhere", "unknown network"),
    ("net default", "default", "unknown network"),
];

/// A folder for `/etc`, with what a program needs to find its way.
fn etc(folder: &Path) -> PathBuf {
    let etc = folder.join("etc");
    fs::create_dir(&etc).unwrap();
    for name in ["passwd", "group", "ld.so.cache"] {
        let system = Path::new("/etc").join(name);
        if system.exists() {
            fs::copy(system, etc.join(name)).unwrap();
        }
    }
    for (name, text) in [
        ("hosts", HOSTS),
        ("services", SERVICES),
        ("protocols", PROTOCOLS),
        ("networks", NETWORKS),
        ("nsswitch.conf", SWITCH),
        ("host.conf", "multi on\n"),
    ] {
        fs::write(etc.join(name), text).unwrap();
    }
    fs::write(etc.join("ethers"), ETHERS).unwrap();
    etc
}

/// A program that finds `etc` in place of `/etc`, in a mount namespace of its own.
fn within(etc: &Path, program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc && exec \"$@\""]).arg(etc).arg(program);
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Frames of all kinds from and to several stations.
fn captures(folder: &Path) -> Vec<PathBuf> {
    let file = |link_type: LinkType| {
        let mut frames = made::all(link_type);
        if link_type == LinkType::ETHERNET {
            for (frame, number) in frames.iter_mut().zip(0_u8..=u8::MAX) {
                if let [_, _, _, _, _, to, _, _, _, _, _, from, ..] = &mut frame[..] {
                    (*to, *from) = (1 + number % 3, 1 + number / 3 % 3);
                }
            }
        }
        let frames: Vec<_> = frames
            .into_iter()
            .zip(1_700_000_000_000_000_000..)
            .map(|(bytes, time)| Timed { time, bytes })
            .collect();
        let path = folder.join(format!("stations-{}.pcap", link_type.0));
        write(&path, u32::from(link_type.0), &frames);
        path
    };
    [LinkType::ETHERNET, LinkType::RAW, LinkType::LINUX_SLL].map(file).into()
}

/// What tcpdump lets pass; none where it refuses.
fn by_tcpdump(etc: &Path, capture: &Path, text: &str) -> Option<Vec<Vec<u8>>> {
    let output = capture.with_extension("theirs");
    let mut tcpdump = within(etc, Path::new("tcpdump"));
    tcpdump.arg("-r").arg(capture).args(["-w", "-", "--", text]).stderr(Stdio::null());
    let status = tcpdump.stdout(fs::File::create(&output).unwrap()).status().unwrap();
    status.success().then(|| written(&output))
}

/// A run of the program, and what passed.
fn by_us(etc: &Path, capture: &Path, text: &str) -> (Output, Vec<Vec<u8>>) {
    let output = capture.with_extension("ours");
    let mut ours = within(etc, &binary::path());
    ours.arg("-q").arg("--read").arg(capture).arg(format!("--filter={text}")).arg("--write").arg(&output);
    (ours.output().unwrap(), written(&output))
}

#[test]
fn names_are_looked_up_as_libpcap_does() {
    if !is_root() || !has_program("tcpdump", "tcpdump") || !has_program("unshare", "util-linux") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (etc, captures) = (etc(folder.path()), captures(folder.path()));
    let all = SAME.iter().map(|text| (*text, *text)).chain(GATEWAYS.iter().copied());
    let (mut differences, mut passed_by_none) = (Vec::new(), Vec::new());
    for (text, said) in all {
        let mut passed = 0;
        for capture in &captures {
            let (output, ours) = by_us(&etc, capture, text);
            assert!(output.status.success(), "'{text}': {}", String::from_utf8_lossy(&output.stderr));
            let theirs = by_tcpdump(&etc, capture, said);
            // Where it refuses, there are no Ethernet addresses.
            assert!(theirs.is_some() || capture != &captures[0], "'{said}'");
            let theirs = theirs.unwrap_or_default();
            passed += ours.len();
            if ours != theirs {
                let name = capture.display();
                differences.push(format!(
                    "'{text}' on {name}: {} pass, tcpdump: {}",
                    ours.len(),
                    theirs.len()
                ));
            }
        }
        if passed == 0 {
            passed_by_none.push(text);
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    // These have all of their bits asked for.
    assert_eq!(passed_by_none, ["net ten", "src net lab"]);
}

#[test]
fn names_that_are_refused() {
    if !is_root() || !has_program("tcpdump", "tcpdump") || !has_program("unshare", "util-linux") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (etc, captures) = (etc(folder.path()), captures(folder.path()));
    let refuses = |text: &str, part: &str, message: &str| {
        assert_eq!(by_tcpdump(&etc, &captures[0], text), None, "'{text}'");
        let (output, _) = by_us(&etc, &captures[0], text);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "'{text}': {said}");
        let place =
            format!("\n  {text}\n  {:1$}{2:^<3$}", "", text.rfind(part).unwrap(), "", part.len().max(1));
        assert!(said.contains(message) && said.trim_end().ends_with(&place), "'{text}': {said}");
    };
    for (text, part, message) in REFUSED {
        refuses(text, part, message);
    }
    fs::remove_file(etc.join("ethers")).unwrap();
    refuses("ether host alpha", "alpha", "/etc/ethers can't be read: No such file");
    refuses("gateway alpha", "alpha", "/etc/ethers can't be read: No such file");
}
