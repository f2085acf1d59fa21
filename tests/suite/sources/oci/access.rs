//! Registries that want to know who asks: passwords, tokens, and the programs that keep them.

use std::env::join_paths;
use std::fs;
use std::path::PathBuf;

use modelrack::error::AuthFailure;
use modelrack::{Environment, ErrorKind, Manager, ModelManager, PullOptions};

use super::{LLAMA, Machine, llama};
use crate::support::address;
use crate::support::oci::Artifact;
use crate::support::oci::real::RealRegistry;
use crate::support::platform::script;
use crate::support::rack::Rack;
use crate::support::server::{Rule, Server};

/// `ada:s3cret`.
const ADA: &str = "YWRhOnMzY3JldA==";

impl Machine {
    /// The folder of the user, and an environment that has it.
    fn home(&self) -> (PathBuf, Environment) {
        let home = self.rack.temp.path().join("docker");
        fs::create_dir_all(&home).unwrap();
        let environment = self.rack.environment();
        (home.clone(), environment.variable("DOCKER_CONFIG", home))
    }

    fn manager_in(&self, environment: Environment) -> ModelManager {
        ModelManager::builder(self.config())
            .environment(environment)
            .build()
    }

    /// From now on, a registry that serves nobody without this.
    fn wants(&self, authorization: &'static str, challenge: &str) {
        let is_other = move |request: &crate::support::server::Request| {
            request.header("authorization") != Some(authorization)
        };
        let refusal = Rule::when(is_other).status(401);
        self.registry
            .server()
            .rule(refusal.header("www-authenticate", challenge));
    }
}

fn login(host: &str) -> String {
    format!(r#"{{"auths": {{"{host}": {{"auth": "{ADA}"}}}}}}"#)
}

#[test]
fn a_pull_fetches_one_token_for_all_its_workers() {
    let (machine, _) = Machine::with_llama();
    let service = Server::start();
    service.put("/token", r#"{"token": "t", "expires_in": 300}"#);
    let anonymous = |request: &crate::support::server::Request| {
        request.header("authorization") != Some("Basic YWRhOnMzY3JldA==")
    };
    service.rule(Rule::when(anonymous).status(401));
    let challenge = format!(
        "BEARER realm=\"{}/token\",service=\"registry\",scope=\"repository:acme/llama:pull,push\"",
        service.url()
    );
    machine.wants("Bearer t", &challenge);
    let (home, environment) = machine.home();

    let pull = || {
        let manager = machine.manager_in(environment.clone());
        manager.pull(&address("oci/acme/llama:q4"), &PullOptions::default())
    };
    let error = pull().unwrap_err();
    let ErrorKind::Authentication {
        failure, looked_at, ..
    } = error.kind()
    else {
        panic!("{error:?}");
    };
    assert_eq!(*failure, AuthFailure::Missing);
    assert!(
        looked_at
            .iter()
            .any(|place| place.ends_with("config.json does not exist")),
        "{looked_at:?}"
    );

    fs::write(home.join("config.json"), login(&machine.registry.host())).unwrap();
    service.reset_counts();
    machine.requests();
    pull().unwrap();
    machine.assert_llama_installed("oci/acme/llama q4");
    let asked = service.requests();
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0]
            .path
            .contains("scope=repository%3Aacme%2Fllama%3Apull%2Cpush"),
        "{}",
        asked[0].path
    );
    // One refusal, then what a pull asks for anyway.
    assert!(machine.requests().len() <= 4 + llama().len());
}

#[test]
fn helpers_are_asked_for_the_registry_and_quoted_when_they_fail() {
    let (machine, _) = Machine::with_llama();
    machine.wants("Basic YWRhOnMzY3JldA==", "Basic realm=\"x\"");
    let (home, environment) = machine.home();
    let bin = home.join("bin");
    fs::create_dir(&bin).unwrap();
    let path = join_paths([bin.clone(), "/usr/bin".into(), "/bin".into()]).unwrap();
    let environment = environment.variable("PATH", path);
    fs::write(home.join("config.json"), r#"{"credsStore": "test"}"#).unwrap();
    let host = machine.registry.host();
    let good = format!(
        "read server; [ \"$1 $server\" = 'get {host}' ] || exit 9\n\
         echo '{{\"ServerURL\": \"x\", \"Username\": \"ada\", \"Secret\": \"s3cret\"}}'"
    );
    for (text, expected) in [
        (
            "echo 'the key ring is locked'; exit 1",
            Some("docker-credential-test failed: the key ring is locked"),
        ),
        (
            "echo credentials not found in native keychain; exit 1",
            Some("docker-credential-test has no login for"),
        ),
        (
            "echo ada:s3cret",
            Some("docker-credential-test answered with something else than credentials"),
        ),
        (
            "yes",
            Some("docker-credential-test answered with more than 65536 bytes"),
        ),
        (&good, None),
    ] {
        if !script(&bin.join("docker-credential-test"), text) {
            return;
        }
        let manager = machine.manager_in(environment.clone());
        let result = manager.pull(&address("oci/acme/llama:q4"), &PullOptions::default());
        let Some(expected) = expected else {
            result.unwrap();
            continue;
        };
        let error = result.unwrap_err();
        let ErrorKind::Authentication { looked_at, .. } = error.kind() else {
            panic!("{error:?}");
        };
        assert!(
            looked_at.iter().any(|place| place.starts_with(expected)),
            "{looked_at:?}"
        );
        assert!(!format!("{error:?} {error}").contains("s3cret"));
    }
    machine.assert_llama_installed("oci/acme/llama q4");
}

#[test]
fn a_real_registry_lets_in_whoever_has_logged_in() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("htpasswd");
    fs::write(
        &users,
        "ada:$2y$04$XZGI.XVVT5vm3seWNsoRieCVOEoE.MGlxsGRyBrwlcFy6CbQfHLcu\n",
    )
    .unwrap();
    let more = format!("auth: {{htpasswd: {{realm: models, path: {users:?}}}}}\n");
    let Some(registry) = RealRegistry::start(&more) else {
        return;
    };
    let registry = registry.authorized(&format!("Basic {ADA}"));
    registry.push(LLAMA, "q4", &Artifact::model_pack(&llama()));
    let rack = Rack::new();
    let toml = format!("[sources.oci]\noci = \"{}\"\n", registry.url());
    let file = folder.path().join("auth.json");
    let pull = || {
        let environment = rack.environment().variable("REGISTRY_AUTH_FILE", &file);
        let config = rack.bare_config().bootstrap(toml.clone());
        let manager = ModelManager::builder(config)
            .environment(environment)
            .build();
        manager.pull(&address("oci/acme/llama:q4"), &PullOptions::default())
    };
    assert_eq!(pull().unwrap_err().code(), "AUTHENTICATION_ERROR");
    let wrong = login(registry.host()).replace(ADA, "YWRhOndyb25n");
    fs::write(&file, wrong).unwrap();
    let error = pull().unwrap_err();
    let ErrorKind::Authentication {
        failure,
        token_origin,
        ..
    } = error.kind()
    else {
        panic!("{error:?}");
    };
    assert_eq!(*failure, AuthFailure::Refused);
    assert!(token_origin.as_ref().unwrap().ends_with("auth.json"));
    fs::write(&file, login(registry.host())).unwrap();
    pull().unwrap();
    rack.assert_files("oci/acme/llama q4", &llama());
}
