//! `file://` URLs, answered as a server would: for machines without a network, and for trying a registry out.

use std::fs::File;
use std::io::{self, Read};

use crate::http::transport::{Request, Response, TransportError};

/// Opens the file that the URL names: 200 with its bytes, 404 when there is none, 403 when it may not be read.
pub(crate) fn get(request: &Request<'_>) -> Result<Response, TransportError> {
    let answer = |status, headers, body| {
        Ok(Response {
            status,
            headers,
            body,
        })
    };
    let Some(path) = request.url.to_file_path() else {
        return answer(404, Vec::new(), Box::new(io::empty()));
    };
    let open = || -> io::Result<(File, u64)> {
        let file = File::open(&path)?;
        let metadata = file.metadata()?;
        if metadata.is_file() {
            Ok((file, metadata.len()))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    };
    match open() {
        Ok((file, len)) => answer(
            200,
            vec![("content-length".to_owned(), len.to_string())],
            Box::new(file.take(len)),
        ),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory => answer(404, Vec::new(), Box::new(io::empty())),
            io::ErrorKind::PermissionDenied => answer(403, Vec::new(), Box::new(io::empty())),
            _ => Err(TransportError {
                message: "the file cannot be read".into(),
                transient: false,
                source: Some(error.into()),
            }),
        },
    }
}
