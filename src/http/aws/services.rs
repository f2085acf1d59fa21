//! Keys from services: the token service, which takes a token of the machine's identity, those of containers, and the
//! metadata service of machines in the cloud.

use std::fs;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::debug;

use super::keys::{Keys, KeysWire, MAX_ANSWER_BYTES};
use super::place::{is_region, region};
use super::profile::Profile;
use crate::env::Environment;
use crate::error::{AuthFailure, Error, ErrorKind};
use crate::http::Failure;
use crate::http::exchange::Exchange;
use crate::http::outgoing::Outgoing;
use crate::http::transport::{Method, Response};
use crate::http::xml::{self, XmlFault};
use crate::progress::CancelToken;
use crate::secret::Secret;
use crate::time::parse_rfc3339;
use crate::url::{Scheme, Url, encode_strictly};

/// The [service of a container][ecs] on its own link, to which relative addresses belong.
///
/// [ecs]: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
const CONTAINER: &str = "http://169.254.170.2";
/// The hosts that may be asked over plain http: this machine and the services of containers.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];
/// The [metadata service][imds] of a machine in the cloud.
///
/// [imds]: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
const MACHINE: &str = "http://169.254.169.254";
/// How long the metadata service is waited for: it is on the machine itself, and elsewhere nobody answers.
const MACHINE_TIME: Duration = Duration::from_secs(1);
/// The largest file with a token, in bytes.
const MAX_TOKEN_BYTES: usize = 64 << 10;

/// The keys of the role that a token of the machine's identity [stands for], if the environment or the profile has one.
///
/// [stands for]: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
pub(super) fn of_identity(
    environment: &Environment,
    profile: &Profile,
    exchange: &Exchange<'_>,
) -> Result<Option<Keys>, Failure> {
    let (file, role, session) = match environment.path("AWS_WEB_IDENTITY_TOKEN_FILE") {
        Some(file) => {
            let role = environment.get("AWS_ROLE_ARN");
            (file, role, environment.get("AWS_ROLE_SESSION_NAME"))
        }
        None => {
            let Some(file) = profile.text("web_identity_token_file") else {
                return Ok(None);
            };
            let text = |name| profile.text(name).map(str::to_owned);
            (file.into(), text("role_arn"), text("role_session_name"))
        }
    };
    let role = role.ok_or_else(|| {
        let message = "a web identity token needs a role: set AWS_ROLE_ARN";
        Failure::last(Error::config(message))
    })?;
    let token = fs::read_to_string(&file).map_err(|error| {
        let message = format!("cannot read the web identity token {}", file.display());
        Failure::last(Error::config_from(message, error))
    })?;
    if token.len() > MAX_TOKEN_BYTES {
        let message = format!("{} is too large to be a web identity token", file.display());
        return Err(Failure::last(Error::config(message)));
    }
    // A name that the logs of the account show; each session has one of its own.
    let session = session.unwrap_or_else(|| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        format!("modelrack-{}", now.as_secs())
    });
    let url = token_service(environment, profile).map_err(Failure::last)?;
    let parameters = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", &role),
        ("RoleSessionName", &session),
        ("WebIdentityToken", token.trim()),
    ];
    let parameters = parameters.map(|(name, value)| {
        let value = encode_strictly(value.as_bytes(), b"");
        format!("{name}={value}")
    });
    let payload = parameters.join("&").into_bytes();
    let request = Outgoing {
        payload: Some(&payload),
        ..Outgoing::new(Method::Post, &url)
    };
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let mut response = exchange.send(&request)?;
    let body = response.read_whole(MAX_ANSWER_BYTES, &url)?;
    if !response.is_success() {
        let reason = XmlFault::parse(&body).map(|fault| fault.shown());
        let origin = file.display().to_string();
        return Err(refused(&url, response.status, origin, reason));
    }
    let origin = format!("the role {} ({})", role.escape_debug(), file.display());
    let keys = of_token_service(&body, origin);
    let unusable = || Failure::last(Error::registry(&url, "the token service gives no keys"));
    keys.ok_or_else(unusable)?.map(Some)
}

fn of_token_service(body: &[u8], origin: String) -> Option<Result<Keys, Failure>> {
    let document = xml::parse(std::str::from_utf8(body).ok()?)?;
    let result = document.child("AssumeRoleWithWebIdentityResult")?;
    let given = result.child("Credentials")?;
    let secret = Secret::new(given.text("SecretAccessKey")?);
    let token = Secret::new(given.text("SessionToken")?);
    let expires = parse_rfc3339(given.text("Expiration")?)?;
    let keys = Keys::new(origin, given.text("AccessKeyId")?, &secret, Some(&token));
    let keys = keys.map(|keys| Keys {
        expires: Some(expires),
        ..keys
    });
    Some(keys.map_err(Failure::last))
}

/// The URL of the token service: a configured one, else that of the region.
fn token_service(environment: &Environment, profile: &Profile) -> Result<Url, Error> {
    let configured = environment.first_set(&["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"]);
    let configured = configured.and_then(|name| Some((name, environment.get(name)?)));
    if let Some((name, text)) = configured {
        let url = Url::parse(&text);
        return url
            .map_err(|error| Error::config_from(format!("{name} is not a usable URL"), error));
    }
    let region = region(environment, profile);
    if !is_region(&region) {
        return Err(Error::config(format!(
            "'{}' is no region",
            region.escape_debug()
        )));
    }
    let domain = super::place::domain(&region);
    Url::parse(&format!("https://sts.{region}.{domain}/")).map_err(Error::from)
}

/// The keys that the service of the container has, if the environment names one.
pub(super) fn of_container(
    environment: &Environment,
    exchange: &Exchange<'_>,
) -> Result<Option<Keys>, Failure> {
    const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let (variable, text) = match (environment.get(RELATIVE), environment.get(FULL)) {
        (Some(path), _) => (
            RELATIVE,
            format!("{CONTAINER}/{}", path.trim_start_matches('/')),
        ),
        (None, Some(url)) => (FULL, url),
        (None, None) => return Ok(None),
    };
    let url = Url::parse(&text);
    let url = url.map_err(|error| {
        Failure::last(Error::config_from(
            format!("{variable} is not a usable URL"),
            error,
        ))
    })?;
    let (host, _) = url.host_and_port();
    let is_safe = match url.scheme() {
        Scheme::Https => true,
        Scheme::Http => url.is_loopback() || CONTAINER_HOSTS.contains(&host),
        _ => false,
    };
    if !is_safe {
        let message = "keys are only asked for over https, or of this machine";
        return Err(Failure::last(Error::config(format!(
            "{variable}: {message} ({url})"
        ))));
    }
    let token = match environment.path("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => Some(fs::read_to_string(&file).map_err(|error| {
            let message = format!("cannot read the token {}", file.display());
            Failure::last(Error::config_from(message, error))
        })?),
        None => environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    };
    let token = token.unwrap_or_default().trim().to_owned();
    if !token.bytes().all(|c| (b' '..=b'~').contains(&c)) {
        let message = "the token of the container holds a character that no token has";
        return Err(Failure::last(Error::config(message)));
    }
    let mut request = Outgoing::new(Method::Get, &url);
    if !token.is_empty() {
        request = request.header("authorization", token);
    }
    let mut response = exchange.send(&request)?;
    let body = response.read_whole(MAX_ANSWER_BYTES, &url)?;
    match response.is_success() {
        true => KeysWire::keys(&body, variable)
            .map(Some)
            .map_err(Failure::last),
        false => Err(refused(&url, response.status, variable.into(), None)),
    }
}

/// The keys of the role of this machine, if it has one; `None` where no metadata service answers.
pub(super) fn of_machine(
    environment: &Environment,
    exchange: &Exchange<'_>,
) -> Result<Option<Keys>, Failure> {
    let variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    let base = environment.get(variable).unwrap_or_else(|| MACHINE.into());
    let base = Url::parse(&base).map_err(|error| {
        Failure::last(Error::config_from(
            format!("{variable} is not a usable URL"),
            error,
        ))
    })?;
    let origin = "the metadata service of the machine";
    match asked_within(MACHINE_TIME, exchange, |exchange| ask(&base, exchange)) {
        Ok(Some(json)) => KeysWire::keys(&json, origin)
            .map(Some)
            .map_err(Failure::last),
        Ok(None) => Ok(None),
        Err(failure) if exchange.cancel().is_cancelled() => Err(failure),
        Err(failure) => {
            debug!(error = %failure.error, "no metadata service of a machine");
            Ok(None)
        }
    }
}

fn ask(base: &Url, exchange: &Exchange<'_>) -> Result<Option<Vec<u8>>, Failure> {
    const TOKEN: &str = "x-aws-ec2-metadata-token";
    let read = |response: &mut Response, url: &Url| -> Result<Option<String>, Failure> {
        let body = response.read_whole(MAX_ANSWER_BYTES, url)?;
        let text = String::from_utf8_lossy(&body).trim().to_owned();
        Ok(Some(text).filter(|text| response.is_success() && !text.is_empty()))
    };
    // A session of six hours, the longest; a run that lasts longer opens another one.
    let url = base.join("latest/api/token");
    let request = Outgoing::new(Method::Put, &url);
    let request = request.header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    let Some(token) = read(&mut exchange.send(&request)?, &url)? else {
        return Ok(None);
    };
    let roles = base.join("latest/meta-data/iam/security-credentials/");
    let request = Outgoing::new(Method::Get, &roles).header(TOKEN, token.as_str());
    let Some(role) = read(&mut exchange.send(&request)?, &roles)? else {
        return Ok(None);
    };
    let url = roles.join(role.lines().next().unwrap_or_default());
    let request = Outgoing::new(Method::Get, &url).header(TOKEN, token);
    let keys = read(&mut exchange.send(&request)?, &url)?;
    Ok(keys.map(String::into_bytes))
}

/// Has requests cancelled that take too long.
fn asked_within<T>(
    time: Duration,
    exchange: &Exchange<'_>,
    ask: impl FnOnce(&Exchange<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (late, is_over) = (exchange.cancel().child(), CancelToken::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            if !is_over.wait(time) {
                late.cancel();
            }
        });
        let answer = ask(&exchange.with_cancel(&late));
        is_over.cancel();
        answer
    })
}

/// The failure of a service that gives no keys.
fn refused(url: &Url, status: u16, origin: String, reason: Option<String>) -> Failure {
    let failed = |message: String| ErrorKind::Network {
        url: Box::new(url.clone()),
        status: Some(status),
        message,
        server_code: None,
        source: None,
    };
    match status {
        400..500 => Failure::last(ErrorKind::Authentication {
            url: Box::new(url.clone()),
            failure: AuthFailure::Refused,
            token_variable: None,
            token_origin: Some(origin),
            registry: None,
            reason,
            looked_at: Vec::new(),
        }),
        _ => Failure::transient(failed(format!("the server responded with status {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_token_service_are_read() {
        let keys = of_token_service(
            b"<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
              <AssumeRoleWithWebIdentityResult><Credentials><SessionToken>t</SessionToken><SecretAccessKey>s</SecretAccessKey>\
              <Expiration>2026-11-30T12:00:00Z</Expiration><AccessKeyId>A</AccessKeyId></Credentials>\
              </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
            "x".into(),
        );
        let keys = keys.unwrap().unwrap();
        assert_eq!((keys.key_id.as_str(), keys.secret_key.expose()), ("A", "s"));
        assert!(keys.expires.is_some() && keys.session_token.is_some());
        for body in ["", "<a/>", "<AssumeRoleWithWebIdentityResult/>", "{}"] {
            assert!(of_token_service(body.as_bytes(), String::new()).is_none());
        }
    }
}
