//! A transport without a network.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Mutex;

use modelrack::transport::{Request, Response, Transport, TransportError};

/// Answers from memory, and remembers what was asked.
#[derive(Debug, Default)]
pub(crate) struct InMemory {
    pub(crate) documents: BTreeMap<String, Vec<u8>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Transport for InMemory {
    fn get(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let url = request.url.expose();
        self.asked.lock().unwrap().push(url.clone());
        let (status, body) = match self.documents.get(&url) {
            Some(bytes) => (200, bytes.clone()),
            None => (404, Vec::new()),
        };
        Ok(Response {
            status,
            headers: vec![("content-length".to_owned(), body.len().to_string())],
            body: Box::new(Cursor::new(body)),
        })
    }
}
