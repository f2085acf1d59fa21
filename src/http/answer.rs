//! What an answer means: a body, nothing new, or a failure of some kind.

use std::time::{Duration, SystemTime};

use super::retry::{Fault, parse_retry_after};
use super::transport::Response;
use super::{Answer, Body, Failure, GetOptions, network};
use crate::error::{AuthFailure, Error, ErrorKind, Result};
use crate::url::Url;

/// Reads what a final status means.
pub(super) fn read(
    url: Url,
    response: Response,
    options: &GetOptions,
    authorized: bool,
) -> Result<Answer, Failure> {
    let retry_after = response
        .header("retry-after")
        .and_then(|value| parse_retry_after(value, SystemTime::now()));
    let server_code = response.header("x-error-code").map(str::to_owned);
    let limited = rate_limit(&response, SystemTime::now());
    let status = response.status;
    let fault = Fault::Status {
        status,
        retry_after: retry_after.or(limited.filter(|_| status == 429)),
    };
    let error = match status {
        200 | 206 => {
            let is_range = status == 206;
            if is_range
                && content_range_begin(&response) != options.range.as_ref().map(|range| range.start)
            {
                let message = "the server answers another range than asked for";
                return Err(Failure::transient(network(
                    &url,
                    Some(status),
                    message,
                    None,
                )));
            }
            let length = response
                .header("content-length")
                .and_then(|length| length.parse().ok());
            let etag = response.header("etag").map(str::to_owned);
            let total = is_range.then(|| content_range_total(&response)).flatten();
            return Ok(Answer::Body(Box::new(Body {
                url,
                is_range,
                length,
                total,
                etag,
                next: response.header("link").and_then(next_page),
                reader: response.body,
            })));
        }
        304 if options.etag.is_some() => return Ok(Answer::Unchanged),
        // The Hub hides what one may not see, and says with a code of its own what it means.
        401 | 403 | 404
            if server_code
                .as_deref()
                .is_some_and(|code| code.ends_with("NotFound")) =>
        {
            Error::from(ErrorKind::Network {
                url: Box::new(url),
                status: Some(404),
                message: "not found".into(),
                server_code,
                source: None,
            })
        }
        401 | 403 if server_code.as_deref() == Some("GatedRepo") => {
            Error::from(ErrorKind::Authentication {
                url: Box::new(url),
                failure: AuthFailure::Gated,
            })
        }
        403 if retry_after.is_some() || limited.is_some() => Error::from(ErrorKind::RateLimited {
            url: Box::new(url),
            retry_after: retry_after.or(limited),
        }),
        401 | 403 | 407 => {
            let failure = if authorized || status == 403 {
                AuthFailure::Refused
            } else {
                AuthFailure::Missing
            };
            Error::from(ErrorKind::Authentication {
                url: Box::new(url),
                failure,
            })
        }
        404 | 410 => network(&url, Some(status), "not found", None),
        429 => Error::from(ErrorKind::RateLimited {
            url: Box::new(url),
            retry_after: retry_after.or(limited),
        }),
        _ => network(
            &url,
            Some(status),
            &format!("the server answers {status}"),
            None,
        ),
    };
    Err(Failure { error, fault })
}

/// The first byte that `Content-Range: bytes 5-9/20` names.
fn content_range_begin(response: &Response) -> Option<u64> {
    response
        .header("content-range")?
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .trim()
        .parse()
        .ok()
}

/// The size of the whole that `Content-Range: bytes 5-9/20` names.
fn content_range_total(response: &Response) -> Option<u64> {
    let (_, total) = response.header("content-range")?.rsplit_once('/')?;
    total.trim().parse().ok()
}

/// The next page that `Link: <https://…>; rel="next"` names ([RFC 8288]).
///
/// [RFC 8288]: https://www.rfc-editor.org/rfc/rfc8288
fn next_page(link: &str) -> Option<String> {
    let next = link.split(',').find(|link| link.contains("rel=\"next\""))?;
    let (target, _) = next.trim().strip_prefix('<')?.split_once('>')?;
    Some(target.to_owned())
}

/// Reads `RateLimit: "api";r=0;t=55`, as [the Hub] has it: no request remains, and in 55 seconds they are as many again.
///
/// [the Hub]: https://huggingface.co/docs/hub/rate-limits
fn until_reset(limit: &str) -> Option<Duration> {
    let value = |name: &str| -> Option<u64> {
        let mut parts = limit.split(';').map(str::trim);
        parts.find_map(|part| part.strip_prefix(name))?.parse().ok()
    };
    (value("r=")? == 0).then_some(Duration::from_secs(value("t=")?))
}

/// How long a limit on requests lasts, when that is why they are refused. GitHub [says it] with a 403.
///
/// [says it]: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
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
