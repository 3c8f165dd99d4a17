//! tshark on a recording: what it dissects, for what a live test tells of the same traffic.

use std::path::Path;
use std::process::Command;

/// The fields of each frame that `filter` matches, in order; of a field that stands there several times all values. None where there is no tshark.
#[must_use]
pub fn fields(recording: &Path, filter: &str, fields: &[&str]) -> Option<Vec<Vec<Vec<String>>>> {
    if !crate::has_program("tshark", "tshark") {
        return None;
    }
    let mut command = Command::new("tshark");
    command.args(["-n", "-2", "-r"]).arg(recording).args(["-Y", filter, "-T", "fields"]);
    // Values may hold commas.
    command.args(["-E", "separator=/t", "-E", "aggregator=\u{1f}", "-E", "occurrence=a"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let output = command.output().expect("tshark");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let values = |field: &str| -> Vec<String> {
        field.split('\u{1f}').filter(|value| !value.is_empty()).map(str::to_owned).collect()
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().map(|line| line.split('\t').map(values).collect()).collect())
}
