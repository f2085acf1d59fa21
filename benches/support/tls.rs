//! https without a proxy between: a server of a folder, and connections to it for the bare loop. Both use the certificates
//! of the tests, which are valid for a century: crates that make certificates sign with C, or with a dozen crates more, and
//! nothing that is measured depends on who made one.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

use crate::support::Result;

/// How much the server reads and encrypts at once.
const PIECE: usize = 256 << 10;

/// The authority that signed the server's certificate.
pub(crate) fn authority() -> PathBuf {
    certificates().join("ca.pem")
}

fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/support/tls")
}

/// Serves a folder over TLS 1.3, as long as the process lives; returns the URL.
pub(crate) fn serve(folder: &Path) -> Result<String> {
    let certificate = CertificateDer::from_pem_file(certificates().join("server.pem"))?;
    let key = PrivateKeyDer::from_pem_file(certificates().join("server.key"))?;
    let provider = Arc::new(rustls_graviola::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("https://{}", listener.local_addr()?);
    let folder = folder.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, folder) = (config.clone(), folder.clone());
            // What goes wrong with a connection shows at the client.
            thread::spawn(move || drop(answer(stream, config, &folder)));
        }
    });
    Ok(url)
}

/// Answers the requests of a connection, which are for whole files.
fn answer(stream: TcpStream, config: Arc<ServerConfig>, folder: &Path) -> Result<()> {
    stream.set_nodelay(true)?;
    let connection = ServerConnection::new(config)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let mut piece = vec![0; PIECE];
    loop {
        let mut path = None;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end() {
                "" => break,
                line if path.is_none() => path = line.split(' ').nth(1).map(str::to_owned),
                _ => {}
            }
        }
        let out = stream.get_mut();
        let path = path.ok_or("a request without a path")?;
        let Ok(mut file) = File::open(folder.join(path.trim_start_matches('/'))) else {
            out.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
        loop {
            match file.read(&mut piece)? {
                0 => break,
                read => out.write_all(&piece[..read])?,
            }
        }
    }
}

/// Connects to a server with the certificate of the tests.
pub(crate) fn connect(
    config: Arc<ClientConfig>,
    host: &str,
) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let stream = TcpStream::connect(host)?;
    stream.set_nodelay(true)?;
    let name = host.split(':').next().unwrap_or_default().to_owned();
    let connection = ClientConnection::new(config, ServerName::try_from(name)?)?;
    Ok(StreamOwned::new(connection, stream))
}

pub(crate) fn client() -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority())?)?;
    let provider = Arc::new(rustls_graviola::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
