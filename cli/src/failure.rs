//! How the program ends when it does not end well: what is said, and the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

/// Why the program ends before its work is done, or without any.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line can't be followed: exit code 2.
    Usage(String),
    /// clap has something to say: help (exit code 0) or wrong usage (exit code 2), with `more` behind it.
    Clap {
        /// What clap found.
        error: Box<clap::Error>,
        /// What helps beyond it; may be empty.
        more: String,
    },
    /// It failed while running: exit code 1.
    Run(anyhow::Error),
}

impl Failure {
    /// Says it on standard error (help: standard output) and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                say(&format!("sniff-x: {message}\n"));
                ExitCode::from(2)
            }
            Self::Clap { error, more } => {
                // Whoever closed the pipe does not want to know.
                let _ = error.print();
                if !more.is_empty() {
                    say(&format!("\n{more}\n"));
                }
                u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
            }
            Self::Run(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
            Self::Run(error) => {
                say(&format!("sniff-x: {error:#}\n"));
                ExitCode::FAILURE
            }
        }
    }
}

impl Failure {
    /// What is wrong, on one line: without the picture that shows the place, and without what helps beyond it.
    pub(crate) fn in_short(&self) -> String {
        let text = match self {
            Self::Usage(message) => message.clone(),
            Self::Clap { error, .. } => error.to_string(),
            Self::Run(error) => format!("{error:#}"),
        };
        let is_text = |line: &&str| !line.trim_matches([' ', '^', '|']).is_empty();
        let lines = text.trim_start_matches("error: ").lines().take_while(|line| !line.is_empty());
        lines.filter(is_text).map(str::trim).collect::<Vec<_>>().join("; ")
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Run(error.into())
    }
}

/// A reader that has read enough (`| head`) is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes to standard error; there is nowhere to say that this failed.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_fits_on_a_line() {
        let filter =
            Failure::Usage("--filter: a VLAN id is at most 4095\n  vlan 5000 and tcp\n       ^^^^".into());
        assert_eq!(filter.in_short(), "--filter: a VLAN id is at most 4095; vlan 5000 and tcp");
        let plugin = Failure::Usage("mysql: 'x' is no port\n\nOptions of mysql:\n  -p".into());
        assert_eq!(plugin.in_short(), "mysql: 'x' is no port");
        let error = crate::args::own().try_get_matches_from(["sniff-x", "--threads", "none"]).unwrap_err();
        let short = Failure::Clap { error: Box::new(error), more: "More".into() }.in_short();
        assert!(
            short.starts_with("invalid value 'none' for '--threads <N>'") && !short.contains('\n'),
            "{short}"
        );
        let file = "a =".parse::<toml::Table>().unwrap_err();
        let short = Failure::Usage(format!("--config x.toml: {file}")).in_short();
        assert!(
            short.starts_with("--config x.toml: TOML parse error at line 1, column 4; 1 | a =;"),
            "{short}"
        );
    }
}
