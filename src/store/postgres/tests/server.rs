//! A server of a test's own, to be stopped or to speak TLS.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

pub struct Server {
    folder: TempDir,
    /// Whom the server runs as, if not as the test: PostgreSQL refuses to run as root.
    user: Option<&'static str>,
    /// Loopback only; for one that speaks TLS.
    pub port: u16,
}

impl Server {
    /// A new, running server. It is reached by the socket in its folder; over TCP too if `settings` say so.
    pub fn start(settings: &[String]) -> Self {
        let root = std::str::from_utf8(&run(Command::new("id").arg("-u"))).unwrap().trim() == "0";
        let server = Self { folder: TempDir::new().unwrap(), user: root.then_some("postgres"), port: free_port() };
        if let Some(user) = server.user {
            run(Command::new("chown").arg(user).arg(server.folder.path()));
        }
        let data = server.data();
        server.run("initdb", &["-D", &data, "-U", "crossdock", "-A", "trust", "--no-sync", "--encoding=UTF8"]);
        let own = [
            format!("unix_socket_directories = '{}'", server.folder.path().display()),
            format!("port = {}", server.port),
            "listen_addresses = ''".to_owned(),
            "fsync = off".to_owned(),
        ];
        server.append("postgresql.conf", &[own.as_slice(), settings].concat());
        server.resume();
        server
    }

    pub fn stop(&self) {
        self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"]);
    }

    /// Starts it again after [`Server::stop`].
    pub fn resume(&self) {
        let log = self.folder.path().join("log").display().to_string();
        self.run("pg_ctl", &["-D", &self.data(), "-l", &log, "-w", "start"]);
    }

    /// Its URL by the socket.
    pub fn url(&self) -> String {
        format!("host={} port={} user=crossdock dbname=postgres", self.folder.path().display(), self.port)
    }

    /// Writes a file that only the server may read; its path.
    pub fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        run(Command::new("chmod").arg("600").arg(&path));
        if let Some(user) = self.user {
            run(Command::new("chown").arg(user).arg(&path));
        }
        path
    }

    /// Replaces `pg_hba.conf`: who may connect, and how.
    pub fn admit(&self, lines: &str) {
        std::fs::write(Path::new(&self.data()).join("pg_hba.conf"), lines).unwrap();
    }

    /// Adds settings; they count from the next start.
    pub fn append(&self, file: &str, lines: &[String]) {
        let path = Path::new(&self.data()).join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{before}\n{}\n", lines.join("\n"))).unwrap();
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = programs().join(program);
        let mut command = match self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(program);
                command
            }
        };
        // The server keeps what it inherits: no pipe of ours, or waiting for its end would wait for the server's.
        let log = std::fs::File::create(self.folder.path().join("commands")).unwrap();
        command.args(arguments).current_dir("/").stdout(log.try_clone().unwrap()).stderr(log);
        let status = command.status().unwrap();
        let said = || std::fs::read_to_string(self.folder.path().join("commands")).unwrap();
        assert!(status.success(), "{command:?}: {}", said());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if Path::new(&self.data()).join("postmaster.pid").exists() {
            self.stop();
        }
    }
}

/// Runs a command to its end; what it printed.
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The folder of the newest PostgreSQL installed.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    newest.map(|version| format!("/usr/lib/postgresql/{version}/bin").into()).unwrap_or_default()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
