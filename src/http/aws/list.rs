//! What a bucket has ([ListObjectsV2]).
//!
//! [ListObjectsV2]: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html

use std::slice;
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::http::Failure;
use crate::http::call::Call;
use crate::http::outgoing::Outgoing;
use crate::http::retry::parse_http_date;
use crate::http::transport::Method;
use crate::http::xml::{self, Element};
use crate::time::parse_rfc3339;
use crate::url::{Url, encode_strictly, percent_decode};

/// The largest page that is read: of 1,000 keys, with up to 1 KiB each and about 400 bytes beside it.
const MAX_PAGE_BYTES: u64 = 8 << 20;

/// An object of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// Its path below the folder that was listed.
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    /// When it was written last.
    pub(crate) modified_at: Option<SystemTime>,
}

/// The objects below a folder, page by page, in the order of their keys.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    call: &'a Call,
    /// The URL of the bucket.
    bucket: Url,
    /// What the keys begin with.
    prefix: String,
    /// Where the next page begins, once there was one.
    token: Option<String>,
    is_complete: bool,
    /// What time it was at the store when it sent the last page.
    date: Option<SystemTime>,
}

impl<'a> Listing<'a> {
    /// Begins to list what is below the folder at this URL; the call is authorized for it.
    pub(crate) fn new(call: &'a Call, folder: &Url) -> Self {
        let key = percent_decode(folder.path().trim_matches('/'));
        let key = String::from_utf8_lossy(&key);
        Self {
            call,
            bucket: folder.of_server(),
            prefix: if key.is_empty() {
                String::new()
            } else {
                format!("{key}/")
            },
            token: None,
            is_complete: false,
            date: None,
        }
    }

    /// Whether there are no more pages.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// What time it was at the store when it sent the last page, if it said so.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        self.date
    }

    /// Requests the next page, which may be empty.
    pub(crate) fn next_page(&mut self) -> Result<Vec<Object>> {
        let prefix = encode_strictly(self.prefix.as_bytes(), b"");
        let mut query = format!("list-type=2&prefix={prefix}");
        if let Some(token) = &self.token {
            let token = encode_strictly(token.as_bytes(), b"");
            query = format!("continuation-token={token}&{query}");
        }
        let url = self.bucket.with_query(&query);
        let (call, shown) = (self.call, &self.bucket);
        let (page, date) = call.retrying(slice::from_ref(&url), |_, url| {
            let mut response = call.send(&Outgoing::new(Method::Get, url), &[])?;
            let bytes = response.read_whole(MAX_PAGE_BYTES, shown)?;
            let text = std::str::from_utf8(&bytes).ok();
            let page = text.and_then(xml::parse);
            let page = page.filter(|page| page.name == "ListBucketResult");
            let malformed = "the list of what the bucket has is malformed";
            let page = page.ok_or_else(|| Failure::last(Error::registry(shown, malformed)))?;
            Ok((page, response.header("date").and_then(parse_http_date)))
        })?;
        self.date = date;
        let objects = page.children.iter().filter(|it| it.name == "Contents");
        let objects: Vec<Object> = objects.filter_map(|it| self.object(it)).collect();
        let next = page.text("NextContinuationToken").map(str::to_owned);
        self.is_complete = page.text("IsTruncated") != Some("true");
        if !self.is_complete && (next.is_none() || next == self.token) {
            let endless = "the list of what the bucket has goes on, but not from where";
            return Err(Error::registry(shown, endless));
        }
        self.token = next;
        Ok(objects)
    }

    fn object(&self, element: &Element) -> Option<Object> {
        Some(Object {
            path: element.text("Key")?.strip_prefix(&self.prefix)?.to_owned(),
            size_bytes: element.text("Size")?.parse().ok()?,
            modified_at: element.text("LastModified").and_then(parse_rfc3339),
        })
    }
}
