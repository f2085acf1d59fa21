//! Tokens of the environment: where they go, and that nobody sees them.

use modelrack::{Environment, Manager, ModelManager, PullOptions, SyncOptions};

use super::{Host, assets, refs_key, registry, sync, tree, tree_of};
use crate::sources::repository::models::ModelsToml;
use crate::support::log::logged;
use crate::support::server::{Request, Rule, Server};
use crate::support::{address, chain};

const TOKEN: &str = "ghp_s3cret";
/// `x-access-token:ghp_s3cret`, as git sends it.
const BASIC: &str = "Basic eC1hY2Nlc3MtdG9rZW46Z2hwX3MzY3JldA==";

/// The source without a server of its own.
fn plain(refs: &[&str]) -> String {
    let refs = refs_key(refs);
    format!("[sources.testmodels]\nrepo = \"o/models\"\nname = \"mf6/test\"\n{refs}\n")
}

/// Which requests carried what, as `path → Authorization`.
fn authorizations(server: &Server) -> Vec<(String, Option<String>)> {
    let requests = server.requests().into_iter();
    let pairs = requests.map(|request| {
        let authorization = request.header("authorization").map(str::to_owned);
        (request.path, authorization)
    });
    pairs.collect()
}

#[test]
fn a_private_repository_takes_a_token_of_the_environment() {
    let host = Host::new();
    host.repo.require_token(TOKEN);
    host.repo.release("current", assets());
    let refs = plain(&["develop", "current"]);
    let told = sync(&host.manager_in(&refs, host.environment()));
    assert_eq!(
        told.matches("does not exist, or is private").count(),
        2,
        "{told}"
    );
    assert!(
        authorizations(host.forge.server())
            .iter()
            .all(|(_, sent)| sent.is_none())
    );
    for (name, other, value) in [
        ("GH_TOKEN", "GITHUB_TOKEN", "wrong"),
        ("GITHUB_TOKEN", "GH_TOKEN", ""),
    ] {
        host.paths();
        let environment = host
            .environment()
            .variable(name, TOKEN)
            .variable(other, value);
        let told = sync(&host.manager_in(&refs, environment));
        assert_eq!(told.lines().count(), 2);
        assert!(!told.contains("failed"), "{told}");
        for (path, sent) in authorizations(host.forge.server()) {
            let expected = (!path.starts_with("/storage/")).then_some(BASIC);
            assert_eq!(sent.as_deref(), expected, "{path}");
        }
        assert!(host.forge.server().count("/storage/") > 0);
    }
}

#[test]
fn the_interface_gets_the_bare_token() {
    let host = Host::new();
    host.repo.require_token(TOKEN);
    let old = host.repo.commit("develop", tree());
    host.repo.commit("develop", tree_of(ModelsToml::new()));
    // Under another name, to tell the two.
    let api = format!("{}/api/v3", host.forge.server().localhost_url());
    let environment = host
        .environment()
        .variable("GITHUB_API_URL", api)
        .variable("GITHUB_TOKEN", TOKEN);
    let manager = host.manager_in(&plain(&[&old[..9]]), environment);
    assert!(sync(&manager).starts_with("synced"));
    assert_eq!(host.forge.api_requests(), 1);
    for (path, sent) in authorizations(host.forge.server()) {
        let bearer = format!("Bearer {TOKEN}");
        let expected = if path.starts_with("/api/") {
            &bearer
        } else {
            BASIC
        };
        assert_eq!(sent.as_deref(), Some(expected), "{path}");
    }
}

#[test]
fn no_other_server_gets_it() {
    let host = Host::new();
    let elsewhere = Server::start();
    let environment = |server: &str| {
        let environment = host.rack.environment();
        environment
            .variable("GITHUB_TOKEN", TOKEN)
            .variable("GITHUB_SERVER_URL", server)
    };
    let places = format!(
        "api = \"{0}/api/v3\"\nraw = \"{0}/{{repo}}/raw/{{ref}}/{{path}}\"",
        elsewhere.url()
    );
    let own_server = host.source(&refs_key(&["develop"]));
    let own_places = plain(&["develop", "0123456"]) + &places;
    for (config, environment) in [
        (own_server.clone(), environment("https://git.invalid")),
        (own_server, environment(&elsewhere.url())),
        (own_places, environment(&host.forge.url())),
    ] {
        sync(&host.manager_in(&config, environment));
    }
    let sent = authorizations(&elsewhere);
    assert!(
        sent.iter().any(|(path, _)| path.starts_with("/api/")),
        "{sent:?}"
    );
    assert!(sent.iter().all(|(_, sent)| sent.is_none()), "{sent:?}");
    let (own, others): (Vec<_>, Vec<_>) = authorizations(host.forge.server())
        .into_iter()
        .partition(|(_, sent)| sent.is_some());
    // The second time the commit is known.
    assert_eq!((own.len(), others.len()), (3, 3 + 2));
}

#[test]
fn a_redirect_elsewhere_goes_without() {
    for place in ["/releases/", "/info/refs", "/raw/"] {
        let host = Host::new();
        let elsewhere = Server::start();
        let target = format!("{}{place}", elsewhere.url());
        let rule = Rule::path_contains(place).redirect(302, &target);
        host.forge.server().rule(rule);
        let environment = host.environment().variable("GITHUB_TOKEN", TOKEN);
        sync(&host.manager_in(&plain(&["develop"]), environment));
        assert_eq!(authorizations(&elsewhere), [(place.to_owned(), None)]);
    }
}

#[test]
fn it_goes_nowhere_in_the_clear() {
    let host = Host::new();
    let environment = host.rack.environment().variable("GITHUB_TOKEN", TOKEN);
    let environment = environment.variable("GITHUB_SERVER_URL", "http://git.invalid");
    let environment = environment.variable("http_proxy", host.forge.url());
    sync(&host.manager_in(&plain(&["develop"]), environment));
    let sent = authorizations(host.forge.server());
    assert!(!sent.is_empty());
    assert!(sent.iter().all(|(_, sent)| sent.is_none()), "{sent:?}");
}

#[test]
fn a_password_in_the_url_of_a_server_goes_to_that_server_only() {
    let host = Host::new();
    host.repo.release("current", assets());
    let with_password = host.forge.url().replace("//", "//me:s3cret@");
    let source = host.source(&refs_key(&["develop", "current"]));
    let manager = host.manager_of(&source.replace(&host.forge.url(), &with_password));
    let told = sync(&manager);
    assert_eq!(told.matches("synced").count(), 2, "{told}");
    for (path, sent) in authorizations(host.forge.server()) {
        let expected = (!path.starts_with("/storage/")).then_some("Basic bWU6czNjcmV0");
        assert_eq!(sent.as_deref(), expected, "{path}");
    }
    let shown = format!("{manager:?}{:?}", manager.sources().unwrap());
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn a_refused_password_of_a_server_is_named_by_the_key_that_has_it() {
    let rejects = |manager: &ModelManager, place: &str, setting: &str| {
        let report = manager.sync(&SyncOptions::default()).unwrap();
        let shown = chain(&report.failed[0].error);
        let named = format!("refuses the user and password in {setting} (");
        assert!(shown.contains(&named), "{place}: {shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
    };
    for place in ["/releases/", "/info/refs", "/raw/"] {
        let host = Host::new();
        let refusal = Rule::path_contains(place).status(401);
        host.forge.server().rule(refusal);
        let url = host.forge.url().replace("//", "//me:s3cret@");
        let source = host.source(&refs_key(&["develop"]));
        let manager = host.manager_of(&source.replace(&host.forge.url(), &url));
        let setting = "the configuration of rack: sources.testmodels.server";
        rejects(&manager, place, setting);
        let environment = host.rack.environment();
        let environment = environment.variable("GITHUB_SERVER_URL", &url);
        let manager = host.manager_in(&plain(&["develop"]), environment);
        rejects(&manager, place, "GITHUB_SERVER_URL");
    }
}

#[test]
fn nobody_sees_it() {
    let host = Host::new();
    host.repo.require_token("another");
    let environment: Environment = host.environment().variable("GITHUB_TOKEN", TOKEN);
    let manager = host.manager_in(&plain(&["develop", "0123456"]), environment);
    let (report, log) = logged(|| manager.sync(&SyncOptions::default()).unwrap());
    let sources = manager.sources().unwrap();
    let mut shown = format!("{manager:?}{report:?}{sources:?}");
    for failed in &report.failed {
        shown += &chain(&failed.error);
    }
    assert!(log.contains("/o/models/info/refs"), "{log}");
    shown += &log;
    let basic = BASIC.strip_prefix("Basic ").unwrap();
    assert!(!shown.contains(TOKEN) && !shown.contains(basic), "{shown}");
    assert_eq!(report.failed.len(), 2);
}

#[test]
fn a_line_end_is_no_part_of_a_token() {
    for value in [
        format!("{TOKEN}\n"),
        format!(" {TOKEN}\r\n"),
        format!("\u{feff}{TOKEN}"),
    ] {
        let host = Host::new();
        host.repo.require_token(TOKEN);
        let environment = host.environment().variable("GITHUB_TOKEN", value);
        let told = sync(&host.manager_in(&plain(&["develop"]), environment));
        assert!(told.starts_with("synced"), "{told}");
    }
}

/// Syncs a ref with a token, and pulls a model of it; returns what was warned of.
fn sync_and_pull(host: &Host, variable: &str, reference: &str) -> String {
    let environment = host.environment().variable(variable, TOKEN);
    let manager = host.manager_in(&plain(&[reference]), environment.clone());
    let ((), log) = logged(|| {
        let told = sync(&manager);
        assert!(told.starts_with("synced"), "{told}");
        // Also by another process, to which nobody said anything yet.
        for manager in [manager, host.manager_in(&plain(&[reference]), environment)] {
            let model = address(&format!("mf6/test@{reference}/test001a_Tharmonic"));
            manager.pull(&model, &PullOptions::default()).unwrap();
            std::fs::remove_dir_all(host.rack.store()).unwrap();
        }
    });
    let warned = log
        .lines()
        .filter(|line| line.contains("refuses the token"));
    warned.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_token_that_has_expired_closes_nothing_that_is_public() {
    for variable in ["GITHUB_TOKEN", "GH_TOKEN"] {
        for status in [401, 403, 404] {
            let host = Host::new();
            host.repo.release("current", assets());
            let with_token = |request: &Request| request.header("authorization").is_some();
            host.forge
                .server()
                .rule(Rule::when(with_token).status(status));
            let mut warned = sync_and_pull(&host, variable, "develop");
            warned += &sync_and_pull(&host, variable, "current");
            let server = host.forge.url().replace("http://", "");
            let line = format!(
                "message={server} refuses the token in {variable}, so requests go on without it\n"
            );
            assert_eq!(warned, line.repeat(4), "{status}");
            assert!(!warned.contains(TOKEN));
        }
    }
}

#[test]
fn the_files_of_a_private_release_come_through_the_interface() {
    let host = Host::new();
    host.repo.require_token(TOKEN);
    host.repo.hide_downloads();
    host.repo.release("v1", assets());
    let environment = host.environment().variable("GITHUB_TOKEN", TOKEN);
    let manager = host.manager_in(&plain(&["v1"]), environment.clone());
    assert_eq!(sync(&manager), "synced mf6/test@v1 release 3\n");
    assert_eq!(sync(&manager), "skipped mf6/test@v1 up to date\n");
    host.forge.server().reset_counts();
    let pull = |manager: &dyn Manager, model: &str| {
        manager.pull(
            &address(&format!("mf6/test@v1/{model}")),
            &PullOptions::default(),
        )
    };
    let report = pull(&manager, "test001a_Tharmonic").unwrap();
    assert!(report.path.join("mfsim.nam").is_file());
    let stored = |request: &Request| request.path.starts_with("/storage/");
    let mut requests = host.forge.server().requests();
    requests.retain(stored);
    assert!(!requests.is_empty());
    // Members only, and not the zip as a whole.
    assert!(
        requests
            .iter()
            .all(|request| request.header("range").is_some())
    );
    // Where the server knows no ranges, too.
    host.forge.server().rule(Rule::when(stored).ignore_range());
    let manager = host.manager_in(&plain(&["v1"]), environment);
    pull(&manager, "ex-gwf-twri01").unwrap();
    // A zip that is not there either.
    let lacks = registry().asset("other.zip");
    host.repo.release("v1", [("models.toml", Vec::from(lacks))]);
    assert_eq!(sync(&manager), "synced mf6/test@v1 release 3\n");
    let error = pull(&manager, "ex-gwt-keating/flow").unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
    // Without a token, nothing of it is to be had.
    let told = sync(&host.manager_in(&plain(&["v1"]), host.environment()));
    assert!(told.contains("does not exist, or is private"), "{told}");
}

#[test]
fn a_token_that_only_some_of_a_server_refuses_still_opens_the_rest() {
    let host = Host::new();
    host.forge.repo("o/private").require_token(TOKEN);
    host.forge.repo("o/private").commit("develop", tree());
    let public = |request: &Request| {
        request.path.starts_with("/o/models/") && request.header("authorization").is_some()
    };
    host.forge.server().rule(Rule::when(public).status(403));
    let both =
        plain(&["develop"]) + "[sources.private]\nrepo = \"o/private\"\nrefs = [\"develop\"]\n";
    let manager = host.manager_in(&both, host.environment().variable("GITHUB_TOKEN", TOKEN));
    for source in ["testmodels", "private", "testmodels"] {
        let options = SyncOptions::default().source(source).force(true);
        let told = super::sync_with(&manager, &options);
        assert!(told.starts_with("synced"), "{told}");
    }
}

#[test]
fn a_refused_token_is_named_where_nothing_helps() {
    for variable in ["GITHUB_TOKEN", "GH_TOKEN"] {
        let host = Host::new();
        host.forge.server().rule(Rule::any().status(401));
        let environment = host.environment().variable(variable, TOKEN);
        let told = sync(&host.manager_in(&plain(&["develop"]), environment));
        assert!(told.contains("AUTHENTICATION_ERROR"), "{told}");
        assert!(
            told.contains(&format!("the server refuses the token in {variable} (")),
            "{told}"
        );
        assert!(!told.contains(TOKEN), "{told}");
    }
}
