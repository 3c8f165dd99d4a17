//! An nginx of the test's own, in a temporary folder, on the server host of a [`Net`]: files, an upload that another server of its own answers, a log.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::binary;
use crate::netns::{Net, SERVER};

/// A running server on port 80.
pub struct Nginx {
    child: Child,
    folder: TempDir,
}

const CONFIGURATION: &str = r#"
daemon off; worker_processes 1; pid FOLDER/pid; error_log FOLDER/error.log; user root;
events { worker_connections 256; }
http {
  log_format told escape=json '{"number":"$http_x_number","port":$remote_port,"method":"$request_method","uri":"$request_uri","status":$status,'
    '"sent":$body_bytes_sent,"received":$request_length,"seconds":$request_time,"agent":"$http_user_agent"}';
  client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/f; uwsgi_temp_path FOLDER/u; scgi_temp_path FOLDER/s;
  client_max_body_size 64m; keepalive_timeout 30; default_type text/plain;
  gzip on; gzip_min_length 100; gzip_types text/plain;
  server {
    listen ADDRESS:80; root FOLDER/www; access_log FOLDER/access.log told;
    location = /slow.bin { limit_rate 100k; gzip off; }
    location = /large.bin { gzip off; }
    location = /twice.txt { gzip off; add_header Content-Encoding "gzip, gzip"; }
    location = /upload { proxy_pass http://127.0.0.1:8099; }
  }
  server { listen 127.0.0.1:8099; access_log off; location / { return 201 "got it"; } }
}
"#;

impl Nginx {
    /// Starts it with a large file of `large` bytes; waits until it answers.
    #[must_use]
    pub fn start(net: &Net, large: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let www = folder.path().join("www");
        std::fs::create_dir(&www).expect("a folder for files");
        for (name, content) in [
            ("small.txt", b"small".to_vec()),
            ("text.txt", b"some text that repeats itself; ".repeat(3000)),
            ("large.bin", vec![b'l'; large]),
            ("slow.bin", vec![b's'; 150_000]),
        ] {
            std::fs::write(www.join(name), content).expect("a file");
        }
        let configuration = folder.path().join("nginx.conf");
        let text =
            CONFIGURATION.replace("FOLDER", &folder.path().to_string_lossy()).replace("ADDRESS", SERVER);
        std::fs::write(&configuration, text).expect("nginx.conf");
        let child = net
            .on_server("nginx")
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx");
        let server = Self { child, folder };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !server.folder.path().join("pid").exists() {
            let log = std::fs::read_to_string(server.folder.path().join("error.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "nginx does not start: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// Has it serve one more file. It says of `twice.txt` that it was compressed with gzip, twice.
    pub fn serve(&self, name: &str, content: &[u8]) {
        std::fs::write(self.folder.path().join("www").join(name), content).expect("a file");
    }

    /// Its access log, one object a request, in the order in which they ended.
    #[must_use]
    pub fn log(&self) -> Vec<Value> {
        binary::parse(&std::fs::read(self.folder.path().join("access.log")).expect("access.log"))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends with it when it is asked to, not when it is killed.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
