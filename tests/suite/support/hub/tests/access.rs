//! Who may see what, and where it is if not there.

use serde_json::json;

use super::super::Hub;
use super::{Answer, get, get_as, ids, next};

#[test]
fn lets_in_who_may_come() {
    let hub = Hub::start();
    let make = |id: &str| {
        let repo = hub.repo(id);
        repo.commit("main", [("a", "1")]);
        repo
    };
    make("o/open");
    make("o/gated").gate("friend");
    make("o/manual").gate_by_hand("friend");
    make("o/hidden").make_private("friend");
    make("o/closed").disable();
    hub.token("stranger");
    let none = (200, "");
    let wrong = (401, "");
    let gate = [(401, "GatedRepo"), (403, "GatedRepo"), none, wrong];
    let hidden = [(401, ""), (404, "RepoNotFound"), none, wrong];
    let missing = [
        (401, ""),
        (404, "RepoNotFound"),
        (404, "RepoNotFound"),
        wrong,
    ];
    let closed = [(403, ""), (403, ""), (403, ""), wrong];
    let free = [none, none, none, wrong];
    for (id, info, file) in [
        ("o/open", free, free),
        ("o/gated", free, gate),
        ("o/manual", free, gate),
        ("o/hidden", hidden, hidden),
        ("o/closed", free, closed),
        ("o/missing", missing, missing),
    ] {
        for (path, expected) in [
            (format!("/api/models/{id}"), info),
            (format!("/api/models/{id}/tree/main"), info),
            (format!("/{id}/resolve/main/a"), file),
        ] {
            let answers = [
                get(&hub, &path),
                get_as(&hub, "stranger", &path),
                get_as(&hub, "friend", &path),
                get_as(&hub, "nobody", &path),
            ];
            assert_eq!(answers.each_ref().map(Answer::outcome), expected, "{path}");
        }
    }
    let gated = |id: &str| get(&hub, &format!("/api/models/{id}")).json()["gated"].clone();
    assert_eq!(["o/gated", "o/manual"].map(gated), ["auto", "manual"]);
    assert_eq!(get(&hub, "/api/models/o/closed").json()["disabled"], true);
    let closed = get(&hub, "/o/closed/resolve/main/a");
    assert_eq!(
        closed.header("x-error-message"),
        Some("Access to this resource is disabled.")
    );
    let unknown = get(&hub, "/api/models/o/missing");
    assert_eq!(
        unknown.json(),
        json!({"error": "Invalid username or password."})
    );
    assert!(unknown.header("www-authenticate").is_some());
    let wrong = get_as(&hub, "nobody", "/api/models/o/open");
    assert_eq!(
        wrong.header("x-error-message"),
        Some("Invalid credentials in Authorization header")
    );
    hub.explain_refusals();
    for path in ["/api/models/o/hidden", "/o/missing/resolve/main/a"] {
        assert_eq!(get(&hub, path).outcome(), (401, "RepoNotFound"));
    }
    assert_eq!(get(&hub, "/api/whoami-v2").status(), 401);
    assert_eq!(
        get_as(&hub, "stranger", "/api/whoami-v2").json()["name"],
        "reader"
    );
}

#[test]
fn redirects_from_former_names() {
    let hub = Hub::start();
    let repo = hub.repo("OpenAI/GPT2");
    repo.commit("main", [("a", "1")]);
    repo.rename_from("gpt2");
    repo.rename_from("before/gpt2");
    for (path, place) in [
        ("/api/models/gpt2", "/api/models/OpenAI/GPT2"),
        ("/api/models/openai/gpt2", "/api/models/OpenAI/GPT2"),
        (
            "/api/models/before/gpt2/revision/main?blobs=true",
            "/api/models/OpenAI/GPT2/revision/main?blobs=true",
        ),
        ("/before/gpt2/resolve/main/a", "/OpenAI/GPT2/resolve/main/a"),
    ] {
        let answer = get(&hub, path);
        assert_eq!(answer.status(), 307, "{path}");
        assert_eq!(answer.header("location"), Some(place));
    }
    assert_eq!(get(&hub, "/gpt2/resolve/main/a").text(), "1");
}

#[test]
fn works_below_a_path() {
    let hub = Hub::start_below("/mirror");
    let repo = hub.repo("o/m");
    let commit = repo.commit("main", [("a", "1"), ("b.bin", "2")]);
    repo.rename_from("old/m");
    hub.repo("o/n").commit("main", [("a", "1")]);
    hub.redirect_small_files();
    assert!(hub.url().ends_with("/mirror"));
    assert_eq!(get(&hub, "/api/models/o/m").status(), 404);
    assert_eq!(get(&hub, "/mirrored/api/models/o/m").status(), 404);
    assert_eq!(get(&hub, "/mirror/api/models/o/m").json()["sha"], commit);
    let location = |path: &str| get(&hub, path).header("location").unwrap().to_owned();
    assert_eq!(
        location("/mirror/api/models/old/m"),
        "/mirror/api/models/o/m"
    );
    let small = location("/mirror/o/m/resolve/main/a");
    assert_eq!(get(&hub, &small).text(), "1");
    assert!(small.starts_with("/mirror/api/resolve-cache/models/o/m/"));
    let large = location("/mirror/o/m/resolve/main/b.bin");
    let storage = hub.server().localhost_url() + "/cdn/";
    assert!(large.starts_with(&storage));
    let list = get(&hub, "/mirror/api/models?limit=1");
    let rest = get(&hub, &next(&hub, &list).unwrap());
    assert_eq!(ids(&rest), ["o/n"]);
    assert_eq!(hub.api_requests(), 4);
}

#[test]
fn tells_to_wait() {
    let hub = Hub::start();
    hub.repo("o/m").commit("main", [("a", "1")]);
    hub.limit(2, 3);
    let answers = [(); 3].map(|()| get(&hub, "/o/m/resolve/main/a"));
    assert_eq!(answers.each_ref().map(Answer::status), [429, 429, 200]);
    assert_eq!(answers[0].header("retry-after"), Some("3"));
    assert_eq!(answers[0].header("ratelimit"), Some("\"api\";r=0;t=3"));
}
