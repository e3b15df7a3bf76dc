//! TLS, against a server with certificates of our own authority.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::server::{Server, run};
use super::{is_unavailable, options, unusable};
use crate::config::secret::Secret;
use crate::store::Store;
use crate::store::conformance::samples::lane;
use crate::store::postgres::{ClientCertificate, Options, PostgresStore, Tls};

/// Keys and certificates: two authorities, a server `localhost` of the first, a client `crossdock` of each.
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    fn make() -> Self {
        let certificates = Self { folder: TempDir::new().unwrap() };
        for authority in ["ca", "other-ca"] {
            certificates.request(authority, &["-x509", "-subj", &format!("/CN={authority}"), "-days", "2"]);
        }
        certificates.signed("server", "localhost", "ca");
        certificates.signed("client", "crossdock", "ca");
        certificates.signed("stranger", "crossdock", "other-ca");
        certificates
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A key `<name>.key` and, of it, whatever `arguments` ask for in `<name>.pem`.
    fn request(&self, name: &str, arguments: &[&str]) {
        run(Command::new("openssl")
            .args(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout"])
            .arg(self.path(&format!("{name}.key")))
            .arg("-out")
            .arg(self.path(&format!("{name}.pem")))
            .args(arguments));
    }

    fn signed(&self, name: &str, subject: &str, authority: &str) {
        self.request(name, &["-subj", &format!("/CN={subject}")]);
        let certificate = self.path(&format!("{name}.pem"));
        let extensions = self.path(&format!("{name}.extensions"));
        std::fs::write(&extensions, format!("subjectAltName = DNS:{subject}")).unwrap();
        run(Command::new("openssl")
            .args(["x509", "-req", "-days", "2", "-CAcreateserial", "-in"])
            .arg(&certificate)
            .arg("-CA")
            .arg(self.path(&format!("{authority}.pem")))
            .arg("-CAkey")
            .arg(self.path(&format!("{authority}.key")))
            .arg("-extfile")
            .arg(&extensions)
            .arg("-out")
            .arg(self.path(&format!("{name}.signed"))));
        std::fs::rename(self.path(&format!("{name}.signed")), certificate).unwrap();
    }

    fn client(&self, name: &str) -> Option<ClientCertificate> {
        Some(ClientCertificate { chain: self.path(&format!("{name}.pem")), key: self.path(&format!("{name}.key")) })
    }
}

/// A server on loopback that speaks TLS, and asks whoever uses the database `template1` for a certificate.
fn secured(certificates: &Certificates) -> Server {
    let server = Server::start(&[]);
    server.stop();
    let put = |name: &str| server.put(name, &std::fs::read(certificates.path(name)).unwrap());
    let setting = |name: &str, path: &Path| format!("{name} = '{}'", path.display());
    let settings = [
        "listen_addresses = '127.0.0.1'".to_owned(),
        "ssl = on".to_owned(),
        setting("ssl_cert_file", &put("server.pem")),
        setting("ssl_key_file", &put("server.key")),
        setting("ssl_ca_file", &put("ca.pem")),
    ];
    server.append("postgresql.conf", &settings);
    server.admit("local all all trust\nhostssl template1 all 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 trust\n");
    server.resume();
    server
}

#[tokio::test]
async fn the_server_is_who_it_must_be_and_the_client_too() {
    let certificates = Certificates::make();
    let server = secured(&certificates);
    let (ca, other) = (certificates.path("ca.pem"), certificates.path("other-ca.pem"));
    let verify = |ca: &Path, client| Tls::VerifyFull { ca: Some(ca.to_owned()), client };
    let (client, stranger) = (certificates.client("client"), certificates.client("stranger"));

    for (host, database, tls, expected) in [
        ("localhost", "postgres", verify(&ca, None), Ok(())),
        ("127.0.0.1", "postgres", verify(&ca, None), Err("not valid for name")),
        ("localhost", "postgres", verify(&other, None), Err("UnknownIssuer")),
        ("localhost", "postgres", Tls::VerifyFull { ca: None, client: None }, Err("UnknownIssuer")),
        ("127.0.0.1", "postgres", Tls::Require { client: None }, Ok(())),
        ("127.0.0.1", "postgres", Tls::Off, Err("no encryption")),
        ("localhost", "template1", verify(&ca, client), Ok(())),
        ("localhost", "template1", verify(&ca, None), Err("requires a valid client certificate")),
        ("localhost", "template1", verify(&ca, stranger), Err("UnknownCA")),
    ] {
        let url = Secret::new(format!("postgresql://crossdock@{host}:{}/{database}", server.port));
        let options = Options { tls: tls.clone(), ..Options::new(url) };

        let opened = PostgresStore::open(options).await;

        match (opened, expected) {
            (Ok(store), Ok(())) => {
                let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
                let row = store.pool.get().await.unwrap().query_one(encrypted, &[]).await.unwrap();
                assert!(row.get::<_, bool>(0), "{host}/{database} {tls:?}");
                store.take_lane(&lane(0)).await.unwrap();
            }
            (Err(refused), Err(expected)) => {
                let text = refused.to_string();
                assert!(text.contains(expected), "{host}/{database} {tls:?}: {text}");
                assert!(!refused.is_transient(), "{host}/{database} {tls:?}: a person must act: {text}");
            }
            (opened, _) => panic!("{host}/{database} {tls:?}: {:?}", opened.err()),
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_if_it_is_required() {
    let refused = PostgresStore::open(Options { tls: Tls::Require { client: None }, ..options() }).await;

    assert!(!is_unavailable(&refused));
    assert_eq!(unusable(refused), "error performing TLS handshake: server does not support TLS");
}

#[tokio::test]
async fn a_certificate_file_that_is_missing_or_empty_is_named() {
    let folder = TempDir::new().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for ca in [folder.path().join("absent.pem"), empty] {
        let tls = Tls::VerifyFull { ca: Some(ca.clone()), client: None };

        let refused = unusable(PostgresStore::open(Options { tls, ..options() }).await);

        assert!(refused.starts_with(&format!("`{}`: ", ca.display())), "{refused}");
    }
}
