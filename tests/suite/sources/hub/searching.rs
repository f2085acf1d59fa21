//! Searching the Hub.

use modelrack::{Manager, ModelManager, RemoteOptions, SearchOptions};
use serde_json::json;

use crate::sources::hub::machine::Machine;
use crate::support::rack::{Rack, sample};
use crate::support::server::{Gate, Rule};

fn search(machine: &Machine, query: &str) -> modelrack::Result<Vec<String>> {
    let options = SearchOptions::default().remote(true);
    let report = machine.manager().search(query, &options)?;
    let names = report.remote.iter().map(|found| found.model.to_string());
    Ok(names.collect())
}

#[test]
fn the_hub_is_asked_and_says_what_it_knows() {
    let (machine, repo, commit) = Machine::with_whisper();
    repo.describe(|facts| {
        facts.tags = vec!["audio"];
        facts.downloads = 1000;
    });
    machine
        .hub
        .repo("gpt2")
        .commit("main", [("config.json", "{}")]);
    machine
        .hub
        .repo("distil/whisper-large")
        .commit("main", [("config.json", "{}")]);
    let options = SearchOptions::default().remote(true).source("hf");
    let report = machine.manager().search("Whisper", &options).unwrap();
    let names: Vec<String> = report.remote.iter().map(|r| r.model.to_string()).collect();
    assert_eq!(
        names,
        [
            "hf/distil/whisper-large main",
            "hf/openai/whisper-tiny main"
        ]
    );
    let tiny = &report.remote[1];
    assert_eq!(&*tiny.source, "hf");
    assert_eq!(tiny.commit.as_deref(), Some(commit.as_str()));
    let facts = tiny.metadata.facts();
    assert_eq!(facts.model_type.as_deref(), Some("audio-to-text"));
    assert!(facts.tags.contains(&"audio".to_owned()));
    assert_eq!(tiny.metadata.to_map()["downloads"], 1000);
    assert_eq!(machine.hub.api_requests(), 1);
    assert_eq!(search(&machine, "gpt2").unwrap(), ["hf/gpt2 main"]);
    assert_eq!(
        search(&machine, "no such model").unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn results_come_in_pages_and_end() {
    let machine = Machine::new();
    for number in 0..250 {
        let repo = machine.hub.repo(&format!("o/m{number:03}"));
        repo.commit("main", [("config.json", "{}")]);
        repo.describe(|facts| facts.downloads = number);
    }
    let found = search(&machine, "o/m").unwrap();
    assert_eq!(found.len(), 200);
    assert_eq!(
        found[0], "hf/o/m050 main",
        "those that are downloaded least are left out"
    );
    assert_eq!(machine.hub.api_requests(), 2);
}

#[test]
fn a_next_page_is_of_the_same_host_and_there_are_not_for_ever_more() {
    let machine = Machine::new();
    machine
        .hub
        .repo("o/m")
        .commit("main", [("config.json", "{}")]);
    let elsewhere = crate::support::server::Server::start();
    let link = format!("<{}/api/models?cursor=x>; rel=\"next\"", elsewhere.url());
    machine
        .hub
        .server()
        .rule(Rule::path_starts("/api/models").header("link", &link));
    assert_eq!(search(&machine, "o/m").unwrap(), ["hf/o/m main"]);
    assert_eq!(elsewhere.connections(), 0);
    machine.hub.server().clear_rules();
    // An empty page that leads to itself.
    let link = format!("<{}/api/models?search=x>; rel=\"next\"", machine.hub.url());
    let endless = Rule::path_starts("/api/models")
        .body("[]")
        .header("link", &link);
    machine.hub.server().rule(endless);
    assert_eq!(search(&machine, "x").unwrap(), Vec::<String>::new());
    assert!(machine.hub.api_requests() < 10);
}

#[test]
fn entries_that_could_not_be_pulled_are_left_out() {
    let machine = Machine::new();
    let sha = "0123456789012345678901234567890123456789";
    let list = json!([
        {"id": "o/good", "sha": sha, "gated": "manual", "new": {}},
        {"id": "o/without-commit"},
        {"id": "../evil", "sha": sha},
        {"id": "a/b@c", "sha": sha},
        {"id": "", "sha": sha},
        {"id": "o/nulls", "sha": sha, "gated": null, "pipeline_tag": null},
    ]);
    machine
        .hub
        .server()
        .rule(Rule::path_starts("/api/models").body(list.to_string()));
    assert_eq!(
        search(&machine, "o").unwrap(),
        ["hf/o/good main", "hf/o/nulls main"]
    );
}

#[test]
fn a_search_that_fails_says_so_and_leaves_what_other_sources_found() {
    let machine = Machine::new();
    for (rule, code) in [
        (Rule::any().body("<!DOCTYPE html>"), "REGISTRY_ERROR"),
        (Rule::any().body("{}"), "REGISTRY_ERROR"),
        (Rule::any().status(500), "NETWORK_ERROR"),
        (
            Rule::any().status(429).header("retry-after", "90"),
            "RATE_LIMITED",
        ),
        (Rule::any().status(401), "AUTHENTICATION_ERROR"),
    ] {
        machine.hub.server().clear_rules();
        machine.hub.server().rule(rule);
        assert_eq!(search(&machine, "m").unwrap_err().code(), code);
    }
    machine
        .rack
        .publish("g/m v1", &crate::support::rack::sample());
    let toml = format!(
        "[sources.hf]\nhub = \"{}\"\n[sources.w]\nurl = \"{}\"\n",
        machine.hub.url(),
        machine.rack.server.url()
    );
    let rack = &machine.rack;
    let manager = rack.manager_of(rack.bare_config().bootstrap(toml));
    let options = SearchOptions::default().remote(true);
    let report = manager.search("m", &options).unwrap();
    assert_eq!(report.remote.len(), 1);
    let [failure] = report.failures.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!(
        (failure.source.as_str(), failure.error.code()),
        ("hf", "AUTHENTICATION_ERROR")
    );
    machine.hub.server().clear_rules();
    machine
        .hub
        .repo("o/m")
        .commit("main", [("config.json", "{}")]);
    let report = manager.search("m", &options).unwrap();
    let names: Vec<String> = report.remote.iter().map(|r| r.model.to_string()).collect();
    assert_eq!(names, ["hf/o/m main", "w/g/m v1"]);
}

#[test]
fn the_hub_has_too_many_models_to_list() {
    let (machine, _, _) = Machine::with_whisper();
    for options in [
        RemoteOptions::default(),
        RemoteOptions::default().source("hf"),
    ] {
        let error = machine.manager().list_remote(&options).unwrap_err();
        assert_eq!(error.code(), "INVALID_ARGUMENT");
        assert!(error.to_string().contains("search"), "{error}");
    }
    assert_eq!(machine.hub.server().connections(), 0);
}

/// Neither answers before the other was asked.
#[test]
fn sources_are_asked_at_the_same_time() {
    let machine = Machine::new();
    machine.rack.publish("g/m v1", &sample());
    machine
        .hub
        .repo("o/m")
        .commit("main", [("config.json", "{}")]);
    let other = Rack::with_model();
    let toml = format!(
        "[sources.hf]\nhub = \"{}\"\n[sources.v]\nurl = \"{}\"\n[sources.w]\nurl = \"{}\"\n",
        machine.hub.url(),
        other.server.url(),
        machine.rack.server.url()
    );
    let list = |manager: &ModelManager| {
        let listing = manager.list_remote(&RemoteOptions::default()).unwrap();
        (listing.models.len(), listing.failures.len())
    };
    let find = |manager: &ModelManager| {
        let options = SearchOptions::default().remote(true);
        let report = manager.search("m", &options).unwrap();
        (report.remote.len(), report.failures.len())
    };
    let pairs = [
        (&other.server, &machine.rack.server),
        (machine.hub.server(), &machine.rack.server),
    ];
    for (servers, ask, expected) in [
        (pairs[0], &list as &dyn Fn(&ModelManager) -> _, (2, 0)),
        (pairs[0], &find, (3, 0)),
        (pairs[1], &find, (3, 0)),
    ] {
        let gates = [Gate::new(), Gate::new()];
        for (server, [own, others]) in [
            (servers.0, [&gates[0], &gates[1]]),
            (servers.1, [&gates[1], &gates[0]]),
        ] {
            let own = own.clone();
            let rule = Rule::any().on_request(move || own.open());
            server.rule(rule.hold(others));
        }
        let rack = &machine.rack;
        let manager = rack.manager_of(rack.bare_config().bootstrap(&toml));
        assert_eq!(ask(&manager), expected);
        for server in [machine.hub.server(), &other.server, &machine.rack.server] {
            server.clear_rules();
        }
    }
}
