//! What tasks say on standard output. Who closes it has read enough (`| head`): the task ends there, and well.

use std::fmt::{self, Display};
use std::io::{self, ErrorKind, Write};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

/// Standard output was closed: nobody wants to know more.
#[derive(Debug)]
pub(crate) struct Closed;

impl Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output is closed")
    }
}

impl std::error::Error for Closed {}

/// Writes a line, or several.
pub(crate) fn say(text: impl Display) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
        result => Ok(result?),
    }
}

/// Runs what prints by itself, as the crate divan does: it panics where standard output is closed.
pub(crate) fn where_others_print(print: impl FnOnce()) -> Result<()> {
    fn is_closed(panic: &PanicHookInfo<'_>) -> bool {
        panic
            .payload_as_str()
            .is_some_and(|text| text.starts_with("failed printing to stdout") && text.contains("Broken pipe"))
    }
    let before = panic::take_hook();
    let closed = Arc::new(AtomicBool::new(false));
    let note = Arc::clone(&closed);
    panic::set_hook(Box::new(move |panic| {
        if is_closed(panic) {
            note.store(true, Ordering::Relaxed);
        } else {
            before(panic);
        }
    }));
    let result = panic::catch_unwind(AssertUnwindSafe(print));
    drop(panic::take_hook());
    match result {
        Err(_) if closed.load(Ordering::Relaxed) => Err(Closed.into()),
        Err(panic) => panic::resume_unwind(panic),
        Ok(()) => Ok(()),
    }
}
