//! `file://` URLs, served as a server would: for machines without a network, and for testing a registry.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use crate::http::transport::{Request, Response, TransportError};

/// Opens the file of a URL: 200 with its bytes, 206 with a range, 404 if it does not exist, 403 without permission.
pub(crate) fn get(
    request: &Request<'_>,
    range: Option<&Range<u64>>,
) -> Result<Response, TransportError> {
    let empty = |status| response(status, &[], io::empty());
    let Some(path) = request.url.to_file_path() else {
        return Ok(empty(404));
    };
    let open = || -> io::Result<(File, u64)> {
        // Opening a pipe waits for somebody who writes to it.
        if !fs::metadata(&path)?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    };
    match open() {
        Ok((mut file, len)) if let Some(range) = range.filter(|range| range.end <= len) => {
            let length = range.end - range.start;
            file.seek(SeekFrom::Start(range.start))
                .map_err(unreadable)?;
            let last = range.end.saturating_sub(1);
            let content_range = format!("bytes {}-{last}/{len}", range.start);
            let headers = [
                ("content-length", length.to_string()),
                ("content-range", content_range),
            ];
            Ok(response(206, &headers, file.take(length)))
        }
        Ok((file, len)) => {
            let headers = [("content-length", len.to_string())];
            Ok(response(200, &headers, file.take(len)))
        }
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory => Ok(empty(404)),
            io::ErrorKind::PermissionDenied => Ok(empty(403)),
            _ => Err(unreadable(error)),
        },
    }
}

fn response(status: u16, headers: &[(&str, String)], body: impl Read + Send + 'static) -> Response {
    let headers = headers.iter();
    let headers = headers.map(|(name, value)| ((*name).to_owned(), value.clone()));
    Response {
        status,
        headers: headers.collect(),
        body: Box::new(body),
    }
}

fn unreadable(error: io::Error) -> TransportError {
    TransportError {
        message: "cannot read the file".into(),
        transient: false,
        source: Some(error.into()),
    }
}
