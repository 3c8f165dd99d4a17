//! Stage: bytes in order → files. Where `tcp --dump` puts each direction's bytes, and the manifest that says what they are.
//!
//! The manifest, `manifest.jsonl`, has one line for each direction of a connection that carried or lost bytes, written when the
//! connection ends: both ends, the direction, the file (`null` when there were no bytes), its length and SHA-256, and the gaps. A gap's
//! `offset` counts the bytes of the stream before it, those of earlier gaps included; its `length` is `null` where nobody knows it,
//! because the flow was joined in the middle.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use sniff_x_flow::{Direction, FlowInfo};
use sniff_x_proto::event::{Content, Piece};
use sniff_x_proto::tcp::{dump_name, way};

use super::address::{hex_digit, write_address, write_number};
use super::time::write_rfc3339;

/// Files kept open: connections come and go, file descriptors are few.
const OPEN_FILES: usize = 128;

/// Gaps of one direction that the manifest names; of more only the number and their sum.
const NAMED_GAPS: usize = 1024;

/// The manifest's name in the folder.
const MANIFEST: &str = "manifest.jsonl";

/// Makes the folder, with an empty manifest in it.
pub(crate) fn prepare(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    File::create(folder.join(MANIFEST)).map(drop)
}

/// Writes stream content to one file per direction of a connection.
pub(crate) struct Dump {
    folder: PathBuf,
    /// Directions under way, by serial number.
    streams: HashMap<(u64, Direction), Stream>,
    /// Recently used files, the latest last.
    open: Vec<(u64, Direction, File)>,
    manifest: Option<File>,
    failed_bytes: u64,
    /// Whether a failure was logged.
    failed: bool,
}

/// What is known of one direction.
#[derive(Default)]
struct Stream {
    bytes: u64,
    digest: Sha256,
    /// Offset and length, as the manifest has them.
    gaps: Vec<(u64, Option<u64>)>,
    unnamed_gaps: u64,
    gap_bytes: u64,
    failed_bytes: u64,
}

impl Stream {
    /// Bytes are missing here. What is given up piece by piece is one gap.
    fn gap(&mut self, length: Option<u64>) {
        let offset = self.bytes + self.failed_bytes + self.gap_bytes;
        self.gap_bytes += length.unwrap_or(0);
        if let (Some((start, Some(known))), Some(more)) = (self.gaps.last_mut(), length)
            && *start + *known == offset
        {
            *known += more;
        } else if self.gaps.len() < NAMED_GAPS {
            self.gaps.push((offset, length));
        } else {
            self.unnamed_gaps += 1;
        }
    }
}

impl Dump {
    /// Writes into `folder`, which [`prepare`] made.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            streams: HashMap::new(),
            open: Vec::new(),
            manifest: None,
            failed_bytes: 0,
            failed: false,
        }
    }

    /// Bytes that could not be written.
    pub(crate) fn failed_bytes(&self) -> u64 {
        self.failed_bytes
    }

    /// Does what the piece says to the file of its direction; a failure is logged once, its bytes are counted.
    pub(crate) fn write(&mut self, content: &Content<'_>) {
        let id = (content.flow.serial, content.direction);
        match content.piece {
            Piece::Bytes { first, bytes } => {
                let result = self.append(content, first, bytes);
                let stream = self.streams.entry(id).or_default();
                if result.is_ok() {
                    stream.bytes += bytes.len() as u64;
                    stream.digest.update(bytes);
                } else {
                    stream.failed_bytes += bytes.len() as u64;
                    self.failed_bytes += bytes.len() as u64;
                }
                self.note(result);
            }
            Piece::Gap(length) => {
                let stream = self.streams.entry(id).or_default();
                stream.gap(length);
            }
            Piece::End { keep } => {
                self.open.retain(|(serial, direction, _)| (*serial, *direction) != id);
                let Some(stream) = self.streams.remove(&id) else { return };
                let result = if keep {
                    self.list(&content.flow, content.direction, stream)
                } else if stream.bytes > 0 {
                    std::fs::remove_file(self.path(content))
                } else {
                    Ok(())
                };
                self.note(result);
            }
        }
    }

    fn note(&mut self, result: std::io::Result<()>) {
        if let Err(error) = result
            && !core::mem::replace(&mut self.failed, true)
        {
            log::error!("--dump: {}: {error}", self.folder.display());
        }
    }

    fn append(&mut self, content: &Content<'_>, first: bool, bytes: &[u8]) -> std::io::Result<()> {
        let id = (content.flow.serial, content.direction);
        let place = self.open.iter().rposition(|(s, d, _)| (*s, *d) == id);
        let mut file = match place {
            Some(place) => self.open.remove(place).2,
            None => {
                if self.open.len() >= OPEN_FILES {
                    self.open.remove(0);
                }
                let path = self.path(content);
                if first { File::create(path)? } else { OpenOptions::new().append(true).open(path)? }
            }
        };
        file.write_all(bytes)?;
        self.open.push((id.0, id.1, file));
        Ok(())
    }

    fn path(&self, content: &Content<'_>) -> PathBuf {
        self.folder.join(dump_name(&content.flow, content.direction))
    }

    /// One line of the manifest. Workers append to one file, each line with one write.
    fn list(&mut self, flow: &FlowInfo, direction: Direction, stream: Stream) -> std::io::Result<()> {
        let mut line = Vec::with_capacity(512);
        write_line(flow, direction, stream, &mut line);
        let manifest = match &mut self.manifest {
            Some(manifest) => manifest,
            none => none.insert(OpenOptions::new().append(true).open(self.folder.join(MANIFEST))?),
        };
        manifest.write_all(&line)
    }
}

fn write_line(flow: &FlowInfo, direction: Direction, stream: Stream, out: &mut Vec<u8>) {
    let (client, server) = (flow.client(), flow.server());
    out.extend_from_slice(b"{\"file\":");
    if stream.bytes > 0 {
        // A name has digits, letters, `.`, `:`, `-` and `_`.
        out.push(b'"');
        out.extend_from_slice(dump_name(flow, direction).as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(b"null");
    }
    out.extend_from_slice(b",\"timestamp\":\"");
    write_rfc3339(flow.first_seen, out);
    out.extend_from_slice(b"\",\"client.address\":\"");
    write_address(client.address(), out);
    out.extend_from_slice(b"\",\"client.port\":");
    write_number(client.port(), out);
    out.extend_from_slice(b",\"server.address\":\"");
    write_address(server.address(), out);
    out.extend_from_slice(b"\",\"server.port\":");
    write_number(server.port(), out);
    out.extend_from_slice(b",\"direction\":\"");
    out.extend_from_slice(way(direction).as_bytes());
    out.extend_from_slice(b"\",\"bytes\":");
    write_number(stream.bytes, out);
    out.extend_from_slice(b",\"sha256\":\"");
    for byte in stream.digest.finalize() {
        out.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 0xf)]);
    }
    out.extend_from_slice(b"\",\"gap_bytes\":");
    write_number(stream.gap_bytes, out);
    out.extend_from_slice(b",\"gaps\":[");
    for (n, (offset, length)) in stream.gaps.into_iter().enumerate() {
        out.extend_from_slice(if n == 0 { b"{\"offset\":" } else { b",{\"offset\":" });
        write_number(offset, out);
        out.extend_from_slice(b",\"length\":");
        match length {
            Some(length) => write_number(length, out),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
    out.push(b']');
    for (name, count) in [("unnamed_gaps", stream.unnamed_gaps), ("failed_bytes", stream.failed_bytes)] {
        if count > 0 {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            write_number(count, out);
        }
    }
    out.extend_from_slice(b"}\n");
}
