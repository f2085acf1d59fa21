//! An object store that speaks S3: one bucket behind the test server, which checks signatures by itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::disk::files_below;
use super::server::{Page, Request, Server, lock};

/// The bucket.
pub(crate) const BUCKET: &str = "models";
/// Where AWS is without anything said: where the bucket is unless a test moves it.
pub(crate) const REGION: &str = "us-east-1";

/// A running store.
pub(crate) struct S3 {
    pub(crate) server: Server,
    state: Arc<Mutex<State>>,
}

/// What a test changes about a store.
pub(crate) struct State {
    pub(crate) objects: BTreeMap<String, Arc<[u8]>>,
    /// When those were written that were not there two days ago.
    pub(crate) written_at: BTreeMap<String, SystemTime>,
    /// The id of each key with its secret half, and the token that must come with it; without any, all are let in.
    pub(crate) keys: Vec<(String, String, Option<String>)>,
    pub(crate) region: String,
    /// Whether who has a key may list the bucket, and so learns that there is nothing.
    pub(crate) may_list: bool,
    /// By how many minutes its clock is ahead.
    pub(crate) minutes_ahead: i64,
    pub(crate) has_bucket: bool,
    /// Whether it honours `If-Match` and `If-None-Match` when something is written.
    pub(crate) has_conditions: bool,
    /// How many objects a page of a list has.
    pub(crate) page: usize,
    /// What others write to `models.json`, one after the other, each right before somebody else would.
    pub(crate) rivals: Vec<Vec<u8>>,
}

impl S3 {
    /// A store with an empty bucket that anybody may read.
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            objects: BTreeMap::new(),
            written_at: BTreeMap::new(),
            keys: Vec::new(),
            region: REGION.into(),
            may_list: true,
            minutes_ahead: 0,
            has_bucket: true,
            has_conditions: true,
            page: 1000,
            rivals: Vec::new(),
        }));
        let server = Server::start();
        server.routes(&state, State::answer);
        Self { server, state }
    }

    /// Puts the files of a folder below a prefix.
    pub(crate) fn holding(self, folder: &Path, prefix: &str) -> Self {
        self.change(|state| {
            for (name, bytes) in files_below(folder) {
                state
                    .objects
                    .insert(format!("{prefix}{name}"), bytes.into());
            }
        });
        self
    }

    /// From now on, lets in nobody without this key.
    pub(crate) fn with_key(self, id: &str, secret: &str) -> Self {
        self.change(|state| state.keys.push((id.into(), secret.into(), None)));
        self
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut lock(&self.state))
    }

    /// How many requests came with a signature, and without one.
    pub(crate) fn signed_and_unsigned(&self) -> (usize, usize) {
        let requests = self.server.requests();
        let is_signed = |request: &&Request| request.header("authorization").is_some();
        let signed = requests.iter().filter(is_signed).count();
        (signed, requests.len() - signed)
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Page {
        let page = match self.check(request) {
            Ok(()) => self.serve(request),
            Err(page) => page,
        };
        page.header("date", &http_date(self.now()))
    }

    fn now(&self) -> SystemTime {
        let ahead = Duration::from_secs(self.minutes_ahead.unsigned_abs() * 60);
        match self.minutes_ahead {
            0.. => SystemTime::now() + ahead,
            _ => SystemTime::now() - ahead,
        }
    }

    fn serve(&mut self, request: &Request) -> Page {
        let path = request.path_only().strip_prefix('/').unwrap();
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        if bucket != BUCKET || !self.has_bucket {
            return fault(404, "NoSuchBucket", "The specified bucket does not exist");
        }
        match request.method.as_str() {
            "PUT" => return self.put(key, request),
            "DELETE" => {
                self.objects.remove(key);
                return Page::new(204, []);
            }
            _ if key.is_empty() => return self.list(request),
            _ => {}
        }
        match self.objects.get(key) {
            Some(bytes) => Page::file(bytes.clone(), &tag(bytes))
                .header("last-modified", &http_date(self.written_at(key))),
            None if self.may_list => fault(404, "NoSuchKey", "The specified key does not exist."),
            None => fault(403, "AccessDenied", "Access Denied"),
        }
    }

    fn put(&mut self, key: &str, request: &Request) -> Page {
        if key.ends_with("/models.json") && !self.rivals.is_empty() {
            let json = self.rivals.remove(0);
            self.objects.insert(key.into(), json.into());
        }
        let here = self
            .objects
            .get(key)
            .map(|bytes| format!("\"{}\"", tag(bytes)));
        let is_met = match (request.header("if-match"), request.header("if-none-match")) {
            (Some(wanted), _) => here.as_deref() == Some(wanted),
            (None, Some(_)) => here.is_none(),
            (None, None) => true,
        };
        if self.has_conditions && !is_met {
            let message = "At least one of the pre-conditions you specified did not hold";
            return fault(412, "PreconditionFailed", message);
        }
        let stated = request.header("x-amz-content-sha256");
        if stated.is_some_and(|stated| stated != hex(&Sha256::digest(&request.body))) {
            let message =
                "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return fault(400, "XAmzContentSHA256Mismatch", message);
        }
        self.objects.insert(key.into(), request.body.clone().into());
        self.written_at.insert(key.into(), self.now());
        Page::new(200, [])
    }

    fn written_at(&self, key: &str) -> SystemTime {
        let two_days_ago = || self.now() - Duration::from_secs(48 * 3600);
        let known = self.written_at.get(key).copied();
        known.unwrap_or_else(two_days_ago)
    }

    fn list(&self, request: &Request) -> Page {
        if !self.may_list {
            return fault(403, "AccessDenied", "Access Denied");
        }
        let prefix = request.value("prefix").unwrap_or_default();
        let after = request.value("continuation-token").unwrap_or_default();
        let mut found = self
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix) && **key > after);
        let mut xml = String::from("<?xml version=\"1.0\"?><ListBucketResult>");
        let page: Vec<_> = found.by_ref().take(self.page).collect();
        for (key, bytes) in &page {
            xml += &format!(
                "<Contents><Key>{key}</Key><LastModified>{}</LastModified><Size>{}</Size></Contents>",
                Timestamp::try_from(self.written_at(key)).unwrap(),
                bytes.len()
            );
        }
        let is_truncated = found.next().is_some();
        xml += &format!("<IsTruncated>{is_truncated}</IsTruncated>");
        if let Some((key, _)) = page.last().filter(|_| is_truncated) {
            xml += &format!("<NextContinuationToken>{key}</NextContinuationToken>");
        }
        Page::new(200, (xml + "</ListBucketResult>").into_bytes())
    }

    /// Checks the signature of a request.
    fn check(&self, request: &Request) -> Result<(), Page> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let Some(authorization) = request.header("authorization") else {
            return Err(fault(403, "AccessDenied", "Access Denied"));
        };
        let part = |name: &str| {
            let begin = authorization.find(name)? + name.len();
            authorization[begin..].split(',').next()
        };
        let parts = (
            part("Credential="),
            part("SignedHeaders="),
            part("Signature="),
        );
        let (Some(credential), Some(names), Some(signature)) = parts else {
            let message = "The authorization mechanism is not supported";
            return Err(fault(400, "InvalidRequest", message));
        };
        let (id, scope) = credential.split_once('/').unwrap_or_default();
        let Some((_, secret, token)) = self.keys.iter().find(|(known, ..)| known == id) else {
            let message = "The AWS Access Key Id you provided does not exist in our records.";
            return Err(fault(403, "InvalidAccessKeyId", message));
        };
        if token.as_deref() != request.header("x-amz-security-token") {
            return Err(fault(
                400,
                "ExpiredToken",
                "The provided token has expired.",
            ));
        }
        if scope.split('/').nth(1) != Some(&self.region) {
            let region = &self.region;
            let message = format!("the region is wrong; expecting '{region}'");
            let body = format!(
                "<?xml version=\"1.0\"?><Error><Code>AuthorizationHeaderMalformed</Code>\
                 <Message>{message}</Message><Region>{region}</Region></Error>"
            );
            return Err(Page::new(400, body.into_bytes()));
        }
        let time = request.header("x-amz-date").unwrap_or_default();
        let apart = self.now().duration_since(parse_time(time));
        let apart = apart.unwrap_or_else(|error| error.duration());
        if apart > Duration::from_secs(15 * 60) {
            let message =
                "The difference between the request time and the current time is too large.";
            return Err(fault(403, "RequestTimeTooSkewed", message));
        }
        match signature == expected(request, secret, scope, names, time) {
            true => Ok(()),
            false => {
                let message = "The request signature we calculated does not match the signature you provided.";
                Err(fault(403, "SignatureDoesNotMatch", message))
            }
        }
    }
}

/// The signature that a request must have.
fn expected(request: &Request, secret: &str, scope: &str, names: &str, time: &str) -> String {
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    let mut query: Vec<&str> = query.split('&').collect();
    query.sort_unstable();
    let value = |name: &str| request.header(name).unwrap_or_default();
    let headers = names
        .split(';')
        .map(|name| format!("{name}:{}\n", value(name)));
    let canonical = format!(
        "{}\n{path}\n{}\n{}\n{names}\n{}",
        request.method,
        query.join("&"),
        headers.collect::<String>(),
        value("x-amz-content-sha256"),
    );
    let digest = hex(&Sha256::digest(canonical));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(first, |key, word| hmac(&key, word));
    hex(&hmac(&key, &text))
}

/// What tells one state of an object from another.
fn tag(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..16])
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    assert!(key.len() <= 64, "the keys of the tests fit into a block");
    let mut block = key.to_vec();
    block.resize(64, 0);
    let padded = |pad: u8| -> Vec<u8> { block.iter().map(|byte| byte ^ pad).collect() };
    let inner = Sha256::new_with_prefix(padded(0x36)).chain_update(message);
    let outer = Sha256::new_with_prefix(padded(0x5c));
    outer.chain_update(inner.finalize()).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads `20130524T000000Z`; what is none is very long ago.
fn parse_time(text: &str) -> SystemTime {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text);
    let seconds = time.map_or(0, |time| {
        let since = time.duration_since(jiff::civil::date(1970, 1, 1).into());
        since.as_secs().unsigned_abs()
    });
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn http_date(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap();
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&time).unwrap()
}

/// An error as the store words it.
pub(crate) fn fault(status: u16, code: &str, message: &str) -> Page {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>1</RequestId></Error>"
    );
    Page::new(status, body.into_bytes()).header("content-type", "application/xml")
}
