//! The authority against a registry and a token service that answer without a network, and remember what they are asked.

use std::io::Cursor;
use std::sync::Barrier;
use std::thread;

use super::*;
use crate::config::RetryPolicy;
use crate::error::{AuthFailure, ErrorKind};
use crate::http::call::Call;
use crate::http::outgoing::Outgoing;
use crate::http::transport::{Method, Request, Transport, TransportError};
use crate::http::{Client, GetOptions};
use crate::platform::SYSTEM;
use crate::progress::{CancelToken, Silent};
use crate::settings::Offline;

type Answer = (u16, Vec<(&'static str, String)>, String);

/// Answers by a function of what it is asked, which is method, URL with its query, and `Authorization`.
struct Net {
    answer: Box<dyn Fn(&Asked) -> Answer + Send + Sync>,
    log: Mutex<Vec<Asked>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Asked {
    method: Method,
    url: String,
    authorization: Option<String>,
    form: String,
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Net")
    }
}

impl Transport for Net {
    fn get(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        self.send(request)
    }

    fn send(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let mut headers = request.headers.iter();
        let authorization = headers.find(|(name, _)| *name == "authorization");
        let mut form = String::new();
        if let Some(payload) = request.payload {
            payload
                .open_at(0)
                .unwrap()
                .read_to_string(&mut form)
                .unwrap();
        }
        let asked = Asked {
            method: request.method,
            url: request.url.expose(),
            authorization: authorization.map(|(_, value)| value.expose().to_owned()),
            form,
        };
        self.log.lock().push(asked.clone());
        let (status, headers, body) = (self.answer)(&asked);
        let headers = headers.into_iter();
        Ok(Response {
            status,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            body: Box::new(Cursor::new(body)),
        })
    }
}

use std::io::Read as _;

const REGISTRY: &str = "https://registry.example";
const REALM: &str = "https://registry.example/token";

fn challenged(value: &str) -> Answer {
    let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
    (
        401,
        vec![("www-authenticate", value.to_owned())],
        body.to_owned(),
    )
}

fn bearer(scope: &str) -> Answer {
    challenged(&format!(
        r#"Bearer realm="{REALM}",service="registry",scope="{scope}""#
    ))
}

fn token(text: &str, expires_in: u64) -> Answer {
    (
        200,
        vec![],
        format!(r#"{{"token":"{text}","expires_in":{expires_in}}}"#),
    )
}

fn served() -> Answer {
    (200, vec![], "bytes".to_owned())
}

/// A home whose Docker configuration is this; with it, what knows the registry.
struct Desk {
    _home: tempfile::TempDir,
    net: Arc<Net>,
    call: Call,
}

impl Desk {
    fn new(config: &str, answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::at(REGISTRY, config, answer)
    }

    fn at(
        registry: &str,
        config: &str,
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        if !config.is_empty() {
            std::fs::create_dir(home.path().join(".docker")).unwrap();
            std::fs::write(home.path().join(".docker/config.json"), config).unwrap();
        }
        let environment = Environment::empty(SYSTEM, home.path());
        let registry = Url::parse(registry).unwrap();
        let authority: Arc<dyn Authority> =
            Arc::new(RegistryAuthority::new(&registry, &environment));
        let net = Arc::new(Net {
            answer: Box::new(answer),
            log: Mutex::default(),
        });
        let client = Client::new(net.clone(), RetryPolicy::default(), Offline::No);
        let call = Call::new(client, CancelToken::new(), Arc::new(Silent));
        Self {
            _home: home,
            net,
            call: call.authorized(Some(&authority)),
        }
    }

    fn send(&self, method: Method, path: &str) -> Result<Response, Failure> {
        let url = Url::parse(&format!("{REGISTRY}{path}")).unwrap();
        self.call.send(&Outgoing::new(method, &url), &[])
    }

    fn get(&self, path: &str) -> Result<(), Failure> {
        self.send(Method::Get, path).map(|_| ())
    }

    /// What was asked since the last time: the paths, each with the first word of its credentials and what follows.
    fn asked(&self) -> Vec<String> {
        let log = std::mem::take(&mut *self.net.log.lock());
        let line = |asked: Asked| {
            let path = asked.url.replace(REGISTRY, "");
            match asked.authorization {
                Some(authorization) => format!("{} {path} {authorization}", asked.method),
                None => format!("{} {path}", asked.method),
            }
        };
        log.into_iter().map(line).collect()
    }

    fn denial(&self, path: &str) -> (AuthFailure, Option<String>, Vec<String>, String) {
        let failure = self.get(path).unwrap_err();
        let ErrorKind::Authentication {
            failure: why,
            token_origin,
            looked_at,
            ..
        } = failure.error.kind()
        else {
            panic!("{:?}", failure.error);
        };
        (
            *why,
            token_origin.clone(),
            looked_at.clone(),
            failure.error.to_string(),
        )
    }
}

/// `ada:s3cret`.
const ADA: &str = "Basic YWRhOnMzY3JldA==";
const CONFIG: &str = r#"{"auths": {"registry.example": {"auth": "YWRhOnMzY3JldA=="}}}"#;
const SCOPE: &str = "repository:a:pull";
const ENCODED: &str = "/token?service=registry&scope=repository%3Aa%3Apull";

#[test]
fn a_token_is_fetched_once_and_used_for_all_requests_to_a_repository() {
    let desk = Desk::new("", |asked| match &asked.authorization {
        _ if asked.url.starts_with(REALM) => token("t", 300),
        Some(text) if text == "Bearer t" => served(),
        _ => bearer(SCOPE),
    });
    desk.get("/v2/a/manifests/q4").unwrap();
    desk.get("/v2/a/blobs/sha256:00").unwrap();
    let expected = [
        "GET /v2/a/manifests/q4".to_owned(),
        format!("GET {ENCODED}"),
        "GET /v2/a/manifests/q4 Bearer t".to_owned(),
        "GET /v2/a/blobs/sha256:00 Bearer t".to_owned(),
    ];
    assert_eq!(desk.asked(), expected);
    // Of another repository, nothing has to be refused first.
    desk.get("/v2/b/tags/list").unwrap();
    let other = ENCODED.replace("Aa%3A", "Ab%3A");
    let expected = [
        format!("GET {other}"),
        "GET /v2/b/tags/list Bearer t".to_owned(),
    ];
    assert_eq!(desk.asked(), expected);
    desk.send(Method::Post, "/v2/b/blobs/uploads/").unwrap();
    let push = other.replace("pull", "pull%2Cpush");
    let expected = [
        format!("GET {push}"),
        "POST /v2/b/blobs/uploads/ Bearer t".to_owned(),
    ];
    assert_eq!(desk.asked(), expected);
}

#[test]
fn workers_that_want_one_token_at_once_fetch_one() {
    let number = Mutex::new(0);
    let desk = Desk::new(CONFIG, move |asked| match &asked.authorization {
        _ if asked.url.starts_with(REALM) => {
            let mut number = number.lock();
            *number += 1;
            token(&format!("t{number}"), 300)
        }
        Some(text) if text == "Bearer t1" => served(),
        _ => bearer(SCOPE),
    });
    let barrier = Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                desk.get("/v2/a/blobs/sha256:00").unwrap();
            });
        }
    });
    let asked = desk.asked();
    let tokens = asked.iter().filter(|line| line.contains("/token"));
    assert_eq!(
        tokens.collect::<Vec<_>>(),
        [&format!("GET {ENCODED} {ADA}")]
    );
}

#[test]
fn a_token_that_has_ended_is_renewed_before_it_is_refused() {
    let number = Mutex::new(0);
    let desk = Desk::new("", move |asked| match &asked.authorization {
        _ if asked.url.starts_with(REALM) => {
            let mut number = number.lock();
            *number += 1;
            token(&format!("t{number}"), 0)
        }
        Some(_) => served(),
        None => bearer(SCOPE),
    });
    desk.get("/v2/a/manifests/q4").unwrap();
    desk.asked();
    desk.get("/v2/a/manifests/q4").unwrap();
    let expected = [
        format!("GET {ENCODED}"),
        "GET /v2/a/manifests/q4 Bearer t3".to_owned(),
    ];
    assert_eq!(desk.asked(), expected);
}

#[test]
fn a_token_that_is_refused_is_renewed_once_whatever_status_says_so() {
    for status in [401, 400] {
        let number = Mutex::new(0);
        let desk = Desk::new("", move |asked| match &asked.authorization {
            _ if asked.url.starts_with(REALM) => {
                let mut number = number.lock();
                *number += 1;
                token(&format!("t{number}"), 300)
            }
            Some(text) if text == "Bearer t1" && asked.url.ends_with("/q4") => served(),
            Some(text) if text == "Bearer t2" && asked.url.ends_with("/q5") => served(),
            // Without another challenge, as Amazon does.
            Some(_) => (status, vec![], String::new()),
            None => bearer(SCOPE),
        });
        desk.get("/v2/a/manifests/q4").unwrap();
        desk.asked();
        desk.get("/v2/a/manifests/q5").unwrap();
        let expected = [
            "GET /v2/a/manifests/q5 Bearer t1".to_owned(),
            format!("GET {ENCODED}"),
            "GET /v2/a/manifests/q5 Bearer t2".to_owned(),
        ];
        assert_eq!(desk.asked(), expected, "{status}");
        desk.get("/v2/a/manifests/q6").unwrap_err();
        let again = desk.asked().into_iter().filter(|line| line.contains("/q6"));
        assert_eq!(again.count(), 2, "{status}");
    }
}

#[test]
fn a_scope_that_is_asked_for_later_is_added_to_the_token() {
    let desk = Desk::new("", |asked| match &asked.authorization {
        _ if asked.url.contains("repository%3Ab") => token("both", 300),
        _ if asked.url.starts_with(REALM) => token("one", 300),
        Some(text) if text == "Bearer both" => served(),
        Some(_) if asked.url.ends_with("/q5") => bearer("repository:b:pull"),
        Some(_) => served(),
        None => bearer(SCOPE),
    });
    desk.get("/v2/a/manifests/q4").unwrap();
    desk.get("/v2/a/manifests/q5").unwrap();
    desk.asked();
    desk.get("/v2/a/manifests/q4").unwrap();
    assert_eq!(desk.asked(), ["GET /v2/a/manifests/q4 Bearer both"]);
}

#[test]
fn a_password_is_sent_where_it_is_asked_for_and_then_to_all_repositories() {
    let desk = Desk::new(CONFIG, |asked| match &asked.authorization {
        Some(text) if text == ADA => served(),
        _ => challenged("BASIC realm=\"x\""),
    });
    desk.get("/v2/a/manifests/q4").unwrap();
    desk.get("/v2/b/manifests/q4").unwrap();
    let expected = [
        "GET /v2/a/manifests/q4".to_owned(),
        format!("GET /v2/a/manifests/q4 {ADA}"),
        format!("GET /v2/b/manifests/q4 {ADA}"),
    ];
    assert_eq!(desk.asked(), expected);
}

#[test]
fn a_user_of_the_url_comes_before_those_of_files() {
    let registry = "https://eve:w0rd@registry.example";
    for challenge in ["Basic realm=\"x\"", ""] {
        let desk = Desk::at(registry, CONFIG, move |asked| match &asked.authorization {
            Some(text) if text == "Basic ZXZlOncwcmQ=" => served(),
            _ if challenge.is_empty() => (401, vec![], String::new()),
            _ => challenged(challenge),
        });
        desk.get("/v2/a/manifests/q4").unwrap();
    }
}

#[test]
fn an_identity_token_is_exchanged_for_others() {
    let config = r#"{"auths": {"registry.example": {"auth": "YWRhOg==", "identitytoken": "i+d"}}}"#;
    let desk = Desk::new(config, |asked| match &asked.authorization {
        _ if asked.url == REALM && asked.form.contains("refresh_token=i%2Bd&") => {
            (200, vec![], r#"{"access_token":"t"}"#.to_owned())
        }
        Some(text) if text == "Bearer t" => served(),
        _ => bearer(SCOPE),
    });
    desk.get("/v2/a/manifests/q4").unwrap();
    assert_eq!(desk.asked()[1], "POST /token");
    let desk = Desk::new(config, |asked| match asked.url == REALM {
        true => (400, vec![], r#"{"error":"invalid_grant"}"#.to_owned()),
        false => bearer(SCOPE),
    });
    let (why, origin, _, message) = desk.denial("/v2/a/manifests/q4");
    assert_eq!(why, AuthFailure::Refused);
    assert!(origin.unwrap().ends_with("config.json") && message.contains("invalid_grant"));
}

#[test]
fn credentials_that_are_not_accepted_do_not_close_what_is_public() {
    let answer = |is_public: bool| {
        move |asked: &Asked| match &asked.authorization {
            None if asked.url.starts_with(REALM) => token("anybody", 300),
            Some(_) if asked.url.starts_with(REALM) => (
                401,
                vec![],
                r#"{"details":"incorrect username or password"}"#.to_owned(),
            ),
            Some(text) if text == "Bearer anybody" && is_public => served(),
            _ => bearer(SCOPE),
        }
    };
    Desk::new(CONFIG, answer(true))
        .get("/v2/a/manifests/q4")
        .unwrap();
    let (why, origin, looked_at, _) = Desk::new(CONFIG, answer(false)).denial("/v2/a/manifests/q4");
    assert_eq!(why, AuthFailure::Refused);
    assert!(origin.unwrap().ends_with("config.json"));
    assert!(
        looked_at.last().unwrap().ends_with("has a login for it"),
        "{looked_at:?}"
    );
    // A push needs them.
    let desk = Desk::new(CONFIG, answer(true));
    let failure = desk.send(Method::Post, "/v2/a/blobs/uploads/").unwrap_err();
    let message = failure.error.to_string();
    assert!(
        message.contains("incorrect username or password"),
        "{message}"
    );
    assert!(
        !message.contains("s3cret") && !message.contains("YWRhOnMzY3JldA"),
        "{message}"
    );
}

#[test]
fn missing_refused_and_forbidden_are_told_apart() {
    let (why, origin, looked_at, message) =
        Desk::new("", |_| challenged("Basic")).denial("/v2/a/manifests/q4");
    assert_eq!((why, origin), (AuthFailure::Missing, None));
    assert!(
        looked_at
            .iter()
            .all(|place| place.ends_with("does not exist")),
        "{looked_at:?}"
    );
    assert!(
        looked_at.iter().any(|place| place.contains("config.json")),
        "{looked_at:?}"
    );
    assert!(
        message.contains("UNAUTHORIZED: authentication required"),
        "{message}"
    );
    let (why, origin, ..) = Desk::new(CONFIG, |_| challenged("Basic")).denial("/v2/a/manifests/q4");
    assert_eq!(why, AuthFailure::Refused);
    assert!(origin.unwrap().ends_with("config.json"));
    let desk = Desk::new(CONFIG, |asked| match &asked.authorization {
        Some(_) => (403, vec![], r#"{"errors":[{"code":"DENIED"}]}"#.to_owned()),
        None => challenged("Basic"),
    });
    let (why, origin, _, message) = desk.denial("/v2/a/manifests/q4");
    assert_eq!(why, AuthFailure::Forbidden);
    assert!(origin.unwrap().ends_with("config.json"));
    assert!(message.contains("DENIED"), "{message}");
    // GitHub's token service says so of a wrong password.
    let desk = Desk::new(CONFIG, |asked| match asked.url.starts_with(REALM) {
        true => (403, vec![], r#"{"errors":[{"code":"DENIED"}]}"#.to_owned()),
        false => bearer(SCOPE),
    });
    let (why, ..) = desk.denial("/v2/a/manifests/q4");
    assert_eq!(why, AuthFailure::Refused);
    let (why, ..) = Desk::new("", |_| (403, vec![], String::new())).denial("/v2/a/manifests/q4");
    assert_eq!(why, AuthFailure::Forbidden);
}

#[test]
fn a_denial_names_the_registry_and_not_its_token_service() {
    let hub = "https://registry-1.docker.io";
    for (url, realm, expected) in [
        (
            REGISTRY,
            "https://elsewhere.example/token",
            "registry.example",
        ),
        (hub, "https://auth.docker.io/token", "docker.io"),
    ] {
        let desk = Desk::at(url, "", move |asked| match asked.url.starts_with(realm) {
            true => (401, vec![], String::new()),
            false => challenged(&format!("Bearer realm=\"{realm}\"")),
        });
        let url = Url::parse(&format!("{url}/v2/a/manifests/q4")).unwrap();
        let denied = desk.call.send(&Outgoing::new(Method::Get, &url), &[]);
        let error = denied.map(|_| ()).unwrap_err().error;
        let ErrorKind::Authentication { url, registry, .. } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!(registry.as_deref(), Some(expected));
        assert!(url.to_string().starts_with(realm), "{url}");
    }
}

#[test]
fn a_wrong_password_is_tried_once_and_not_by_every_worker() {
    let desk = Desk::new(CONFIG, |asked| match asked.url.starts_with(REALM) {
        true => (401, vec![], String::new()),
        false => bearer(SCOPE),
    });
    for _ in 0..5 {
        desk.denial("/v2/a/manifests/q4");
    }
    let asked = desk.asked();
    let logins = asked.iter().filter(|line| line.contains(ADA));
    assert_eq!(logins.count(), 1, "{asked:?}");
}

#[test]
fn credentials_do_not_go_to_a_token_service_elsewhere() {
    for (realm, config, expected) in [
        ("https://elsewhere.example/token", CONFIG, false),
        ("https://registry.example:8443/token", CONFIG, true),
        (
            "https://elsewhere.example/token",
            r#"{"auths": {"registry.example": {"auth": "YWRhOnMzY3JldA=="}, "elsewhere.example": {}}}"#,
            true,
        ),
    ] {
        let desk = Desk::new(config, move |asked| match &asked.authorization {
            Some(_) if asked.url.starts_with(realm) => token("ada's", 300),
            _ if asked.url.starts_with(realm) => token("anybody", 300),
            Some(text) if text == "Bearer ada's" => served(),
            _ => challenged(&format!("Bearer realm=\"{realm}\"")),
        });
        if expected {
            desk.get("/v2/a/manifests/q4").unwrap();
            continue;
        }
        let (why, origin, looked_at, _) = desk.denial("/v2/a/manifests/q4");
        assert_eq!((why, origin), (AuthFailure::Missing, None));
        let last = looked_at.last().unwrap();
        assert!(last.contains("is not sent to elsewhere.example"), "{last}");
        let asked = desk.asked().join("\n");
        assert!(!asked.contains("Basic"), "{asked}");
    }
}

#[test]
fn a_token_service_that_nobody_may_name_is_not_asked() {
    for realm in [
        "http://registry.example/token",
        "http://127.0.0.1/token",
        "file:///etc/x",
        "x",
    ] {
        let desk = Desk::new(CONFIG, move |_| {
            challenged(&format!("Bearer realm=\"{realm}\""))
        });
        let (why, ..) = desk.denial("/v2/a/manifests/q4");
        assert_eq!(why, AuthFailure::UnsafeTokenService, "{realm}");
        assert_eq!(desk.asked(), ["GET /v2/a/manifests/q4"], "{realm}");
    }
}

#[test]
fn nothing_follows_a_redirect_to_another_host() {
    let elsewhere = "https://cdn.example/blob";
    let desk = Desk::new(CONFIG, move |asked| match &asked.authorization {
        _ if asked.url == elsewhere => served(),
        Some(_) => (307, vec![("location", elsewhere.to_owned())], String::new()),
        None => challenged("Basic"),
    });
    let url = Url::parse(&format!("{REGISTRY}/v2/a/blobs/sha256:00")).unwrap();
    desk.call.body(&url, &GetOptions::default()).unwrap();
    assert_eq!(desk.asked().last().unwrap(), "GET https://cdn.example/blob");
}

#[test]
fn answers_of_token_services_that_make_no_sense_are_errors() {
    for (status, body, expected) in [
        (200, "<html>", "something else than a token"),
        (200, "{}", "something else than a token"),
        (302, "", "status 302"),
        (500, "", "status 500"),
        (429, "", "rate limit exceeded"),
    ] {
        let desk = Desk::new("", move |asked| match asked.url.starts_with(REALM) {
            true => (status, vec![], body.to_owned()),
            false => bearer(SCOPE),
        });
        let failure = desk.get("/v2/a/manifests/q4").unwrap_err();
        let message = failure.error.to_string();
        assert!(message.contains(expected), "{message}");
    }
}
