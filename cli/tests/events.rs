//! docs/events.md says of every key what the table says. `UPDATE_DOCS=1 cargo test -p sniff-x --test events` writes it anew.

use std::fs;
use std::path::Path;

use sniff_x_proto::event::{KeyInfo, KeyTable, SCHEMA_VERSION, ValueType};

const BEGIN: &str = "<!-- from the table of keys; UPDATE_DOCS=1 rewrites it -->\n";
const END: &str = "<!-- end of the table -->\n";

fn table() -> String {
    let mut text = format!(
        "Schema version {SCHEMA_VERSION}.\n\n| key | type | unit | meaning |\n| --- | --- | --- | --- |\n"
    );
    for (_, KeyInfo { name, value_type, unit, about }) in KeyTable::default().iter() {
        let value_type = match value_type {
            ValueType::Text => "string",
            ValueType::Integer => "integer",
            ValueType::Float => "number",
            ValueType::Boolean => "boolean",
        };
        // A family's name ends in a dot: a number follows.
        let rest = if name.ends_with('.') { "0, …" } else { "" };
        text +=
            &format!("| `{name}{rest}` | {value_type} | {unit} | {} |\n", about.trim().replace('|', "\\|"));
    }
    text
}

#[test]
fn every_key_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    let text = fs::read_to_string(&path).expect("docs/events.md");
    let (before, rest) = text.split_once(BEGIN).expect("the mark before the table");
    let (current, after) = rest.split_once(END).expect("the mark behind the table");
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).expect("writing docs/events.md");
        return;
    }
    assert!(current == table, "docs/events.md differs from the table of keys: run with UPDATE_DOCS=1");
}
