//! What tcpdump records on the server host of a [`Net`]: a second opinion on a live capture.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::{NamedTempFile, TempDir};

use crate::netns::{IFACE, Net};

/// A running tcpdump, then its file, which is gone when this is dropped.
pub struct Recording {
    tcpdump: Option<Child>,
    file: PathBuf,
    _folder: TempDir,
}

impl Recording {
    /// Starts tcpdump and waits until it records.
    #[must_use]
    pub fn start(net: &Net) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("recorded.pcap");
        let tcpdump = net
            .on_server("tcpdump")
            .args(["-i", IFACE, "-B", "65536", "--immediate-mode", "-U", "-w"])
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .expect("tcpdump");
        while std::fs::metadata(&file).map_or(0, |m| m.len()) < 24 {
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { tcpdump: Some(tcpdump), file, _folder: folder }
    }

    /// Ends the recording, which must be whole.
    #[must_use]
    pub fn stop(mut self) -> Self {
        if let Some(tcpdump) = self.tcpdump.take() {
            kill(Pid::from_raw(i32::try_from(tcpdump.id()).expect("a pid")), Signal::SIGINT)
                .expect("it still runs");
            let said = tcpdump.wait_with_output().expect("it ends").stderr;
            let said = String::from_utf8_lossy(&said);
            assert!(
                said.contains("0 packets dropped by kernel"),
                "tcpdump lost frames, so there is nothing to compare with:\n{said}"
            );
        }
        self
    }

    /// The recording without the frames that `keep` (asked by their number) does not want.
    ///
    /// Source of the format: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html>.
    #[must_use]
    pub fn without(&self, mut keep: impl FnMut(usize) -> bool) -> NamedTempFile {
        let whole = std::fs::read(&self.file).expect("the recording");
        let (head, mut rest) = whole.split_at(24);
        assert_eq!(
            head[..4],
            0xa1b2_c3d4_u32.to_le_bytes(),
            "tcpdump writes little-endian pcap with microseconds here"
        );
        let mut kept = head.to_vec();
        for number in 0.. {
            let Some(length) = rest.get(8..12) else { break };
            let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
            let (record, after) = rest.split_at(16 + length as usize);
            if keep(number) {
                kept.extend(record);
            }
            rest = after;
        }
        let file = NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), kept).expect("the recording without some frames");
        file
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(mut tcpdump) = self.tcpdump.take() {
            let _ = tcpdump.kill();
            let _ = tcpdump.wait();
        }
    }
}
