#!/bin/bash
# Guess:   A provider of cryptography for rustls only says how a cipher is computed: with another one, the same client asks the
#          same server for the same connection.
# Truth:   The provider also says in which order ciphers are offered. ring's begins with AES-256-GCM, graviola's with
#          AES-128-GCM, and a server that follows its clients encrypts with another cipher, key length and hash. Who measures
#          providers, or promises a cipher, has to set the order: it is a public field of the provider.
# Version: rustls 0.23.46 with ring 0.17.14, rustls-graviola 0.4.0
# Source:  rustls, src/crypto/ring/mod.rs, `ALL_CIPHER_SUITES`; rustls-graviola, src/suites.rs, `ALL_CIPHER_SUITES`
# Why:     A comparison of two providers compares two ciphers, and a change of one line in Cargo.toml changes what a network's
#          policy sees, without a word in either's documentation.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cargo init -q --name finding --vcs none
cargo add -q rustls@=0.23.46 --no-default-features --features std,tls12,ring
cargo add -q ring@=0.17.14 rustls-graviola@=0.4.0
cat > src/main.rs <<'RUST'
use std::sync::Arc;

use rustls::client::ClientConnection;
use rustls::crypto::CryptoProvider;
use rustls::server::Acceptor;
use rustls::{CipherSuite, ClientConfig, RootCertStore};

/// Returns the ciphers that a client offers, as a server sees them.
fn offered(provider: CryptoProvider) -> Vec<CipherSuite> {
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let server = "models.example".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), server).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut &hello[..]).unwrap();
    let accepted = acceptor.accept().map_err(|(error, _)| error).unwrap().unwrap();
    accepted.client_hello().cipher_suites().to_vec()
}

fn main() {
    let ring = offered(rustls::crypto::ring::default_provider());
    let graviola = offered(rustls_graviola::default_provider());
    println!("ring offers {:?} first", ring[0]);
    println!("graviola offers {:?} first", graviola[0]);
    assert_eq!(ring[0], CipherSuite::TLS13_AES_256_GCM_SHA384);
    assert_eq!(graviola[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
    let sorted = |mut ciphers: Vec<CipherSuite>| {
        ciphers.sort_by_key(|cipher| u16::from(*cipher));
        ciphers
    };
    assert_eq!(sorted(ring), sorted(graviola), "both offer the same ciphers");
}
RUST
echo "rustls 0.23.46, ring 0.17.14, rustls-graviola 0.4.0"
cargo run -q
