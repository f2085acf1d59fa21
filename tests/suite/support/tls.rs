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
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

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
        let config = Arc::new(config(certificate, WebPkiClientVerifier::no_client_auth()));
        Self::start(move |stream| serve(stream, config.clone(), port))
    }

    /// Lets in only who has a certificate of its own.
    pub(crate) fn for_certified_clients(port: u16) -> Self {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(Self::authority()).unwrap();
        roots.add(authority).unwrap();
        let provider = Arc::new(rustls_graviola::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        let config = Arc::new(config("server", verifier.build().unwrap()));
        Self::start(move |stream| serve(stream, config.clone(), port))
    }

    /// Answers whatever comes first with these bytes.
    pub(crate) fn answering(bytes: &'static [u8]) -> Self {
        Self::start(move |mut stream| {
            let mut header = [0; 5];
            stream.read_exact(&mut header).ok()?;
            let length = u16::from_be_bytes([header[3], header[4]]);
            stream.read_exact(&mut vec![0; length.into()]).ok()?;
            stream.write_all(bytes).ok()
        })
    }

    fn start(serve: impl Fn(TcpStream) -> Option<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (connections.clone(), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let serve = serve.clone();
                std::thread::spawn(move || serve(stream));
            }
        });
        Self { port, connections }
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

fn config(name: &str, clients: Arc<dyn ClientCertVerifier>) -> ServerConfig {
    let certificate = CertificateDer::from_pem_file(TlsFront::pem(name)).unwrap();
    let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
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
        match client.read(&mut byte) {
            Ok(0) => return None,
            Ok(_) => {}
            // What is not read would take back what was sent, such as an alert.
            Err(_) => return io::copy(&mut client.sock, &mut io::sink()).map(drop).ok(),
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
