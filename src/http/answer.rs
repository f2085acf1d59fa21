//! What a response means: a body, nothing new, or a failure.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use super::coding::{codings, decoded};
use super::page::PageSigns;
use super::reason::{Explanation, Reason};
use super::resume::Origin;
use super::retry::{Fault, parse_http_date, parse_retry_after};
use super::transport::Response;
use super::{Answer, Body, Failure, Validators};
use crate::error::{AuthFailure, ErrorKind, Result};
use crate::secret::Secret;
use crate::url::{Scheme, Url};

/// Interprets a response that is not a redirect; `None` if it is not the range that was requested.
pub(super) fn read(
    url: Url,
    mut response: Response,
    origin: Origin,
    access: &Access<'_>,
) -> Result<Option<Answer>, Failure> {
    let sent = content_range(&response).filter(|_| response.status == 206);
    match (response.status, &origin.options.range) {
        (200, _) => {}
        (300..400, _) if origin.options.until.is_some() => {}
        (206, Some(range)) if sent.as_ref().is_some_and(|sent| sent.is_of(range)) => {}
        (206 | 416, Some(_)) => return Ok(None),
        (304, _) if origin.options.known.is_some() => return Ok(Some(Answer::Unchanged)),
        _ => {
            let explanation = origin.client.explanation(&url, &mut response);
            return Err(refusal(url, &response, access, explanation));
        }
    }
    let body = body(url, response, sent, origin, access)?;
    Ok(body.map(|body| Answer::Body(Box::new(body))))
}

/// How a request was authorized, and could have been.
#[derive(Debug, Clone, Default)]
pub(super) struct Access<'a> {
    /// The value of the `Authorization` header.
    pub(super) authorization: Option<Secret>,
    /// The variable or file that the token in it came from, or the setting that the user and password did.
    pub(super) origin: Option<&'a str>,
    /// The environment variable that may hold a token; none where a user and password are sent.
    pub(super) token_variable: Option<&'static str>,
}

/// Reads the headers of a body; `None` for a range of compressed bytes.
fn body(
    url: Url,
    response: Response,
    sent: Option<ContentRange>,
    origin: Origin,
    access: &Access<'_>,
) -> Result<Option<Body>, Failure> {
    let length = response.header("content-length");
    let length: Option<u64> = length.and_then(|length| length.parse().ok());
    let total = match &sent {
        Some(sent) => sent.total,
        None => length,
    };
    let coding = response.header("content-encoding").unwrap_or_default();
    let codings = codings(coding, total, &origin.url, &origin.options);
    if !codings.is_empty() && sent.is_some() {
        return Ok(None);
    }
    let mut links = response.headers.iter().filter(|(name, _)| name == "link");
    let is_beginning = sent.as_ref().is_none_or(|sent| sent.range.start == 0);
    let content_type = response.header("content-type");
    let page = PageSigns::new(&origin.url, access.token_variable, content_type);
    let wants_headers = origin.options.wants_headers || origin.options.until.is_some();
    let headers = wants_headers.then(|| response.headers.clone());
    let headers = headers.unwrap_or_default();
    let limit = origin.client.rate_limit();
    let body = Body {
        limit: limit.filter(|_| url.scheme() != Scheme::File).cloned(),
        paid_until: Duration::ZERO,
        is_range: sent.is_some(),
        length: length.filter(|_| codings.is_empty()),
        total: sent.and_then(|sent| sent.total),
        validators: validators(&response),
        next: links.find_map(|(_, link)| next_page(link)),
        headers,
        at: 0,
        cut: None,
        page: page.refused(is_beginning && !origin.options.has_digest),
        // Ranges of encoded bytes cannot be told from ranges of what they decode to.
        origin: Some(origin).filter(|_| codings.is_empty()),
        reader: decoded(&url, response.body, &codings)?,
        url,
    };
    Ok(Some(body))
}

/// Returns the validators of a response. A time says nothing yet of changes within the same second ([RFC 9110], section
/// 8.8.2.2).
///
/// [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110
fn validators(response: &Response) -> Validators {
    let now = SystemTime::now();
    let sent_at = response.header("date").and_then(parse_http_date);
    let is_over = |changed: &&str| {
        let changed = parse_http_date(changed)?;
        sent_at.unwrap_or(now).duration_since(changed).ok()
    };
    let last_modified = response.header("last-modified");
    let last_modified =
        last_modified.filter(|changed| is_over(changed) >= Some(Duration::from_secs(1)));
    Validators {
        etag: response.header("etag").map(str::to_owned),
        last_modified: last_modified.map(str::to_owned),
    }
}

/// Makes the failure of a response that is not what was requested.
pub(super) fn refusal(
    url: Url,
    response: &Response,
    access: &Access<'_>,
    explanation: Explanation,
) -> Failure {
    let Explanation {
        reason,
        registry,
        looked_at,
    } = explanation;
    let (authorized, token_variable) = (access.authorization.is_some(), access.token_variable);
    let token_origin = access.origin.map(str::to_owned);
    let now = SystemTime::now();
    let (url, status) = (Box::new(url), response.status);
    let requested = response.header("retry-after");
    let requested = requested.and_then(|value| parse_retry_after(value, now));
    let retry_after = requested.or_else(|| rate_limit(response, now));
    let words = reason.as_ref().map(Reason::to_string);
    let network = |status, message: String, server_code: Option<&str>, url| ErrorKind::Network {
        url,
        status: Some(status),
        message: match &words {
            Some(words) => format!("{message}: the server says '{}'", words.escape_debug()),
            None => message,
        },
        server_code: server_code.map(str::to_owned),
        source: None,
    };
    let rate_limited = |url| ErrorKind::RateLimited {
        url,
        retry_after,
        token_variable: token_variable.filter(|_| !authorized),
        registry: registry.clone().filter(|_| !authorized),
        reason: match (&words, limit(response)) {
            (Some(words), Some(limit)) => Some(format!("{words}; {limit}")),
            (words, limit) => words.clone().or(limit),
        },
    };
    let server_code = reason.as_ref().map(|reason| reason.code.as_str());
    let kind = match (status, response.header("x-error-code")) {
        // The Hub does not reveal what is private: its own code says what the refusal means.
        (401 | 403 | 404, Some(code)) if code.ends_with("NotFound") => {
            network(404, "not found".into(), Some(code), url)
        }
        (401 | 403, Some("GatedRepo")) => ErrorKind::Authentication {
            url,
            failure: AuthFailure::Gated,
            token_variable,
            token_origin,
            registry,
            reason: words,
            looked_at,
        },
        (403, _) if retry_after.is_some() => rate_limited(url),
        (429, _) => rate_limited(url),
        (401 | 403 | 407, _) => ErrorKind::Authentication {
            url,
            failure: match status {
                // A registry has let its user in by now.
                403 if !authorized || registry.is_some() => AuthFailure::Forbidden,
                _ if authorized => AuthFailure::Refused,
                _ => AuthFailure::Missing,
            },
            token_variable,
            token_origin,
            registry,
            reason: words,
            looked_at,
        },
        (404 | 410, _) => network(status, "not found".into(), server_code, url),
        _ => {
            let message = format!("the server responded with status {status}");
            network(status, message, server_code, url)
        }
    };
    Failure {
        error: kind.into(),
        fault: Fault::Status {
            status,
            retry_after: retry_after.filter(|_| status == 429).or(requested),
        },
        had_token: access.origin.is_some(),
    }
}

/// Which part of a document a response has, and the size of the whole if the server knows it.
struct ContentRange {
    range: Range<u64>,
    total: Option<u64>,
}

impl ContentRange {
    /// Returns whether it is what was requested.
    fn is_of(&self, requested: &Range<u64>) -> bool {
        self.range.start == requested.start
            && (self.range.end == requested.end || requested.end == u64::MAX)
    }
}

/// Reads `Content-Range: bytes 5-9/20`.
fn content_range(response: &Response) -> Option<ContentRange> {
    let sent = response.header("content-range")?.strip_prefix("bytes ")?;
    let (range, total) = sent.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    Some(ContentRange {
        range: first.trim().parse().ok()?..last.checked_add(1)?,
        total: total.trim().parse().ok(),
    })
}

/// Returns the reference to the next page in `Link: <https://…>; rel="next"` ([RFC 8288]).
///
/// [RFC 8288]: https://www.rfc-editor.org/rfc/rfc8288
fn next_page(link: &str) -> Option<String> {
    // References and quoted values may have separators in them.
    fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
        let mut is_inside = false;
        let pieces = text.split(move |c| {
            is_inside ^= matches!(c, '<' | '>' | '"');
            c == separator && !is_inside
        });
        pieces.map(str::trim)
    }
    let is_next = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
        name.trim().eq_ignore_ascii_case("rel")
            && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
    };
    split(link, ',').find_map(|link| {
        let mut parts = split(link, ';');
        let target = parts.next()?.strip_prefix('<')?.strip_suffix('>')?;
        parts.any(is_next).then(|| target.to_owned())
    })
}

/// Reads `RateLimit: "api";r=0;t=55` of [the Hub]: no requests remain, and the limit resets in 55 seconds.
///
/// [the Hub]: https://huggingface.co/docs/hub/rate-limits
fn until_reset(limit: &str) -> Option<Duration> {
    let value = |name: &str| -> Option<u64> {
        let mut parts = limit.split(';').map(str::trim);
        parts.find_map(|part| part.strip_prefix(name))?.parse().ok()
    };
    (value("r=")? == 0).then_some(Duration::from_secs(value("t=")?))
}

/// Returns how long a rate limit lasts, if the request was refused for one. GitHub [sends it] with a 403.
///
/// [sends it]: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
fn rate_limit(response: &Response, now: SystemTime) -> Option<Duration> {
    if let Some(limit) = response.header("ratelimit") {
        return until_reset(limit);
    }
    if response.header("x-ratelimit-remaining") != Some("0") {
        return None;
    }
    let reset = response.header("x-ratelimit-reset")?.trim().parse().ok()?;
    let reset = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(reset))?;
    Some(reset.duration_since(now).unwrap_or_default())
}

/// Returns the limit as a server states it, such as [Docker Hub]: `100;w=21600`.
///
/// [Docker Hub]: https://docs.docker.com/docker-hub/usage/pulls/
fn limit(response: &Response) -> Option<String> {
    let limit = response.header("ratelimit-limit")?;
    Some(format!("ratelimit-limit: {limit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        for (link, expected) in [
            ("<https://h/2>; rel=\"next\"", Some("https://h/2")),
            (
                "<https://h/1>; rel=\"prev\", <?page=3>; rel=next",
                Some("?page=3"),
            ),
            (
                "<a,b;c>;title=\"x, y; rel=next\"; REL=\"last NEXT\"",
                Some("a,b;c"),
            ),
            ("<a>; rel=prefetch, <b> ; rel = \"next\"", Some("b")),
            ("<a>; rel=\"nextish\"", None),
            ("<a>; title=\"rel=next\"", None),
            ("a; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next_page(link).as_deref(), expected, "{link}");
        }
    }
}
