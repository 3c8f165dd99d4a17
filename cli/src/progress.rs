//! How far a file was read, as a bar on standard error.

use core::time::Duration;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use indicatif::{ProgressBar, ProgressStyle};
use sniff_x_engine::Control;

/// What is shown of a file whose length is known, and of a pipe.
const WITH_TOTAL: &str = "{bar:40} {percent}% of {total_bytes}  {bytes_per_sec}  {eta} left";
const WITHOUT_TOTAL: &str = "{bytes}  {bytes_per_sec}";
const REFRESH: Duration = Duration::from_millis(100);

/// The bar; it goes away when this is dropped.
pub(crate) struct Progress {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Whether a bar would be seen and not stand between events on the same terminal.
pub(crate) fn is_wanted() -> bool {
    std::io::stderr().is_terminal() && !std::io::stdout().is_terminal()
}

impl Progress {
    /// A bar that follows `control`.
    pub(crate) fn of(control: &Control) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let (control, stop) = (control.clone(), done.clone());
        let draw = move || {
            let bar = ProgressBar::no_length().with_style(style(WITHOUT_TOTAL));
            while !stop.load(Ordering::Relaxed) {
                thread::park_timeout(REFRESH);
                let total = control.bytes_total.load(Ordering::Relaxed);
                if total > 0 && bar.length().is_none() {
                    bar.set_length(total);
                    bar.set_style(style(WITH_TOTAL));
                }
                bar.set_position(control.bytes_read.load(Ordering::Relaxed));
            }
            bar.finish_and_clear();
        };
        // Without a thread there is no bar; the run matters more.
        let thread = thread::Builder::new().name("progress".into()).spawn(draw).ok();
        Self { done, thread }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in there would only have cost the bar.
            let _ = thread.join();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
