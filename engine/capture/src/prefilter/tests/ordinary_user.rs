//! An ordinary user with the two capabilities that `setcap` grants can load; without them, the error names what is missing.
//!
//! As root the verifier is more lenient, so this runs the test program again through `setpriv`.

use std::fs::{self, Permissions};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::{LINKS, generated, insn, language, root};
use crate::CaptureError;
use crate::prefilter::{Link, Prefilter, PrefilterCounters};

/// Says to the test program that it runs as the ordinary user.
const INNER: &str = "SNIFFX_TEST_ORDINARY_USER";

/// Runs the named test of this program as an ordinary user with these capabilities (none: `-all`).
fn as_ordinary_user(test: &str, capabilities: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    // The user may not be able to reach the build folder.
    let program = folder.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(format!("--bounding-set={capabilities}"))
        .arg(format!("--inh-caps={capabilities}"))
        .arg(format!("--ambient-caps={capabilities}"))
        .arg(&program)
        .args(["--exact", "--nocapture", test])
        .env(INNER, "1")
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn loads_with_two_capabilities() {
    if std::env::var_os(INNER).is_some() {
        assert!(!nix::unistd::geteuid().is_root());
        for link in LINKS {
            let mut prefilter = Prefilter::load(link).unwrap();
            let packet = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).unwrap();
            prefilter.attach(packet.as_fd()).unwrap();
            // Loaded, and refused only because the socket has not joined a group.
            match prefilter.choose_rings(packet.as_fd()) {
                Err(CaptureError::System { call: "setsockopt(PACKET_FANOUT_DATA)", .. }) => {}
                other => panic!("{other:?}"),
            }
            prefilter.set_rules(|fds| Ok::<_, &str>(insn::reject_and_count(fds.counters))).unwrap();
            for rules in generated::rule_sets() {
                generated::set(&mut prefilter, &rules)
                    .unwrap_or_else(|e| panic!("{rules:?} on {link:?}: {e}"));
            }
            for rules in language::filters() {
                language::set(&mut prefilter, &rules)
                    .unwrap_or_else(|e| panic!("{rules:?} on {link:?}: {e}"));
            }
            assert_eq!(prefilter.counters().unwrap(), PrefilterCounters::default());
        }
    } else if root("loads_with_two_capabilities") {
        as_ordinary_user(
            "prefilter::tests::ordinary_user::loads_with_two_capabilities",
            "-all,+net_raw,+bpf",
        );
    }
}

#[test]
fn without_them_the_error_names_the_capability() {
    if std::env::var_os(INNER).is_some() {
        match Prefilter::load(Link::Ethernet) {
            Err(CaptureError::Permission { capabilities: "cap_bpf", .. }) => {}
            other => panic!("{other:?}"),
        }
    } else if root("without_them_the_error_names_the_capability") {
        as_ordinary_user(
            "prefilter::tests::ordinary_user::without_them_the_error_names_the_capability",
            "-all",
        );
    }
}
