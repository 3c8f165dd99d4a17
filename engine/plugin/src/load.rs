//! Library → plugin: everything that it says of itself is checked and copied before it is used.

use core::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use libloading::Library;
use sniff_x_proto::event::{Key, KeyInfo, KeyTable, ValueType};
use sniff_x_proto::{About, OpensAt, OptionSpec, Plugin};
use thiserror::Error;

use crate::abi::{self, Entry, RawAbout, RawKey, RawOption, RawPlugin};
use crate::decoder::{Calls, ExternalPlugin, Instance};
use crate::out::{JoinedKey, Vocabulary};

/// A library can't be used as a plugin.
#[derive(Debug, Error)]
#[error("{}: {reason}", library.display())]
pub struct LoadError {
    /// The library.
    pub library: PathBuf,
    /// Why not.
    pub reason: Reason,
}

/// Why a library is no plugin.
#[derive(Debug, Error)]
pub enum Reason {
    /// The dynamic linker refused it, or it is no plugin.
    #[error("can't be loaded: {0}")]
    Linker(#[from] libloading::Error),
    /// Made for another version of the interface.
    #[error("is made for version {0} of the plugin interface; this program has version {version}", version = abi::VERSION)]
    Version(u32),
    /// Something that must be there is not, or is not what it should be.
    #[error("{what} {problem}")]
    Invalid {
        /// A struct, function or name.
        what: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

fn invalid(what: impl Into<String>, problem: &'static str) -> Reason {
    Reason::Invalid { what: what.into(), problem }
}

/// Loads the plugin in `library` and joins its keys to `keys`. The library stays loaded until the process ends.
///
/// # Errors
/// The library can't be loaded, or does not keep to the interface as far as that can be seen. `keys` may have got keys
/// that nobody uses.
pub fn load(library: &Path, keys: &mut KeyTable) -> Result<Box<dyn Plugin>, LoadError> {
    load_plugin(library, keys).map_err(|reason| LoadError { library: library.to_owned(), reason })
}

fn load_plugin(path: &Path, keys: &mut KeyTable) -> Result<Box<dyn Plugin>, Reason> {
    // SAFETY: a library's initialisers run. Whoever put it on the plugin path asked for that; PluginPath checks who can.
    let library = unsafe { Library::new(path)? };
    // SAFETY: the symbol's type is the one that the header gives the only symbol of this name.
    let entry = unsafe { *library.get::<Entry>(abi::ENTRY)? };
    // From here on pointers into the library are kept: it must never be unloaded.
    core::mem::forget(library);

    // SAFETY: the entry function takes nothing and returns a pointer that stays valid, as the header says.
    let raw = unsafe { entry() };
    // SAFETY: every version of the struct begins with its size and the version.
    let version =
        unsafe { raw.as_ref() }.map(|r| r.abi_version).ok_or_else(|| invalid("sniff_x_plugin", "is null"))?;
    if version != abi::VERSION {
        return Err(Reason::Version(version));
    }
    // SAFETY: the header promises a struct of this version that stays.
    let raw: &'static RawPlugin = unsafe { whole(raw, "sniff_x_plugin")? };
    // SAFETY: as above.
    let about: &'static RawAbout = unsafe { whole(raw.about, "sniff_x_about")? };
    // SAFETY: the header promises strings and arrays of the given lengths that stay.
    let (about, joined) = unsafe { copy_about(about, keys)? };
    let calls = Calls::of(raw).map_err(|name| invalid(name, "is missing"))?;
    let vocabulary = Vocabulary { protocol: about.name, keys: joined, complained: AtomicBool::new(false) };
    let instance = Instance::create(calls, vocabulary).ok_or_else(|| invalid("create", "returned null"))?;
    Ok(Box::new(ExternalPlugin::new(about, instance)))
}

/// Copies what the plugin says of itself; the copies stay, like the library.
///
/// # Safety
/// The pointers in `raw` are null or as the header says, and what they point to stays.
unsafe fn copy_about(raw: &RawAbout, keys: &mut KeyTable) -> Result<(About, Vec<JoinedKey>), Reason> {
    // SAFETY: for all calls in this block, by this function's contract.
    let (name, version, summary, options, raw_keys) = unsafe {
        (
            text(raw.name, "the plugin's name")?,
            text(raw.version, "the plugin's version")?,
            text(raw.summary, "the plugin's summary")?,
            structs::<RawOption>(raw.options, raw.option_count, "sniff_x_option")?,
            structs::<RawKey>(raw.keys, raw.key_count, "sniff_x_key")?,
        )
    };
    if name == "all" || !is_made_of(name, b"_-") {
        return Err(invalid(
            format!("the plugin's name '{name}'"),
            "is not made of a-z, 0-9, _ and -, or is taken",
        ));
    }
    let mut specs = Vec::new();
    for option in options {
        // SAFETY: by this function's contract.
        specs.push(unsafe { copy_option(option)? });
    }
    let mut joined = Vec::new();
    for key in raw_keys {
        // SAFETY: by this function's contract.
        joined.push(unsafe { join_key(key, keys)? });
    }
    let about = About {
        name,
        version,
        summary,
        options: specs.leak(),
        keys: joined.iter().map(|k: &JoinedKey| k.key).collect::<Vec<_>>().leak(),
        opens_at: match raw.opens_at {
            0 => OpensAt::FirstPayload,
            1 => OpensAt::FirstPacket,
            _ => return Err(invalid("opens_at", "is unknown")),
        },
    };
    Ok((about, joined))
}

/// # Safety
/// As for [`copy_about`].
unsafe fn copy_option(raw: &RawOption) -> Result<OptionSpec, Reason> {
    // SAFETY: for all calls in this block, by this function's contract.
    let (long, help, value, default) = unsafe {
        (
            text(raw.long_name, "an option's name")?,
            text(raw.help, "an option's help")?,
            optional_text(raw.value_name, "an option's value")?,
            optional_text(raw.default_text, "an option's default")?,
        )
    };
    if !is_made_of(long, b"-") || long.starts_with('-') {
        return Err(invalid(format!("the option '{long}'"), "is not made of a-z, 0-9 and -"));
    }
    let short = match char::from_u32(raw.short_name) {
        Some('\0') => None,
        Some(short) if short.is_ascii_alphanumeric() => Some(short),
        _ => return Err(invalid(format!("the short name of the option '{long}'"), "is no letter or digit")),
    };
    Ok(OptionSpec { long, short, value, repeatable: raw.repeatable != 0, help, default })
}

/// # Safety
/// As for [`copy_about`].
unsafe fn join_key(raw: &RawKey, keys: &mut KeyTable) -> Result<JoinedKey, Reason> {
    // SAFETY: for all calls in this block, by this function's contract.
    let (name, unit, about) = unsafe {
        (
            text(raw.name, "a key's name")?,
            text(raw.unit, "a key's unit")?,
            text(raw.about, "a key's meaning")?,
        )
    };
    // Sinks write names as they are.
    if !is_made_of(name, b"._") {
        return Err(invalid(format!("the key '{name}'"), "is not made of a-z, 0-9, . and _"));
    }
    let value_type = abi::value_type(raw.value_type);
    let value_type =
        value_type.ok_or_else(|| invalid(format!("the type of the key '{name}'"), "is unknown"))?;
    let is_family = name.ends_with('.');
    if is_family && value_type != ValueType::Text {
        return Err(invalid(format!("the key '{name}'"), "is a family, and not of texts"));
    }
    let key = keys.join(KeyInfo { name, value_type, unit, about });
    let key = key.ok_or_else(|| invalid(format!("the key '{name}'"), "is one too many"))?;
    if HEAD.contains(&key) {
        return Err(invalid(format!("the key '{name}'"), "is written by the host"));
    }
    if keys.info(key).is_some_and(|info| info.value_type != value_type) {
        return Err(invalid(format!("the key '{name}'"), "is known with another type"));
    }
    Ok(JoinedKey { key, value_type, is_family })
}

/// Keys that every event has anyway.
const HEAD: [Key; 10] = [
    Key::TIMESTAMP,
    Key::PROTOCOL,
    Key::KIND,
    Key::CLIENT_ADDRESS,
    Key::CLIENT_PORT,
    Key::SERVER_ADDRESS,
    Key::SERVER_PORT,
    Key::DURATION,
    Key::STATUS,
    Key::INCOMPLETE_REASON,
];

fn is_made_of(name: &str, also: &[u8]) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || also.contains(&b);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(fits)
}

/// The struct behind a pointer, when it is all there.
///
/// # Safety
/// `raw` is null or points to a struct of the interface, with its size first, that stays.
unsafe fn whole<T>(raw: *const T, what: &str) -> Result<&'static T, Reason> {
    if raw.is_null() {
        return Err(invalid(what, "is null"));
    }
    if !raw.is_aligned() {
        return Err(invalid(what, "is not aligned"));
    }
    // SAFETY: not null, aligned, and its size comes first by this function's contract.
    let size = unsafe { raw.cast::<usize>().read() };
    if size < size_of::<T>() {
        return Err(invalid(what, "is smaller than this version of the interface wants"));
    }
    // SAFETY: so large is it, and it stays.
    Ok(unsafe { &*raw })
}

/// The structs behind an array of pointers.
///
/// # Safety
/// `array` is null or points to `count` pointers, each as [`whole`] wants it.
unsafe fn structs<T>(array: *const *const T, count: usize, what: &str) -> Result<Vec<&'static T>, Reason> {
    const MOST: usize = 4096;
    if count == 0 {
        return Ok(Vec::new());
    }
    if array.is_null() || !array.is_aligned() || count > MOST {
        return Err(invalid(format!("the array of {what}"), "is null, not aligned or too long"));
    }
    // SAFETY: not null, aligned, of `count` elements by this function's contract.
    let pointers = unsafe { core::slice::from_raw_parts(array, count) };
    // SAFETY: by this function's contract.
    pointers.iter().map(|raw| unsafe { whole(*raw, what) }).collect()
}

/// A copy of a string that stays.
///
/// # Safety
/// `raw` is null or points to bytes that end with NUL.
unsafe fn text(raw: *const c_char, what: &str) -> Result<&'static str, Reason> {
    // SAFETY: by this function's contract.
    unsafe { optional_text(raw, what)? }.ok_or_else(|| invalid(what, "is null"))
}

/// # Safety
/// As for [`text`].
unsafe fn optional_text(raw: *const c_char, what: &str) -> Result<Option<&'static str>, Reason> {
    if raw.is_null() {
        return Ok(None);
    }
    // SAFETY: not null, and it ends with NUL by this function's contract.
    let text = unsafe { CStr::from_ptr(raw) }.to_str().map_err(|_| invalid(what, "is not UTF-8"))?;
    if text.contains(char::is_control) {
        return Err(invalid(what, "has control characters"));
    }
    Ok(Some(text.to_owned().leak()))
}
