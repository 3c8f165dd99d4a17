//! Tells the program which toolchain built the kernel's side, for `--ver`.

use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let file = Path::new(&root).join("../ebpf/prebuilt/TOOLCHAIN");
    println!("cargo::rerun-if-changed={}", file.display());
    let toolchain = fs::read_to_string(&file).unwrap_or_default();
    println!(
        "cargo::rustc-env=SNIFF_X_EBPF_TOOLCHAIN={}",
        toolchain.split_whitespace().collect::<Vec<_>>().join(" ")
    );
}
