//! Puts TLS in front of a server. The folder `tls` has the certificates:
//!
//! | name | certificate |
//! |---|---|
//! | `server` | for `localhost` and 127.0.0.1, by the authority `ca` |
//! | `self-signed` | the same, by itself |
//! | `own-authority` | the same, by itself, and an authority, as `openssl req -x509` makes it |
//! | `expired`, `other-host`, `nameless` | by themselves: of 2020, for another host, for no host |

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::root;

/// Takes TLS connections and hands their requests on, one a connection.
pub(crate) struct TlsFront {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl TlsFront {
    /// With the certificate that [`TlsFront::authority`] vouches for.
    pub(crate) fn of(port: u16) -> Self {
        Self::with("server", port)
    }

    pub(crate) fn with(certificate: &str, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let config = Arc::new(config(certificate));
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let config = config.clone();
                std::thread::spawn(move || serve(stream, config, port));
            }
        });
        Self {
            port: own,
            connections,
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The authority that signed the certificate.
    pub(crate) fn authority() -> PathBuf {
        Self::pem("ca")
    }

    pub(crate) fn pem(name: &str) -> PathBuf {
        file(&format!("{name}.pem"))
    }
}

fn file(name: &str) -> PathBuf {
    let suite = root().join("tests").join("suite");
    suite.join("support").join("tls").join(name)
}

fn config(name: &str) -> ServerConfig {
    let certificate = CertificateDer::from_pem_file(TlsFront::pem(name)).unwrap();
    let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

/// A client that does not trust the certificate ends the connection here.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, port: u16) -> Option<()> {
    let connection = ServerConnection::new(config).ok()?;
    let mut client = StreamOwned::new(connection, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    // The end of the connection behind is the end of the answer.
    let head = String::from_utf8(head).ok()?;
    let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let mut server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let patience = Some(Duration::from_secs(10));
    server.set_read_timeout(patience).ok()?;
    server.write_all(head.as_bytes()).ok()?;
    io::copy(&mut server, &mut client).ok()?;
    client.conn.send_close_notify();
    client.flush().ok()
}
