//! Where inputs begin: captures of the repository and, where it is there, of the folder beside it; generated conversations.

use std::path::PathBuf;
use std::time::Duration;

use sniff_x_capture::{Batch, open_file};
use sniff_x_flow::LinkType;

// The generator of the plugin's tests, which knows what a conversation means; here its bytes are enough.
#[path = "../../engine/proto/tests/http_support/mod.rs"]
pub(crate) mod http_support;
#[path = "../../engine/proto/tests/mysql_support/mod.rs"]
pub(crate) mod mysql_support;
#[path = "../../engine/proto/tests/redis_support/mod.rs"]
pub(crate) mod redis_support;

/// Captures that are larger are no seeds: a mutation should be felt.
const LARGEST: u64 = 256 << 10;

/// The captures.
pub(crate) struct Seeds {
    files: Vec<PathBuf>,
}

/// A frame of a capture.
pub(crate) struct SeedFrame {
    pub(crate) link_type: LinkType,
    pub(crate) bytes: Vec<u8>,
}

fn walk(folder: PathBuf, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(path, files);
        } else if path.metadata().is_ok_and(|file| file.len() <= LARGEST) {
            files.push(path);
        }
    }
}

impl Seeds {
    /// Looks for captures; for none when the input is given.
    pub(crate) fn find(given: bool) -> Self {
        let mut files = Vec::new();
        if !given {
            walk(sniff_x_tests::root().join("tests/captures"), &mut files);
            if let Some(folder) = sniff_x_tests::shared_captures() {
                walk(folder, &mut files);
            }
        }
        // The order of a folder differs from machine to machine.
        files.sort();
        Self { files }
    }

    /// Capture files that begin with one of `magics`: whole files, the small ones of them, at most `most`, from all over the folder.
    pub(crate) fn files(&self, magics: &[[u8; 4]], longest: usize, most: usize) -> Vec<Vec<u8>> {
        let read = |path: &PathBuf| std::fs::read(path).ok();
        let fits = |file: &Vec<u8>| {
            file.len() <= longest && file.first_chunk().is_some_and(|magic| magics.contains(magic))
        };
        spread(self.files.iter().filter_map(read).filter(fits).collect(), most)
    }

    /// Frames of the captures, at most `most`: the first ones of each.
    pub(crate) fn frames(&self, most: usize) -> Vec<SeedFrame> {
        const EACH: usize = 6;
        let mut frames = Vec::new();
        for path in &self.files {
            let Ok(mut source) = open_file(path) else { continue };
            if let Ok(Batch::Frames(lease)) = source.next(Duration::ZERO) {
                let seed = |frame: sniff_x_flow::Frame<'_>| SeedFrame {
                    link_type: frame.link_type,
                    bytes: frame.bytes.to_vec(),
                };
                frames.extend(lease.frames().take(EACH).map(seed));
            }
        }
        spread(frames, most)
    }

    /// The captures whose path has `part` in it.
    pub(crate) fn paths(&self, part: &str) -> impl Iterator<Item = &PathBuf> {
        self.files.iter().filter(move |path| path.to_string_lossy().contains(part))
    }
}

/// At most `most` of `all`, evenly.
pub(crate) fn spread<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let step = all.len().div_ceil(most).max(1);
    all.into_iter().step_by(step).collect()
}
