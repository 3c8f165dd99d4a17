//! The C interface as Rust sees it: the mirror of `include/sniff_x_plugin.h`, field by field. A test compares sizes and offsets with the
//! header's.

use core::ffi::{c_char, c_int, c_void};

use sniff_x_flow::{Direction, End};
use sniff_x_proto::event::{IncompleteReason, Kind, Status, ValueType};
use sniff_x_proto::{BypassReason, Lost, Next, Probe, Sensitivity};

pub(crate) const VERSION: u32 = 1;
/// The one exported function.
pub(crate) const ENTRY: &[u8] = b"sniff_x_plugin_v1\0";

/// What the exported function is.
pub(crate) type Entry = unsafe extern "C" fn() -> *const RawPlugin;

#[repr(C)]
pub(crate) struct RawOption {
    pub(crate) struct_size: usize,
    pub(crate) long_name: *const c_char,
    pub(crate) value_name: *const c_char,
    pub(crate) help: *const c_char,
    pub(crate) default_text: *const c_char,
    pub(crate) short_name: u32,
    pub(crate) repeatable: u32,
}

#[repr(C)]
pub(crate) struct RawKey {
    pub(crate) struct_size: usize,
    pub(crate) name: *const c_char,
    pub(crate) unit: *const c_char,
    pub(crate) about: *const c_char,
    pub(crate) value_type: u32,
    pub(crate) reserved: u32,
}

#[repr(C)]
pub(crate) struct RawAbout {
    pub(crate) struct_size: usize,
    pub(crate) name: *const c_char,
    pub(crate) version: *const c_char,
    pub(crate) summary: *const c_char,
    pub(crate) options: *const *const RawOption,
    pub(crate) option_count: usize,
    pub(crate) keys: *const *const RawKey,
    pub(crate) key_count: usize,
    pub(crate) opens_at: u32,
    pub(crate) reserved: u32,
}

#[repr(C)]
pub(crate) struct RawValue {
    pub(crate) struct_size: usize,
    pub(crate) option: *const c_char,
    pub(crate) value: *const c_char,
}

#[repr(C)]
pub(crate) struct RawComplaint {
    pub(crate) struct_size: usize,
    pub(crate) value: usize,
    pub(crate) expected: [u8; 160],
}

#[repr(C)]
pub(crate) struct RawFlow {
    pub(crate) struct_size: usize,
    pub(crate) serial: u64,
    pub(crate) first_seen: u64,
    pub(crate) client_address: [u8; 16],
    pub(crate) server_address: [u8; 16],
    pub(crate) client_port: u16,
    pub(crate) server_port: u16,
    pub(crate) transport: u32,
    pub(crate) midstream: u32,
    pub(crate) reserved: u32,
}

#[repr(C)]
pub(crate) struct RawWindow {
    pub(crate) struct_size: usize,
    pub(crate) bytes: *const u8,
    pub(crate) len: usize,
    pub(crate) seen: *const c_void,
}

#[repr(C)]
pub(crate) struct RawNext {
    pub(crate) struct_size: usize,
    pub(crate) used: u64,
    pub(crate) amount: u64,
    pub(crate) what: u32,
    pub(crate) reserved: u32,
}

/// `sniff_x_out`: what it is, only the host knows.
#[repr(C)]
pub(crate) struct RawOut {
    _opaque: [u8; 0],
}

#[repr(C)]
pub(crate) struct RawHost {
    pub(crate) struct_size: usize,
    pub(crate) abi_version: u32,
    pub(crate) reserved: u32,
    pub(crate) seen_at: unsafe extern "C" fn(*const RawWindow, usize) -> u64,
    pub(crate) now: unsafe extern "C" fn(*const RawOut) -> u64,
    pub(crate) max_text: unsafe extern "C" fn(*const RawOut) -> usize,
    pub(crate) begin: unsafe extern "C" fn(*mut RawOut, u32, u64),
    pub(crate) status: unsafe extern "C" fn(*mut RawOut, u32),
    pub(crate) until: unsafe extern "C" fn(*mut RawOut, u64),
    pub(crate) put_text: unsafe extern "C" fn(*mut RawOut, u32, *const u8, usize, u64, u32),
    pub(crate) put_indexed_text: unsafe extern "C" fn(*mut RawOut, u32, u32, *const u8, usize, u32),
    pub(crate) put_u64: unsafe extern "C" fn(*mut RawOut, u32, u64),
    pub(crate) put_i64: unsafe extern "C" fn(*mut RawOut, u32, i64),
    pub(crate) put_f64: unsafe extern "C" fn(*mut RawOut, u32, f64),
    pub(crate) put_bool: unsafe extern "C" fn(*mut RawOut, u32, u32),
    pub(crate) emit: unsafe extern "C" fn(*mut RawOut),
}

pub(crate) type Create = unsafe extern "C" fn(*const RawHost) -> *mut c_void;
pub(crate) type Destroy = unsafe extern "C" fn(*mut c_void);
pub(crate) type Configure =
    unsafe extern "C" fn(*mut c_void, *const RawValue, usize, *mut RawComplaint) -> c_int;
pub(crate) type Rule = unsafe extern "C" fn(*mut c_void) -> *const c_char;
pub(crate) type IsServerPort = unsafe extern "C" fn(*mut c_void, u16) -> c_int;
pub(crate) type ProbeCall = unsafe extern "C" fn(*mut c_void, *const u8, usize, *const u8, usize) -> u32;
pub(crate) type Open = unsafe extern "C" fn(*mut c_void, *const RawFlow) -> *mut c_void;
pub(crate) type Data = unsafe extern "C" fn(*mut c_void, u32, *const RawWindow, *mut RawNext, *mut RawOut);
pub(crate) type Gap =
    unsafe extern "C" fn(*mut c_void, u32, *const RawWindow, u32, u64, *mut RawNext, *mut RawOut);
pub(crate) type Tick = unsafe extern "C" fn(*mut c_void, u64, *mut RawOut) -> c_int;
pub(crate) type HalfClosed = unsafe extern "C" fn(*mut c_void, u32, *const RawWindow, *mut RawOut);
pub(crate) type EndCall =
    unsafe extern "C" fn(*mut c_void, u32, *const RawWindow, *const RawWindow, *mut RawOut);
pub(crate) type Retained = unsafe extern "C" fn(*mut c_void) -> usize;

#[repr(C)]
pub(crate) struct RawPlugin {
    pub(crate) struct_size: usize,
    pub(crate) abi_version: u32,
    pub(crate) reserved: u32,
    pub(crate) about: *const RawAbout,
    pub(crate) create: Option<Create>,
    pub(crate) destroy: Option<Destroy>,
    pub(crate) configure: Option<Configure>,
    pub(crate) rule: Option<Rule>,
    pub(crate) is_server_port: Option<IsServerPort>,
    pub(crate) probe: Option<ProbeCall>,
    pub(crate) open: Option<Open>,
    pub(crate) data: Option<Data>,
    pub(crate) gap: Option<Gap>,
    pub(crate) datagram: Option<Data>,
    pub(crate) tick: Option<Tick>,
    pub(crate) half_closed: Option<HalfClosed>,
    pub(crate) end: Option<EndCall>,
    pub(crate) retained: Option<Retained>,
    pub(crate) close: Option<Destroy>,
}

pub(crate) const fn direction(direction: Direction) -> u32 {
    match direction {
        Direction::ToServer => 0,
        Direction::ToClient => 1,
    }
}

pub(crate) const fn end(why: End) -> u32 {
    match why {
        End::Fin => 0,
        End::Rst => 1,
        End::Reused => 2,
        End::Idle => 3,
        End::Evicted => 4,
        End::Eof => 5,
    }
}

/// The kind of loss and its bytes.
pub(crate) const fn lost(lost: Lost) -> (u32, u64) {
    match lost {
        Lost::Bytes(bytes) => (0, bytes),
        Lost::Unknown => (1, 0),
        Lost::Limit(bytes) => (2, bytes),
    }
}

pub(crate) const fn value_type(code: u32) -> Option<ValueType> {
    Some(match code {
        0 => ValueType::Text,
        1 => ValueType::Integer,
        2 => ValueType::Float,
        3 => ValueType::Boolean,
        _ => return None,
    })
}

/// An answer that is not known counts as no.
pub(crate) const fn probe(code: u32) -> Probe {
    match code {
        1 => Probe::More,
        2 => Probe::Yes { reversed: false },
        3 => Probe::Yes { reversed: true },
        _ => Probe::No,
    }
}

pub(crate) const fn kind(code: u32) -> Option<Kind> {
    Some(match code {
        0 => Kind::Exchange,
        1 => Kind::Message,
        2 => Kind::Session,
        3 => Kind::Notice,
        4 => Kind::Summary,
        _ => return None,
    })
}

pub(crate) const fn status(code: u32) -> Option<Status> {
    Some(match code {
        0 => Status::Ok,
        1 => Status::Error,
        16 => Status::Incomplete(IncompleteReason::Gap),
        17 => Status::Incomplete(IncompleteReason::Midstream),
        18 => Status::Incomplete(IncompleteReason::Truncated),
        19 => Status::Incomplete(IncompleteReason::Limit),
        20 => Status::Incomplete(IncompleteReason::Timeout),
        21 => Status::Incomplete(IncompleteReason::Evicted),
        22 => Status::Incomplete(IncompleteReason::Eof),
        23 => Status::Incomplete(IncompleteReason::Malformed),
        _ => return None,
    })
}

/// What is not known is kept to itself.
pub(crate) const fn sensitivity(code: u32) -> Sensitivity {
    match code {
        0 => Sensitivity::Public,
        1 => Sensitivity::Literal,
        _ => Sensitivity::Secret,
    }
}

/// What the plugin wants next of a window of `len` bytes; an answer that makes no sense ends the decoding.
pub(crate) fn next(raw: &RawNext, len: usize) -> Next {
    let used = usize::try_from(raw.used).unwrap_or(usize::MAX);
    let undecodable = Next::Bypass(BypassReason::Undecodable);
    if used > len {
        return undecodable;
    }
    match raw.what {
        0 => Next::More { used, need: usize::try_from(raw.amount).unwrap_or(usize::MAX) },
        1 => Next::Skip { used, then: raw.amount },
        2 => Next::Bypass(match raw.amount {
            0 => BypassReason::Encrypted,
            1 => BypassReason::NotThisProtocol,
            3 => BypassReason::Limit,
            _ => BypassReason::Undecodable,
        }),
        _ => undecodable,
    }
}
