//! Events of external plugins: what the host's functions in [`RawHost`] do.
//!
//! An event's values are gathered in a [`Draft`] and go into the worker's arena when it is emitted: a plugin may begin an event
//! and leave it, and nothing of a borrow crosses the C interface.

use std::sync::atomic::{AtomicBool, Ordering};

use sniff_x_flow::Nanos;
use sniff_x_proto::event::{Key, Kind, Status, Suffix, ValueType};
use sniff_x_proto::{EventBuilder, Out, Sensitivity, Window};

use crate::abi::{self, RawHost, RawOut, RawWindow};

/// A key of the plugin as it was joined to the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JoinedKey {
    pub(crate) key: Key,
    pub(crate) value_type: ValueType,
    pub(crate) is_family: bool,
}

/// What a plugin's events are made with.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    pub(crate) protocol: &'static str,
    pub(crate) keys: Vec<JoinedKey>,
    /// A plugin's mistakes are told once.
    pub(crate) complained: AtomicBool,
}

impl Vocabulary {
    fn complain(&self, what: &str) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            log::warn!("plugin {}: {what}; further mistakes of it are not told", self.protocol);
        }
    }

    fn key(&self, index: u32, value_type: ValueType, is_family: bool) -> Option<Key> {
        let found = usize::try_from(index).ok().and_then(|i| self.keys.get(i));
        let fits = found.filter(|k| k.value_type == value_type && k.is_family == is_family);
        if fits.is_none() {
            self.complain(&format!("key {index} is unknown or of another type"));
        }
        fits.map(|k| k.key)
    }
}

/// One value of an event in the making; texts lie in the draft's bytes.
enum Put {
    Text { key: Key, start: usize, len: usize, full_len: u64, sensitivity: Sensitivity },
    IndexedText { key: Key, index: u32, start: usize, len: usize, sensitivity: Sensitivity },
    U64(Key, u64),
    I64(Key, i64),
    F64(Key, f64),
    Bool(Key, bool),
}

/// The event in the making; reused for all events of a decoder.
#[derive(Default)]
pub(crate) struct Draft {
    head: Option<(Kind, Nanos)>,
    status: Option<Status>,
    until: Option<Nanos>,
    values: Vec<Put>,
    bytes: Vec<u8>,
}

/// Values of one event, and bytes of their texts: beyond them a plugin is taken to run wild.
const MAX_VALUES: usize = 4096;
const MAX_BYTES: usize = 8 << 20;

impl Draft {
    /// Bytes of memory that it holds.
    pub(crate) fn retained(&self) -> usize {
        self.bytes.capacity() + self.values.capacity() * size_of::<Put>()
    }

    /// Forgets the event, and keeps a little memory.
    pub(crate) fn clear(&mut self) {
        const KEEP: usize = 16 << 10;
        (self.head, self.status, self.until) = (None, None, None);
        self.values.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEEP);
    }
}

/// What `sniff_x_out` is: the decoder's way out during one call.
pub(crate) struct Outlet<'a, 'b> {
    pub(crate) out: &'a mut Out<'b>,
    pub(crate) draft: &'a mut Draft,
    pub(crate) vocabulary: &'a Vocabulary,
}

impl Outlet<'_, '_> {
    /// The pointer that a plugin gets; valid as long as `self` is not moved.
    pub(crate) fn as_raw(&mut self) -> *mut RawOut {
        core::ptr::from_mut(self).cast()
    }

    fn put(&mut self, value: Put) {
        if self.has_room() {
            self.draft.values.push(value);
        }
    }

    fn has_room(&self) -> bool {
        let draft = &*self.draft;
        if draft.head.is_none() {
            self.vocabulary.complain("a value without an event");
            false
        } else if draft.values.len() >= MAX_VALUES || draft.bytes.len() >= MAX_BYTES {
            self.vocabulary.complain("too many values in one event");
            false
        } else {
            true
        }
    }

    /// Copies as much of `text` as will be kept.
    fn copy(&mut self, text: &[u8]) -> (usize, usize) {
        let start = self.draft.bytes.len();
        self.draft.bytes.extend_from_slice(text.get(..self.out.max_text()).unwrap_or(text));
        (start, self.draft.bytes.len() - start)
    }

    fn emit(&mut self) {
        let Some((kind, timestamp)) = self.draft.head else {
            return self.vocabulary.complain("emit without an event");
        };
        let draft = &*self.draft;
        let text = |start: usize, len: usize| draft.bytes.get(start..start + len).unwrap_or_default();
        let event = self.out.event(self.vocabulary.protocol, kind, timestamp);
        let event = event.maybe(draft.status, EventBuilder::status).maybe(draft.until, EventBuilder::until);
        let event = draft.values.iter().fold(event, |event, value| match *value {
            Put::Text { key, start, len, full_len, sensitivity } => {
                event.cut_text(key, text(start, len), full_len, sensitivity)
            }
            Put::IndexedText { key, index, start, len, sensitivity } => {
                event.member_text(key, Suffix::Index(index), text(start, len), len as u64, sensitivity)
            }
            Put::U64(key, value) => event.number(key, value),
            Put::I64(key, value) => event.signed(key, value),
            Put::F64(key, value) => event.float(key, value),
            Put::Bool(key, value) => event.flag(key, value),
        });
        event.emit();
        self.draft.clear();
    }
}

/// What every plugin gets.
pub(crate) static HOST: RawHost = RawHost {
    struct_size: size_of::<RawHost>(),
    abi_version: abi::VERSION,
    reserved: 0,
    seen_at,
    now,
    max_text,
    begin,
    status,
    until,
    put_text,
    put_indexed_text,
    put_u64,
    put_i64,
    put_f64,
    put_bool,
    emit,
};

/// # Safety
/// `out` is null or what [`Outlet::as_raw`] gave for the call that is under way (the header's promise), in this thread.
unsafe fn outlet<'a>(out: *mut RawOut) -> Option<&'a mut Outlet<'a, 'a>> {
    // SAFETY: by this function's contract; the caller into the plugin does not touch the outlet before the plugin returns.
    unsafe { out.cast::<Outlet<'a, 'a>>().as_mut() }
}

/// # Safety
/// `bytes` is null or points to `len` bytes that stay as they are for `'a`.
pub(crate) unsafe fn slice<'a>(bytes: *const u8, len: usize) -> &'a [u8] {
    if bytes.is_null() || isize::try_from(len).is_err() {
        return &[];
    }
    // SAFETY: not null, readable by this function's contract, and not longer than a slice may be.
    unsafe { core::slice::from_raw_parts(bytes, len) }
}

unsafe extern "C" fn seen_at(window: *const RawWindow, offset: usize) -> u64 {
    // SAFETY: the header lets a plugin pass only windows that it was given, during that call; their `seen` is the Rust window.
    let window = unsafe { window.as_ref().and_then(|w| w.seen.cast::<Window<'_>>().as_ref()) };
    window.map_or(0, |w| w.seen_at(offset).0)
}

unsafe extern "C" fn now(out: *const RawOut) -> u64 {
    // SAFETY: the header lets a plugin pass only the out that it was given, during that call.
    unsafe { outlet(out.cast_mut()) }.map_or(0, |o| o.out.now().0)
}

unsafe extern "C" fn max_text(out: *const RawOut) -> usize {
    // SAFETY: as for `now`.
    unsafe { outlet(out.cast_mut()) }.map_or(0, |o| o.out.max_text())
}

unsafe extern "C" fn begin(out: *mut RawOut, kind: u32, timestamp: u64) {
    // SAFETY: as for `now`.
    let Some(outlet) = (unsafe { outlet(out) }) else { return };
    outlet.draft.clear();
    outlet.draft.head = abi::kind(kind).map(|kind| (kind, Nanos(timestamp)));
    if outlet.draft.head.is_none() {
        outlet.vocabulary.complain("an event of an unknown kind");
    }
}

unsafe extern "C" fn status(out: *mut RawOut, code: u32) {
    // SAFETY: as for `now`.
    let Some(outlet) = (unsafe { outlet(out) }) else { return };
    outlet.draft.status = abi::status(code);
    if outlet.draft.status.is_none() {
        outlet.vocabulary.complain("an unknown status");
    }
}

unsafe extern "C" fn until(out: *mut RawOut, end: u64) {
    // SAFETY: as for `now`.
    if let Some(outlet) = unsafe { outlet(out) } {
        outlet.draft.until = Some(Nanos(end));
    }
}

unsafe extern "C" fn put_text(
    out: *mut RawOut,
    key: u32,
    text: *const u8,
    len: usize,
    full_len: u64,
    sensitivity: u32,
) {
    // SAFETY: as for `now`.
    let Some(outlet) = (unsafe { outlet(out) }) else { return };
    let Some(key) = outlet.vocabulary.key(key, ValueType::Text, false) else { return };
    let sensitivity = abi::sensitivity(sensitivity);
    // SAFETY: the header asks for `len` readable bytes during the call.
    let text = unsafe { slice(text, len) };
    if sensitivity == Sensitivity::Secret || !outlet.has_room() {
        return;
    }
    let (start, kept) = outlet.copy(text);
    let full_len = full_len.max(text.len() as u64);
    outlet.put(Put::Text { key, start, len: kept, full_len, sensitivity });
}

unsafe extern "C" fn put_indexed_text(
    out: *mut RawOut,
    key: u32,
    index: u32,
    text: *const u8,
    len: usize,
    sensitivity: u32,
) {
    // SAFETY: as for `now`.
    let Some(outlet) = (unsafe { outlet(out) }) else { return };
    let Some(key) = outlet.vocabulary.key(key, ValueType::Text, true) else { return };
    let sensitivity = abi::sensitivity(sensitivity);
    if sensitivity == Sensitivity::Secret || !outlet.has_room() {
        return;
    }
    // SAFETY: the header asks for `len` readable bytes during the call.
    let (start, len) = outlet.copy(unsafe { slice(text, len) });
    outlet.put(Put::IndexedText { key, index, start, len, sensitivity });
}

unsafe extern "C" fn put_u64(out: *mut RawOut, key: u32, value: u64) {
    // SAFETY: as for `now`.
    unsafe { put(out, key, ValueType::Integer, |key| Put::U64(key, value)) }
}

unsafe extern "C" fn put_i64(out: *mut RawOut, key: u32, value: i64) {
    // SAFETY: as for `now`.
    unsafe { put(out, key, ValueType::Integer, |key| Put::I64(key, value)) }
}

unsafe extern "C" fn put_f64(out: *mut RawOut, key: u32, value: f64) {
    // SAFETY: as for `now`.
    unsafe { put(out, key, ValueType::Float, |key| Put::F64(key, value)) }
}

unsafe extern "C" fn put_bool(out: *mut RawOut, key: u32, value: u32) {
    // SAFETY: as for `now`.
    unsafe { put(out, key, ValueType::Boolean, |key| Put::Bool(key, value != 0)) }
}

/// # Safety
/// As for [`outlet`].
unsafe fn put(out: *mut RawOut, key: u32, value_type: ValueType, value: impl FnOnce(Key) -> Put) {
    // SAFETY: by this function's contract.
    let Some(outlet) = (unsafe { outlet(out) }) else { return };
    if let Some(key) = outlet.vocabulary.key(key, value_type, false) {
        outlet.put(value(key));
    }
}

unsafe extern "C" fn emit(out: *mut RawOut) {
    // SAFETY: as for `now`.
    if let Some(outlet) = unsafe { outlet(out) } {
        outlet.emit();
    }
}
