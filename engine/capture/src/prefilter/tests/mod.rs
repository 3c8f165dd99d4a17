//! Tests of the prefilter. They need root, and say so when they are skipped; with SNIFFX_REQUIRE=all that is a failure.

mod bpf;
mod frames;
mod generated;
mod insn;
mod language;
mod namespace;
mod ordinary_user;
mod parse;
mod wire;

use super::{Link, Prefilter};
use crate::CaptureError;

const LINKS: [Link; 3] = [Link::Ethernet, Link::RawIp, Link::Any];

/// Whether this process is root, which the tests need to load programs and to make namespaces, and has the tools for that.
fn root(test: &str) -> bool {
    let here = |tool: &str| std::process::Command::new(tool).arg("-V").output().is_ok();
    let missing = if !nix::unistd::geteuid().is_root() {
        "root"
    } else if !here("ip") {
        "ip (Debian: iproute2)"
    } else if !here("setpriv") {
        "setpriv (Debian: util-linux)"
    } else {
        return true;
    };
    assert_ne!(std::env::var("SNIFFX_REQUIRE").as_deref(), Ok("all"), "{test} needs {missing}");
    println!("skipped: {test} needs {missing}");
    false
}

#[test]
fn a_refused_rule_program_comes_with_the_verifiers_words() {
    if !root("a_refused_rule_program_comes_with_the_verifiers_words") {
        return;
    }
    let mut prefilter = Prefilter::load(Link::Ethernet).unwrap();
    match prefilter.set_rules(|_| Ok::<_, &str>(insn::uninitialised())) {
        Err(CaptureError::Prefilter(text)) => assert!(text.contains("R2 !read_ok"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_number_of_instructions_is_refused() {
    for len in [0, 7, 12] {
        let error = super::object::wrap("socket", &vec![0; len]).unwrap_err().to_string();
        assert!(error.contains(&format!("{len} bytes")), "{error}");
    }
}

#[test]
fn a_reader_thread_may_own_it() {
    fn send<T: Send>() {}
    send::<Prefilter>();
}
