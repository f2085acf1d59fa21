//! Token services: what they are asked, and what they answer ([token], [OAuth 2]).
//!
//! [token]: https://distribution.github.io/distribution/spec/auth/token/
//! [OAuth 2]: https://distribution.github.io/distribution/spec/auth/oauth/

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::account::{Account, Login};
use super::challenge::BearerChallenge;
use crate::error::{AuthFailure, Error, ErrorKind};
use crate::http::Failure;
use crate::http::exchange::Exchange;
use crate::http::outgoing::Outgoing;
use crate::http::reason::Explanation;
use crate::http::transport::{Method, Response};
use crate::secret::Secret;
use crate::url::{Url, encode_strictly};

/// How long a token lasts that does not say it, as the specification has it.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// How long before its end a token is renewed, at most: for the way to the registry, and for clocks that differ.
const MARGIN: Duration = Duration::from_secs(10);
/// The longest tokens in use have some ten kilobytes.
const MAX_ANSWER_BYTES: u64 = 1 << 20;
/// What identity tokens are asked for by; services want a name.
const CLIENT: &str = "modelrack";

/// A token, and when to get another.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) text: Secret,
    pub(super) until: Instant,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AnswerWire {
    token: Option<String>,
    access_token: Option<String>,
    /// Seconds: a number by the specification, a text by some.
    expires_in: Option<serde_json::Value>,
}

/// What a token service is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenRequest<'a> {
    pub(super) realm: &'a Url,
    pub(super) challenge: &'a BearerChallenge,
    /// Whose token; `None` for one that everybody gets.
    pub(super) account: Option<&'a Account>,
    /// The registry that it is for, and where credentials were looked for, for messages.
    pub(super) registry: &'a str,
    pub(super) looked_at: &'a [String],
}

/// Asks a token service for a token.
pub(super) fn fetch(request: &TokenRequest<'_>, exchange: &Exchange<'_>) -> Result<Token, Failure> {
    let TokenRequest {
        realm,
        challenge,
        account,
        ..
    } = *request;
    let asked = Instant::now();
    let mut response = match account.map(|account| &account.login) {
        Some(Login::Identity(token)) => exchange.send(&Outgoing {
            payload: Some(&form(challenge, token)),
            ..Outgoing::new(Method::Post, realm)
                .header("content-type", "application/x-www-form-urlencoded")
        })?,
        login => {
            let url = query(realm, challenge)?;
            let mut request = Outgoing::new(Method::Get, &url);
            if let Some(Login::Basic(header)) = login {
                request.headers.push(("authorization", header.clone()));
            }
            exchange.send(&request)?
        }
    };
    if !response.is_success() {
        return Err(refusal(request, &mut response, exchange));
    }
    let body = response.read_whole(MAX_ANSWER_BYTES, realm)?;
    read(&body, asked).ok_or_else(|| {
        let message = "the token service answered with something else than a token";
        Failure::last(Error::registry(realm, message))
    })
}

/// Returns whether a failure says that the credentials are not accepted.
pub(super) fn is_denial(failure: &Failure) -> bool {
    matches!(failure.error.kind(), ErrorKind::Authentication { .. })
}

fn refusal(
    request: &TokenRequest<'_>,
    response: &mut Response,
    exchange: &Exchange<'_>,
) -> Failure {
    let TokenRequest { realm, account, .. } = *request;
    let (registry, looked_at) = (
        Some(request.registry.to_owned()),
        request.looked_at.to_vec(),
    );
    let origin = account.map(|account| &*account.origin);
    let body = response.read_whole(MAX_ANSWER_BYTES, realm);
    let reason = super::reason::read(&body.unwrap_or_default());
    let is_of_login = match response.status {
        // OAuth 2 has no other status for a token that is not accepted (RFC 6749, section 5.2).
        400 => account.is_some_and(|it| matches!(it.login, Login::Identity(_))),
        // GitHub says so of a wrong password.
        403 => account.is_some(),
        _ => false,
    };
    if is_of_login {
        return Failure::last(ErrorKind::Authentication {
            url: Box::new(realm.clone()),
            failure: AuthFailure::Refused,
            token_variable: None,
            token_origin: origin.map(str::to_owned),
            registry,
            reason: reason.map(|reason| reason.to_string()),
            looked_at,
        });
    }
    let explanation = Explanation {
        reason,
        registry,
        looked_at,
    };
    exchange.refusal(realm, response, origin, explanation)
}

/// The URL with the parameters of a GET request, behind those that the realm has.
fn query(realm: &Url, challenge: &BearerChallenge) -> Result<Url, Failure> {
    let own = realm.expose();
    let separator = if own.contains('?') { '&' } else { '?' };
    let text = format!("{own}{separator}{}", parameters(challenge, "&scope="));
    Url::parse(text.trim_end_matches(['?', '&'])).map_err(Failure::last)
}

/// The form of a POST request with an identity token.
fn form(challenge: &BearerChallenge, token: &Secret) -> Vec<u8> {
    let token = encode_value(token.expose());
    let mut form = format!("grant_type=refresh_token&client_id={CLIENT}&refresh_token={token}");
    let parameters = parameters(challenge, "+");
    if !parameters.is_empty() {
        form.extend(["&", &parameters]);
    }
    form.into_bytes()
}

/// Service and scopes; where there are several of these, a form has them in one value, and a query in several.
fn parameters(challenge: &BearerChallenge, between: &str) -> String {
    let service = challenge.service.as_ref();
    let service = service.map(|name| format!("service={}", encode_value(name)));
    let scopes = challenge.scopes.iter().map(|scope| encode_value(scope));
    let scopes = scopes.collect::<Vec<_>>().join(between);
    let scopes = Some(scopes).filter(|scopes| !scopes.is_empty());
    let scopes = scopes.map(|scopes| format!("scope={scopes}"));
    let all: Vec<String> = service.into_iter().chain(scopes).collect();
    all.join("&")
}

/// A value of a query or a form.
fn encode_value(value: &str) -> String {
    encode_strictly(value.as_bytes(), b"")
}

fn read(body: &[u8], asked: Instant) -> Option<Token> {
    let wire: AnswerWire = serde_json::from_slice(body).ok()?;
    let mut texts = [wire.token, wire.access_token].into_iter().flatten();
    // What is no word would end the header.
    let is_token = |text: &String| !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic());
    let text = texts.find(is_token)?;
    let stated = wire.expires_in.as_ref().and_then(|value| match value {
        serde_json::Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    });
    let stated = stated.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let life = stated.unwrap_or(DEFAULT_LIFE);
    let life = life.saturating_sub(MARGIN.min(life / 4));
    Some(Token {
        text: Secret::new(text),
        // One that lasts longer than clocks count does not end.
        until: asked
            .checked_add(life)
            .or(asked.checked_add(DEFAULT_LIFE))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(service: Option<&str>, scopes: &[&str]) -> BearerChallenge {
        BearerChallenge {
            realm: String::new(),
            service: service.map(str::to_owned),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        }
    }

    #[test]
    fn services_are_asked_as_the_specification_says() {
        let two = ["repository:a/b:pull,push", "repository:c:pull"];
        for (realm, service, scopes, expected) in [
            (
                "https://h/token",
                Some("x&scope=y z"),
                &two[..],
                "https://h/token?service=x%26scope%3Dy%20z&scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ac%3Apull",
            ),
            (
                "https://h/token?tenant=a",
                None,
                &two[1..],
                "https://h/token?tenant=a&scope=repository%3Ac%3Apull",
            ),
            ("https://h/token", None, &[], "https://h/token"),
        ] {
            let realm = Url::parse(realm).unwrap();
            let url = query(&realm, &challenge(service, scopes)).unwrap();
            assert_eq!(url.expose(), expected);
        }
        let form = form(&challenge(Some("s"), &two), &Secret::new("a+b="));
        assert_eq!(
            String::from_utf8(form).unwrap(),
            "grant_type=refresh_token&client_id=modelrack&refresh_token=a%2Bb%3D&service=s\
             &scope=repository%3Aa%2Fb%3Apull%2Cpush+repository%3Ac%3Apull"
        );
    }

    #[test]
    fn answers_are_read_as_services_write_them() {
        let asked = Instant::now();
        for (body, expected) in [
            (r#"{"token":"t"}"#, Some(("t", 50.0))),
            (
                r#"{"access_token":"t","expires_in":300}"#,
                Some(("t", 290.0)),
            ),
            (
                r#"{"token":"","access_token":"t","expires_in":"20"}"#,
                Some(("t", 15.0)),
            ),
            (
                r#"{"token":"t","access_token":"u","expires_in":0}"#,
                Some(("t", 0.0)),
            ),
            (
                r#"{"token":"t","expires_in":1e300,"issued_at":null}"#,
                Some(("t", 50.0)),
            ),
            (r#"{"token":"t","expires_in":-1}"#, Some(("t", 50.0))),
            (r#"{"token":"a\r\nb: c"}"#, None),
            (r#"{"token":null}"#, None),
            ("[]", None),
            ("<html>", None),
        ] {
            let token = read(body.as_bytes(), asked);
            let actual = token.as_ref().map(|token| {
                let life = token.until.duration_since(asked).as_secs_f64();
                (token.text.expose(), life)
            });
            assert_eq!(actual, expected, "{body}");
        }
    }
}
