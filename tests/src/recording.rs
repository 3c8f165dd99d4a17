//! What tcpdump records on the server host of a [`Net`]: a second opinion on a live capture.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

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
