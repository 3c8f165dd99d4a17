//! Stage: rule text → expression → eBPF | evaluator.
//!
//! One language, pcap-filter(7) syntax, with two meanings: *frame mode* (libpcap's verdict on the outer frame, for `--filter`) and
//! *flow mode* (asked of the innermost TCP or UDP header, for plugins' rules). Pure: no I/O, no system calls.
#![forbid(unsafe_code)]

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {}
