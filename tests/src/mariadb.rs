//! A MariaDB server of the test's own, in a temporary folder, on the server host of a [`Net`].

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::netns::Net;

/// A running server, with TLS for whoever asks for it, with a database `shop`, the user `app` (password `s3cret-Pa55`) and a general log.
pub struct MariaDb {
    child: Child,
    folder: TempDir,
}

/// The password of `app`: tests look for it where it must not be.
pub const PASSWORD: &str = "s3cret-Pa55";

impl MariaDb {
    /// Installs and starts it; waits until it answers.
    #[must_use]
    pub fn start(net: &Net) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        // A server that starts deletes the temporary tables that it finds: each needs a place of its own.
        let temporary = folder.path().join("tmp");
        std::fs::create_dir(&temporary).expect("a folder for temporary tables");
        let install = Command::new("mariadb-install-db")
            .args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--user=root",
            ])
            .arg(format!("--datadir={}", data.display()))
            .env("TMPDIR", &temporary)
            .output()
            .expect("mariadb-install-db");
        assert!(install.status.success(), "{}", String::from_utf8_lossy(&install.stderr));
        let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("certificate.pem"));
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-keyout",
            ])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .expect("openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let init = folder.path().join("init.sql");
        std::fs::write(
            &init,
            format!(
                "CREATE DATABASE shop;\nCREATE USER app IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO app;\n\
                 CREATE TABLE shop.item (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(60), price DECIMAL(8,2));\n\
                 CREATE TABLE shop.note (id INT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(60), body LONGBLOB);\n"
            ),
        )
        .expect("init.sql");
        let child = net
            .on_server("mariadbd")
            .args([
                "--no-defaults",
                "--user=root",
                "--bind-address=0.0.0.0",
                "--port=3306",
                "--skip-name-resolve",
            ])
            .args(["--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--max-allowed-packet=64M"])
            .args(["--general-log=1", "--log-output=FILE"])
            .arg(format!("--general-log-file={}", folder.path().join("general.log").display()))
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--tmpdir={}", temporary.display()))
            .arg(format!("--socket={}", folder.path().join("s").display()))
            .arg(format!("--pid-file={}", folder.path().join("pid").display()))
            .arg(format!("--init-file={}", init.display()))
            .arg(format!("--ssl-key={}", key.display()))
            .arg(format!("--ssl-cert={}", certificate.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("error.log")).expect("error.log"))
            .spawn()
            .expect("mariadbd");
        let server = Self { child, folder };
        server.wait();
        server
    }

    /// The general log of what the server did for clients, as text: lines of command and argument.
    #[must_use]
    pub fn general_log(&self) -> String {
        String::from_utf8_lossy(&self.general_log_bytes()).into_owned()
    }

    /// The general log as it is, for [`crate::general_log`] to read.
    #[must_use]
    pub fn general_log_bytes(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("general.log")).expect("general.log")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// Asks over the Unix socket, which the capture does not see.
    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let ping = Command::new("mariadb-admin")
                .args(["--no-defaults", "-uapp", &format!("-p{PASSWORD}")])
                .arg(format!("--socket={}", self.socket().display()))
                .arg("ping")
                .output()
                .expect("mariadb-admin");
            if ping.status.success() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "mariadbd does not answer: {}",
                std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        let _ = kill(pid, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
