//! Stands for the engine's pipeline until that is public; with it this file goes away and `run.rs` names `sniff_x_engine` instead.

use sniff_x_capture::CaptureError;
use sniff_x_engine::{Config, Control};

#[derive(Debug)]
pub(crate) enum EngineError {
    Capture(CaptureError),
    TooManyPlugins(usize),
}

impl core::fmt::Display for EngineError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Capture(error) => error.fmt(f),
            Self::TooManyPlugins(n) => write!(f, "{n} plugins"),
        }
    }
}

impl std::error::Error for EngineError {}

pub(crate) struct Summary;
impl Summary {
    pub(crate) fn counters(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

pub(crate) fn run(config: Config, _: &Control, on_summary: impl FnOnce(&Summary)) -> Result<(), EngineError> {
    on_summary(&Summary);
    if config.threads == usize::MAX {
        return Err(EngineError::TooManyPlugins(0));
    }
    Err(EngineError::Capture(CaptureError::Config("this build has no pipeline".into())))
}
