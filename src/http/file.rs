//! `file://` URLs, answered as a server would: for machines without a network, and for trying a registry out.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use crate::http::transport::{Request, Response, TransportError};

/// Opens the file that the URL names: 200 with its bytes, 206 with those of a range, 404 when there is none, 403 when it
/// may not be read.
pub(crate) fn get(
    request: &Request<'_>,
    range: Option<&Range<u64>>,
) -> Result<Response, TransportError> {
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
        Ok((mut file, len)) if let Some(range) = range.filter(|range| range.end <= len) => {
            let length = range.end - range.start;
            file.seek(SeekFrom::Start(range.start))
                .map_err(unreadable)?;
            let last = range.end.saturating_sub(1);
            let headers = vec![
                ("content-length".to_owned(), length.to_string()),
                (
                    "content-range".to_owned(),
                    format!("bytes {}-{last}/{len}", range.start),
                ),
            ];
            answer(206, headers, Box::new(file.take(length)))
        }
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
            _ => Err(unreadable(error)),
        },
    }
}

fn unreadable(error: io::Error) -> TransportError {
    TransportError {
        message: "the file cannot be read".into(),
        transient: false,
        source: Some(error.into()),
    }
}
