//! What somebody at the command line is told where a registry does not let them in, and what is sent to whom then.

use std::env::join_paths;
use std::fs;
use std::path::PathBuf;
use std::thread;

use modelrack::cli::Mount;
use modelrack::{CancelToken, Environment};

use super::{Machine, llama};
use crate::cli::{Ran, run_line};
use crate::support::platform::script;
use crate::support::server::{Request, Rule, Server};

/// `ada:s3cret`.
const ADA: &str = "YWRhOnMzY3JldA==";
const PULL: &str = "pull oci/acme/llama:q4";

/// Somebody at a machine, with a Docker configuration, or none.
struct Person {
    machine: Machine,
    home: PathBuf,
}

impl Person {
    fn new() -> Self {
        let (machine, _) = Machine::with_llama();
        let home = machine.rack.temp.path().join("docker");
        fs::create_dir_all(home.join("bin")).unwrap();
        Self { machine, home }
    }

    /// As after `docker login`.
    fn logged_in() -> Self {
        let person = Self::new();
        let host = person.host();
        person.configure(&format!(
            r#"{{"auths": {{"{host}": {{"auth": "{ADA}"}}}}}}"#
        ));
        person
    }

    fn configure(&self, config: &str) {
        fs::write(self.home.join("config.json"), config).unwrap();
    }

    fn host(&self) -> String {
        self.machine.registry.host()
    }

    fn server(&self) -> &Server {
        self.machine.registry.server()
    }

    fn environment(&self) -> Environment {
        let path = join_paths([self.home.join("bin"), "/usr/bin".into(), "/bin".into()]);
        let environment = self.machine.rack.environment();
        environment
            .variable("DOCKER_CONFIG", &self.home)
            .variable("PATH", path.unwrap())
    }

    fn mount(&self) -> Mount {
        Mount::new(self.machine.config()).environment(self.environment())
    }

    fn run(&self, line: &str) -> Ran {
        run_line(&self.mount(), line)
    }

    /// From now on, the registry answers everything that has not this token with 401 and this challenge.
    fn wants(&self, authorization: &'static str, challenge: &str) {
        let is_other =
            move |request: &Request| request.header("authorization") != Some(authorization);
        let refusal = Rule::when(is_other).status(401);
        self.server()
            .rule(refusal.header("www-authenticate", challenge));
    }

    /// Asserts that a pull ends with this exit code and error code, and says all of this; that nothing is installed; and
    /// that the secret of the login is neither printed nor sent to `others`. Returns what the registry was sent with.
    #[track_caller]
    fn assert_refused(
        &self,
        line: &str,
        (code, error): (u8, &str),
        says: &[&str],
        others: &[&Server],
    ) -> Vec<String> {
        let text = self.run(line);
        let json = self.run(&format!("{line} --json"));
        assert_eq!((text.code, json.code), (code, code), "{text:?}");
        assert_eq!(json.json()["error"]["code"], error, "{json:?}");
        for part in says {
            assert!(text.err.contains(part), "{part}: {}", text.err);
        }
        for secret in ["s3cret", ADA] {
            let printed = format!("{text:?} {json:?}");
            assert!(!printed.contains(secret), "{printed}");
        }
        for other in others {
            assert_eq!(authorizations(other), Vec::<String>::new());
        }
        assert_eq!(self.machine.rack.listed(), (vec![], vec![]));
        assert!(!self.machine.rack.dir_of("oci/acme/llama q4").exists());
        authorizations(self.server())
    }
}

/// The `Authorization` headers that a server was sent.
fn authorizations(server: &Server) -> Vec<String> {
    let requests = server.requests().into_iter();
    let headers = requests.filter_map(|request| Some(request.header("authorization")?.to_owned()));
    headers.collect()
}

/// A token service on what has another name than the registry, that has a token for whoever sends a password.
fn service_elsewhere() -> (Server, String) {
    let service = Server::start();
    service.put("/token", r#"{"token": "t", "expires_in": 300}"#);
    let is_nobody = |request: &Request| request.header("authorization").is_none();
    service.rule(Rule::when(is_nobody).status(401));
    let realm = format!("{}/token", service.localhost_url());
    (service, realm)
}

#[test]
fn a_token_service_elsewhere_is_sent_no_login() {
    let person = Person::logged_in();
    let (service, realm) = service_elsewhere();
    person.wants(
        "Bearer t",
        &format!("Bearer realm=\"{realm}\",service=\"models\""),
    );
    let place = realm.trim_start_matches("http://");
    let place = place.trim_end_matches("/token");
    let host = person.host();
    let says = [
        &*format!("is not sent to {place}, where this registry's tokens come from"),
        &format!("an entry for {place} in the file would allow it"),
        &format!("'docker login {host}'"),
    ];
    let error = (8, "AUTHENTICATION_ERROR");
    let sent = person.assert_refused(PULL, error, &says, &[&service]);
    assert_eq!(sent, [""; 0]);
    assert!(!service.requests().is_empty());

    // The user's own file may name it.
    person.configure(&format!(
        r#"{{"auths": {{"{host}": {{"auth": "{ADA}"}}, "{place}": {{"auth": "b3RoZXI6b3RoZXI="}}}}}}"#
    ));
    person.run(PULL).success();
    person.machine.assert_llama_installed("oci/acme/llama q4");
    let sent = authorizations(&service);
    assert_eq!(sent, [format!("Basic {ADA}")]);
}

#[test]
fn a_token_service_that_is_not_safe_is_asked_nothing() {
    for realm in [
        "http://192.0.2.1/token",
        "ftp://127.0.0.1/token",
        "file:///etc/passwd",
        "token",
        "https://",
    ] {
        let person = Person::logged_in();
        person.wants("Bearer t", &format!("Bearer realm=\"{realm}\""));
        let says = [
            &*format!(
                "the registry sends its users for tokens to '{realm}', which is neither https nor"
            ),
            "hint: tell the operator of the registry: nothing was sent there",
        ];
        let sent = person.assert_refused(PULL, (8, "AUTHENTICATION_ERROR"), &says, &[]);
        assert_eq!(sent, [""; 0], "{realm}");
    }
}

#[test]
fn a_helper_that_is_of_no_use_is_quoted() {
    for (says, program) in [
        (
            "docker-credential-test failed: the key ring is locked",
            "echo 'the key ring is locked'; exit 1",
        ),
        ("docker-credential-test failed without a word", "exit 3"),
        (
            "docker-credential-test answered with something else than credentials",
            "echo ada:s3cret",
        ),
        (
            "docker-credential-test answered with something else than credentials",
            "echo '{\"Username\": \"ada\", \"Secret\": [\"s3cret\"]}'",
        ),
        (
            "docker-credential-test answered with more than 65536 bytes",
            "yes s3cret",
        ),
        (
            "docker-credential-test has no login for",
            "echo credentials not found in native keychain; exit 1",
        ),
    ] {
        let person = Person::new();
        person.wants("Basic YWRhOnMzY3JldA==", "Basic realm=\"models\"");
        person.configure(r#"{"credsStore": "test"}"#);
        let path = person.home.join("bin").join("docker-credential-test");
        if !script(&path, program) {
            return;
        }
        let login = format!("hint: log in with 'docker login {}'", person.host());
        let error = (8, "AUTHENTICATION_ERROR");
        let sent = person.assert_refused(PULL, error, &[&login, says], &[]);
        assert_eq!(sent, [""; 0], "{program}");
    }
    // What is not there, and what is no name.
    for (name, says) in [
        (
            "absent",
            "docker-credential-absent is not in the search path",
        ),
        ("../bin/sh", "is not run: its name has a character"),
    ] {
        let person = Person::new();
        person.wants("Basic YWRhOnMzY3JldA==", "Basic realm=\"models\"");
        person.configure(&format!(r#"{{"credsStore": "{name}"}}"#));
        person.assert_refused(PULL, (8, "AUTHENTICATION_ERROR"), &[says], &[]);
    }
}

#[test]
fn a_helper_that_hangs_ends_with_the_command() {
    let person = Person::new();
    person.wants("Basic YWRhOnMzY3JldA==", "Basic realm=\"models\"");
    person.configure(r#"{"credsStore": "test"}"#);
    let path = person.home.join("bin").join("docker-credential-test");
    let begun = person.home.join("begun");
    if !script(
        &path,
        &format!("echo > '{}'; exec sleep 600", begun.display()),
    ) {
        return;
    }
    let cancel = CancelToken::new();
    let ran = thread::scope(|scope| {
        scope.spawn(|| {
            while !begun.exists() {
                thread::yield_now();
            }
            cancel.cancel();
        });
        run_line(&person.mount().cancel(cancel.clone()), PULL)
    });
    assert_eq!(ran.code, 130, "{ran:?}");
    assert_eq!(authorizations(person.server()), [""; 0]);
    assert_eq!(person.machine.rack.listed(), (vec![], vec![]));
}

#[test]
fn without_a_challenge_nobody_knows_how_to_log_in() {
    let person = Person::logged_in();
    person.server().rule(Rule::any().status(401));
    let host = person.host();
    let says = [
        "the server requires credentials",
        "hint: the registry does not say how to log in",
        &format!("oci = \"https://user:password@{host}\""),
    ];
    for line in [PULL, &format!("pull oci://{host}/acme/llama:q4")] {
        let error = (8, "AUTHENTICATION_ERROR");
        let sent = person.assert_refused(line, error, &says, &[]);
        assert_eq!(sent, [""; 0]);
    }
}

#[test]
fn refusals_say_what_to_do() {
    let body =
        |code: &str| format!(r#"{{"errors": [{{"code": "{code}", "message": "so it is"}}]}}"#);
    let host = |person: &Person| format!("'docker login {0}' or 'podman login {0}'", person.host());
    // Without a login.
    let person = Person::new();
    person
        .server()
        .rule(Rule::any().status(403).body(body("DENIED")));
    let says = [
        "the registry denies access: the server says 'DENIED: so it is'",
        "hint: check the name, which may not exist, or log in with",
        &host(&person),
    ];
    person.assert_refused(PULL, (8, "AUTHENTICATION_ERROR"), &says, &[]);

    // The login is right, and this is not for its user; it is wrong.
    for (status, says, reason) in [
        (
            403,
            "the registry denies access with the login of",
            "config.json: the server says 'DENIED: so it is'",
        ),
        (
            401,
            "the server refuses the user and password in",
            "config.json: the server says 'DENIED: so it is'",
        ),
    ] {
        let person = Person::logged_in();
        person.wants("Basic YWRhOnMzY3JldA==", "Basic realm=\"models\"");
        person
            .server()
            .rule(Rule::any().status(status).body(body("DENIED")));
        let says = [
            says,
            reason,
            &host(&person),
            "config.json has a login for it",
        ];
        let sent = person.assert_refused(PULL, (8, "AUTHENTICATION_ERROR"), &says, &[]);
        assert!(
            sent.iter().all(|it| *it == format!("Basic {ADA}")),
            "{sent:?}"
        );
        assert!(!sent.is_empty());
    }

    // There is no such model, and there are others.
    let person = Person::new();
    let says = [
        "no source offers the model",
        "hint: check the name; where it is private, log in with",
        &host(&person),
    ];
    let none = format!("pull oci://{}/acme/none", person.host());
    for line in ["pull oci/acme/none:q4", &none] {
        person.assert_refused(line, (3, "MODEL_NOT_FOUND"), &says, &[]);
    }
    let says = ["has no version 'q5'", "hint: did you mean q4?"];
    person.assert_refused(
        "pull oci/acme/llama:q5",
        (3, "VERSION_NOT_FOUND"),
        &says,
        &[],
    );
}

#[test]
fn limits_are_told_before_and_when_they_are_reached() {
    let limit = |rule: Rule, left: &str| {
        rule.header("ratelimit-limit", "100;w=21600")
            .header("ratelimit-remaining", left)
    };
    let is_manifest = |request: &Request| request.path.contains("/manifests/");
    for is_logged_in in [false, true] {
        let person = match is_logged_in {
            false => Person::new(),
            true => Person::logged_in(),
        };
        let limited = Rule::when(is_manifest)
            .status(429)
            .header("retry-after", "7");
        let body = r#"{"errors": [{"code": "TOOMANYREQUESTS", "message": "wait"}]}"#;
        if is_logged_in {
            person.wants("Basic YWRhOnMzY3JldA==", "Basic realm=\"models\"");
        }
        person.server().rule(limit(limited, "0;w=21600").body(body));
        let says = [
            "rate limit exceeded: the server asks to wait 7 s",
            "ratelimit-limit: 100;w=21600",
            match is_logged_in {
                false => "hint: log in with 'docker login",
                true => "hint: try again later",
            },
        ];
        person.assert_refused(PULL, (5, "RATE_LIMITED"), &says, &[]);
    }
    let person = Person::new();
    person
        .server()
        .rule(limit(Rule::when(is_manifest), "76;w=21600"));
    let ran = person.run(&format!("{PULL} --verbose"));
    assert!(
        ran.err
            .contains("ratelimit-limit: 100;w=21600, ratelimit-remaining: 76;w=21600"),
        "{}",
        ran.err
    );
    person
        .machine
        .rack
        .assert_files("oci/acme/llama q4", &llama());
}
