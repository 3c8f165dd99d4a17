//! Real captures.

mod mysql_support;

use mysql_support::{SERVERS, capture_files, captures, conversations};

#[test]
fn dump() {
    let Some(folder) = captures() else { return };
    for path in capture_files(&folder) {
        println!("=== {}", path.file_name().unwrap().to_string_lossy());
        for c in conversations(&path, SERVERS) {
            println!("-- stream {} port {} midstream {}", c.stream, c.server_port, c.midstream);
            for line in c.play() {
                println!("{}", line.chars().take(400).collect::<String>());
            }
        }
    }
}
