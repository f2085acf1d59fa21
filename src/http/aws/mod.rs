//! Object stores that speak S3: where a bucket is, and requests that are signed for it.
//!
//! Elsewhere, an object is an `s3://bucket/key` URL. An [`ObjectStore`] is the [`Authority`] of such URLs: it says which URL of
//! which host a request goes to, and signs it. What it needs to know, it reads when the first request needs it: the
//! settings and the keys of the AWS tools. Without any keys, requests are not signed, as public buckets allow.
//!
//! It learns from what a store refuses: the region of a bucket, how far the clock is off, that keys have expired.

mod credentials;
mod keys;
pub(crate) mod list;
mod place;
mod profile;
mod services;
mod sign;

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tracing::warn;

use crate::digest::Digest;
use crate::env::Environment;
use crate::error::{AuthFailure, Error, ErrorKind, Result};
use crate::http::Failure;
use crate::http::authority::{Authority, Authorization};
use crate::http::exchange::Exchange;
use crate::http::outgoing::Outgoing;
use crate::http::reason::{MAX_REASON_BYTES, Reason};
use crate::http::retry::parse_http_date;
use crate::http::transport::{Method, Response};
use crate::http::xml::XmlFault;
use crate::mutex::Mutex;
use crate::url::{Scheme, Url};

use credentials::Credentials;
use keys::{Keys, secret_beside};
use place::{Place, is_region};
use profile::Profile;
use sign::{Scope, Signable, sign};

/// How far the clock may be off before it is corrected: AWS takes requests of [15 minutes] around its own time, so that less
/// than this is never the reason of a refusal.
///
/// [15 minutes]: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
const MAX_CLOCK_ERROR: Duration = Duration::from_secs(5 * 60);

/// Headers of ours that change what a request does; they are signed. Proxies may change others.
const SIGNED: [&str; 6] = [
    "cache-control",
    "content-type",
    "if-match",
    "if-none-match",
    "if-range",
    "range",
];

/// What the configuration of a source says of its object store.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoreOptions {
    /// The region of the buckets; default: that of the environment.
    pub(crate) region: Option<String>,
    /// The URL of a store other than AWS, and where it is configured; default: that of the environment.
    pub(crate) endpoint: Option<(String, String)>,
    /// Whether requests are never signed.
    pub(crate) anonymous: bool,
}

/// The object store of a source: authorizes requests for `s3://` URLs.
#[derive(Debug)]
pub(crate) struct ObjectStore {
    options: StoreOptions,
    environment: Environment,
    /// Read by the first request.
    settings: OnceLock<Result<Settings, Arc<str>>>,
    credentials: Credentials,
    learned: Mutex<Learned>,
}

/// What the environment and the profile say.
#[derive(Debug)]
struct Settings {
    profile: Profile,
    endpoint: Option<Url>,
    region: String,
}

/// What stores said.
#[derive(Debug, Default)]
struct Learned {
    /// The regions of buckets that are not in the configured one.
    regions: HashMap<String, String>,
    /// How far the clock of this machine is behind (or before) the store's.
    behind: Duration,
    before: Duration,
}

impl Learned {
    fn is_corrected(&self) -> bool {
        !(self.behind.is_zero() && self.before.is_zero())
    }

    fn now(&self) -> SystemTime {
        let now = SystemTime::now() + self.behind;
        now.checked_sub(self.before).unwrap_or(now)
    }
}

impl ObjectStore {
    pub(crate) fn new(options: StoreOptions, environment: &Environment) -> Self {
        Self {
            options,
            environment: environment.clone(),
            settings: OnceLock::new(),
            credentials: Credentials::new(environment),
            learned: Mutex::default(),
        }
    }

    fn settings(&self) -> Result<&Settings, Failure> {
        let settings = self.settings.get_or_init(|| {
            let read = Settings::read(&self.options, &self.environment);
            read.map_err(|error| error.to_string().into())
        });
        let error = |message: &Arc<str>| Failure::last(Error::config(&**message));
        settings.as_ref().map_err(error)
    }

    /// The region of a bucket, as far as it is known.
    fn region(&self, settings: &Settings, bucket: &str) -> String {
        let learned = self.learned.lock();
        let region = learned.regions.get(bucket);
        region.unwrap_or(&settings.region).clone()
    }

    /// Learns the region of a bucket.
    fn learn_region(&self, settings: &Settings, bucket: &str, region: &str) {
        let known = self.region(settings, bucket);
        if region == known {
            return;
        }
        warn!(
            bucket,
            region,
            "the bucket {bucket} is in the region {region} and not in {known}: set the region of the source to save a request"
        );
        let mut learned = self.learned.lock();
        learned.regions.insert(bucket.to_owned(), region.to_owned());
    }

    /// Corrects the clock if the store's differs by more than it accepts.
    fn learn_time(&self, response: &Response) -> bool {
        let date = response.header("date").and_then(parse_http_date);
        let Some(date) = date else {
            return false;
        };
        let mut learned = self.learned.lock();
        let apart = |a: SystemTime, b: SystemTime| a.duration_since(b).unwrap_or_default();
        let now = learned.now();
        if apart(date, now).max(apart(now, date)) <= MAX_CLOCK_ERROR {
            return false;
        }
        let now = SystemTime::now();
        learned.behind = apart(date, now);
        learned.before = apart(now, date);
        let minutes = (learned.behind.max(learned.before).as_secs() + 30) / 60;
        let direction = if learned.behind.is_zero() {
            "fast"
        } else {
            "slow"
        };
        warn!(
            minutes,
            "the clock of this machine is {minutes} min {direction}: requests are signed with the time of the server"
        );
        true
    }

    /// The keys to sign with; `None` for a public bucket.
    fn keys(
        &self,
        settings: &Settings,
        method: Method,
        exchange: &Exchange<'_>,
    ) -> Result<Option<Arc<Keys>>, Failure> {
        if self.options.anonymous {
            return Ok(None);
        }
        let keys = self.credentials.keys(&settings.profile, exchange)?;
        // Reading is tried without keys before the machine is asked for some, which takes a second where there are none.
        let may_be_public = matches!(method, Method::Get | Method::Head);
        if keys.is_none() && !may_be_public && self.credentials.ask_machine(exchange)? {
            return self.credentials.keys(&settings.profile, exchange);
        }
        Ok(keys)
    }
}

impl Settings {
    fn read(options: &StoreOptions, environment: &Environment) -> Result<Self> {
        let profile = Profile::read(environment)?;
        let endpoint = match &options.endpoint {
            Some((text, origin)) => Some(place::check_endpoint(text, origin)?),
            None => place::endpoint(environment, &profile)?,
        };
        let region = options.region.clone();
        let region = region.unwrap_or_else(|| place::region(environment, &profile));
        Ok(Self {
            profile,
            endpoint,
            region,
        })
    }
}

impl Authority for ObjectStore {
    fn is_for(&self, url: &Url) -> bool {
        url.scheme() == Scheme::S3
    }

    fn authorize(
        &self,
        request: &Outgoing<'_>,
        exchange: &Exchange<'_>,
    ) -> Result<Authorization, Failure> {
        let settings = self.settings()?;
        let bucket = request.url.authority();
        let region = self.region(settings, bucket);
        let place = Place {
            endpoint: settings.endpoint.as_ref(),
            region: &region,
        };
        let url = place.url_of(request.url).map_err(Failure::last)?;
        let Some(keys) = self.keys(settings, request.method, exchange)? else {
            return Ok(Authorization {
                url: Some(url),
                ..Authorization::default()
            });
        };
        let headers = request.headers.iter();
        let headers =
            headers.filter(|(name, _)| SIGNED.contains(name) || name.starts_with("x-amz-"));
        let signable = Signable {
            method: request.method.as_str(),
            url: &url,
            headers: headers
                .map(|(name, value)| (*name, value.expose()))
                .collect(),
            payload: request.digest.unwrap_or_else(|| Digest::of(b"")),
            states_payload: true,
        };
        let scope = Scope {
            region: &region,
            service: "s3",
            time: self.learned.lock().now(),
        };
        Ok(Authorization {
            headers: sign(signable, &keys, &scope),
            origin: Some(keys.origin.clone()),
            url: Some(url),
            is_signature: true,
        })
    }

    fn refused(
        &self,
        request: &Outgoing<'_>,
        authorization: &Authorization,
        response: &mut Response,
        exchange: &Exchange<'_>,
    ) -> Result<bool, Failure> {
        if !matches!(response.status, 301 | 307 | 400 | 401 | 403) {
            return Ok(false);
        }
        let settings = self.settings()?;
        let fault = fault(response);
        let told = response.header("x-amz-bucket-region").map(str::to_owned);
        let told = told.or_else(|| fault.as_ref()?.region.clone());
        let bucket = request.url.authority();
        if let Some(region) = told.filter(|region| is_region(region)) {
            let place = Place {
                endpoint: settings.endpoint.as_ref(),
                region: &region,
            };
            // Another request may have learned it meanwhile.
            let went_there = match authorization.header("authorization") {
                Some(signature) => signature.expose().contains(&format!("/{region}/s3/")),
                None => authorization.url == place.url_of(request.url).ok(),
            };
            if !went_there {
                self.learn_region(settings, bucket, &region);
                return Ok(true);
            }
        }
        let code = fault.as_ref().map_or("", |fault| &fault.code);
        let Some(origin) = &authorization.origin else {
            if !matches!(response.status, 401 | 403) {
                return Ok(false);
            }
            return Ok(!self.options.anonymous && self.credentials.ask_machine(exchange)?);
        };
        if self.learn_time(response) {
            return Ok(true);
        }
        let denied = |failure| {
            let origin = match failure {
                AuthFailure::WrongSecret => secret_beside(origin),
                _ => origin,
            };
            Failure::last(ErrorKind::Authentication {
                url: Box::new(request.url.clone()),
                failure,
                token_variable: None,
                token_origin: Some(origin.to_owned()),
                registry: None,
                reason: fault.as_ref().map(XmlFault::shown),
                looked_at: Vec::new(),
            })
        };
        match code {
            // Another request has corrected the clock meanwhile.
            "RequestTimeTooSkewed" => Ok(self.learned.lock().is_corrected()),
            "ExpiredToken" | "ExpiredTokenException" | "InvalidToken" | "TokenRefreshRequired" => {
                let token = authorization.header(sign::SESSION_TOKEN);
                match self.credentials.expired(token) {
                    true => Ok(true),
                    // Stores say 400 as well.
                    false => Err(denied(AuthFailure::Refused)),
                }
            }
            "SignatureDoesNotMatch" => Err(denied(AuthFailure::WrongSecret)),
            // The keys are right, and either may not read this, or there is nothing and they may not list.
            "AccessDenied" => Err(denied(AuthFailure::Forbidden)),
            _ => Ok(false),
        }
    }

    fn reason(&self, body: &[u8]) -> Option<Reason> {
        let fault = XmlFault::parse(body)?;
        Some(Reason {
            code: fault.code,
            message: fault.message.unwrap_or_default(),
        })
    }

    fn looked_at(&self) -> Vec<String> {
        self.credentials.looked_at()
    }

    /// The region, the clock and the keys may all be learned, one after the other.
    fn most_repeats(&self) -> u32 {
        3
    }
}

/// Reads what a store says is wrong, and leaves it to be read again.
fn fault(response: &mut Response) -> Option<XmlFault> {
    let mut body = Vec::new();
    let read = (&mut response.body)
        .take(MAX_REASON_BYTES)
        .read_to_end(&mut body);
    let fault = read.ok().and_then(|_| XmlFault::parse(&body));
    response.body = Box::new(Cursor::new(body));
    fault
}
