//! Stage: bytes in order → files. Where `tcp --dump` puts each direction's bytes.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use sniff_x_flow::Direction;
use sniff_x_proto::event::Content;
use sniff_x_proto::tcp::dump_name;

/// Files kept open: connections come and go, file descriptors are few.
const OPEN_FILES: usize = 128;

/// Writes stream content to one file per direction of a connection.
pub(crate) struct Dump {
    folder: PathBuf,
    /// Recently used files, the latest last.
    open: Vec<(u64, Direction, File)>,
    failed_bytes: u64,
}

impl Dump {
    /// Writes into `folder`, which exists.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, open: Vec::new(), failed_bytes: 0 }
    }

    /// Bytes that could not be written.
    pub(crate) fn failed_bytes(&self) -> u64 {
        self.failed_bytes
    }

    /// Appends to the file of the content's direction; a failure is logged once and counted.
    pub(crate) fn write(&mut self, content: &Content<'_>) {
        let serial = content.flow.serial;
        let place = self.open.iter().rposition(|(s, d, _)| (*s, *d) == (serial, content.direction));
        let result = match place {
            Some(place) => Ok(self.open.remove(place).2),
            None => self.open(content),
        };
        let result = result.and_then(|mut file| {
            file.write_all(content.bytes)?;
            self.open.push((serial, content.direction, file));
            Ok(())
        });
        if let Err(error) = result {
            if self.failed_bytes == 0 {
                log::error!("--dump: {}: {error}", self.folder.display());
            }
            self.failed_bytes += content.bytes.len() as u64;
        }
    }

    fn open(&mut self, content: &Content<'_>) -> std::io::Result<File> {
        if self.open.len() >= OPEN_FILES {
            self.open.remove(0);
        }
        let path = self.folder.join(dump_name(&content.flow, content.direction));
        if content.first { File::create(path) } else { OpenOptions::new().append(true).open(path) }
    }
}
