//! How many requests a pull makes, with each way to be let in.

use std::fs;

use modelrack::cli::Mount;

use super::{LLAMA, Machine, llama};
use crate::cli::run_line;
use crate::support::oci::Artifact;
use crate::support::oci::real::RealRegistry;
use crate::support::rack::Rack;
use crate::support::server::{Request, Rule, Server};

/// `ada:s3cret`.
const ADA: &str = "YWRhOnMzY3JldA==";

/// How a registry lets people in, and how many requests a pull makes there besides those for its layers: the manifest, the
/// configuration, and what is refused before the registry has said what it wants.
#[derive(Clone, Copy, Debug)]
enum Way {
    Anonymous = 2,
    Basic = 3,
    Bearer = 4,
}

const WAYS: [Way; 3] = [Way::Anonymous, Way::Basic, Way::Bearer];

/// A service with one token for everybody.
fn service() -> Server {
    let service = Server::start();
    service.put("/token", r#"{"token": "t", "expires_in": 300}"#);
    service
}

/// Pulls two versions, each by a program of its own, and asserts how many requests were made for each.
#[track_caller]
fn assert_requests(url: &str, way: Way, count: impl Fn() -> Vec<String>) {
    let rack = Rack::new();
    let host = url.trim_start_matches("http://");
    let login = format!(r#"{{"auths": {{"{host}": {{"auth": "{ADA}"}}}}}}"#);
    fs::write(rack.temp.path().join("config.json"), login).unwrap();
    let config = rack
        .bare_config()
        .bootstrap(format!("[sources.oci]\noci = \"{url}\"\n"));
    let environment = rack
        .environment()
        .variable("DOCKER_CONFIG", rack.temp.path());
    let mount = Mount::new(config).environment(environment);
    let _ = count();
    let most = llama().len() + way as usize;
    for (tag, layers) in [("q4", llama().len()), ("q8", 1)] {
        run_line(&mount, &format!("pull oci/acme/llama:{tag}")).success();
        let asked = count();
        assert_eq!(asked.len(), layers + way as usize, "{way:?}: {asked:?}");
        assert!(asked.len() <= most);
        run_line(&mount, &format!("pull oci/acme/llama:{tag}")).success();
        let again = count();
        let heads = again.iter().filter(|it| it.starts_with("HEAD")).count();
        // The tag is asked for, and whatever lets one do that comes before it.
        assert_eq!(again.len() - heads, usize::from(matches!(way, Way::Bearer)));
        assert!(heads <= 2, "{again:?}");
    }
    rack.assert_files("oci/acme/llama q4", &llama());
}

/// Another version, of which one layer is new.
fn other() -> Artifact {
    let mut files = llama();
    files[0].1 = b"# Llama, again\n".to_vec();
    let mut other = Artifact::model_pack(&files);
    other.config["descriptor"]["name"] = "other".into();
    other
}

#[test]
fn a_pull_makes_one_request_for_each_layer_and_at_most_four_more() {
    for way in WAYS {
        let (machine, _) = Machine::with_llama();
        machine.registry.push(LLAMA, "q8", &other());
        let service = service();
        let (authorization, challenge) = match way {
            Way::Anonymous => (None, String::new()),
            Way::Basic => (Some(format!("Basic {ADA}")), "Basic realm=\"x\"".into()),
            Way::Bearer => (
                Some("Bearer t".into()),
                format!("Bearer realm=\"{}/token\",service=\"x\"", service.url()),
            ),
        };
        let is_refused = move |request: &Request| {
            authorization.is_some() && request.header("authorization") != authorization.as_deref()
        };
        let refusal = Rule::when(is_refused).status(401);
        let server = machine.registry.server();
        server.rule(refusal.header("www-authenticate", &challenge));
        assert_requests(&machine.registry.url(), way, || {
            let tokens = service.requests().into_iter();
            let tokens = tokens.map(|request| format!("{} {}", request.method, request.path));
            service.reset_counts();
            machine.requests().into_iter().chain(tokens).collect()
        });
    }
}

#[test]
fn a_real_registry_gets_no_more_requests_than_that() {
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("htpasswd");
        let ada = "ada:$2y$04$XZGI.XVVT5vm3seWNsoRieCVOEoE.MGlxsGRyBrwlcFy6CbQfHLcu\n";
        fs::write(&users, ada).unwrap();
        let service = service();
        let (more, authorization) = match way {
            Way::Anonymous => (String::new(), String::new()),
            Way::Basic => (
                format!("auth: {{htpasswd: {{realm: models, path: {users:?}}}}}\n"),
                format!("Basic {ADA}"),
            ),
            // It takes any token.
            Way::Bearer => (
                format!(
                    "auth: {{silly: {{realm: \"{}/token\", service: models}}}}\n",
                    service.url()
                ),
                "Bearer t".to_owned(),
            ),
        };
        let Some(registry) = RealRegistry::start(&more) else {
            return;
        };
        let registry = registry.authorized(&authorization);
        registry.push(LLAMA, "q4", &Artifact::model_pack(&llama()));
        registry.push(LLAMA, "q8", &other());
        assert_requests(&registry.url(), way, || {
            let tokens = service.requests().into_iter();
            let tokens = tokens.map(|request| format!("{} {}", request.method, request.path));
            service.reset_counts();
            registry.requests().into_iter().chain(tokens).collect()
        });
    }
}
