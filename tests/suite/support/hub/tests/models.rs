//! What the API says of models.

use serde_json::{Value, json};

use super::super::{Hub, HubRepo};
use super::{Answer, HELLO, HELLO_SHA256, get, get_as, ids, next};

#[test]
fn tells_facts_of_models() {
    let hub = Hub::start();
    let repo = hub.repo("o/m");
    let first = repo.commit("main", [("a b.txt", "hello\n")]);
    let second = repo.commit_with("main", [("w/x.safetensors", "hello\n")]);
    repo.pipeline_tag("automatic-speech-recognition");
    repo.library("transformers");
    repo.tags(&["whisper"]);
    repo.card(json!({"license": "mit"}));
    repo.popularity(7, 2);
    let info = get(&hub, "/api/models/o/m").json();
    assert_eq!(info["_id"].as_str().unwrap().len(), 24);
    for (name, value) in [
        ("id", json!("o/m")),
        ("modelId", json!("o/m")),
        ("author", json!("o")),
        ("sha", json!(second)),
        ("lastModified", json!("2023-03-28T10:41:00.000Z")),
        ("createdAt", json!("2023-03-28T10:40:00.000Z")),
        ("private", json!(false)),
        ("gated", json!(false)),
        ("disabled", json!(false)),
        (
            "tags",
            json!([
                "transformers",
                "automatic-speech-recognition",
                "whisper",
                "license:mit",
                "region:us"
            ]),
        ),
        ("pipeline_tag", json!("automatic-speech-recognition")),
        ("library_name", json!("transformers")),
        ("downloads", json!(7)),
        ("likes", json!(2)),
        ("cardData", json!({"license": "mit"})),
        (
            "siblings",
            json!([{"rfilename": "a b.txt"}, {"rfilename": "w/x.safetensors"}]),
        ),
    ] {
        assert_eq!(info[name], value, "{name}");
    }
    let files = get(
        &hub,
        &format!("/api/models/o/m/revision/{second}?blobs=true"),
    )
    .json();
    assert_eq!(
        files["siblings"],
        json!([
            {"rfilename": "a b.txt", "blobId": HELLO, "size": 6},
            {
                "rfilename": "w/x.safetensors",
                // What `git hash-object` says of the pointer.
                "blobId": "fa61e1ef71c9908c0926776a4aa3504b3a27f159",
                "size": 6,
                "lfs": {"sha256": HELLO_SHA256, "size": 6, "pointerSize": 126},
            },
        ])
    );
    let before = get(&hub, &format!("/api/models/o/m/revision/{first}")).json();
    assert_eq!(before["sha"], first);
    assert_eq!(before["siblings"], json!([{"rfilename": "a b.txt"}]));
    let some = get(&hub, "/api/models/o/m?expand[]=sha&expand%5B%5D=likes").json();
    assert_eq!(
        some,
        json!({"_id": info["_id"], "id": "o/m", "sha": second, "likes": 2})
    );
}

#[test]
fn takes_branches_tags_commits_and_pull_requests() {
    let hub = Hub::start();
    let repo = hub.repo("gpt2");
    let first = repo.commit("main", [("a", "1")]);
    repo.tag("v/1", &first);
    let proposed = repo.commit("proposal", [("a", "2")]);
    repo.pull_request(12, &proposed);
    repo.delete_branch("proposal");
    let main = repo.commit("main", [("a", "3")]);
    assert_eq!([&first, &proposed, &main].map(String::len), [40; 3]);
    for (revision, commit) in [
        ("main", &main),
        ("v%2F1", &first),
        (&first, &first),
        ("refs%2Fpr%2F12", &proposed),
    ] {
        let info = get(&hub, &format!("/api/models/gpt2/revision/{revision}"));
        assert_eq!(info.json()["sha"], *commit, "{revision}");
        let file = get(&hub, &format!("/gpt2/resolve/{revision}/a"));
        assert_eq!(file.header("x-repo-commit"), Some(commit.as_str()));
    }
    for revision in ["v2", &first[..7], "proposal", "refs%2Fpr%2F1"] {
        for path in [
            format!("/api/models/gpt2/revision/{revision}"),
            format!("/gpt2/resolve/{revision}/a"),
        ] {
            let answer = get(&hub, &path);
            assert_eq!(answer.outcome(), (404, "RevisionNotFound"), "{path}");
        }
    }
    let bare = get(&hub, "/gpt2/resolve/refs/pr/12/a");
    assert_eq!(bare.header("x-error-message"), Some("Invalid rev id: refs"));
    assert_eq!(
        get(&hub, "/api/models/gpt2/refs?include_prs=1").json(),
        json!({
            "branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": main}],
            "converts": [],
            "tags": [{"name": "v/1", "ref": "refs/tags/v/1", "targetCommit": first}],
            "pullRequests": [{"name": "12", "ref": "refs/pr/12", "targetCommit": proposed}],
        })
    );
}

#[test]
fn lists_models_in_pages() {
    let hub = Hub::start();
    let make = |id: &str, downloads: u64| -> HubRepo {
        let repo = hub.repo(id);
        repo.commit("main", [("a", "1")]);
        repo.popularity(downloads, 0);
        repo
    };
    make("a/whisper-tiny", 5).pipeline_tag("automatic-speech-recognition");
    make("b/Whisper", 9).gate("friend");
    make("c/whisper-own", 7).make_private("friend");
    make("d/whisper-base", 5).tags(&["en"]);
    make("e/other", 99);
    let first = get(&hub, "/api/models?search=WHISPER&limit=2");
    assert_eq!(ids(&first), ["b/Whisper", "a/whisper-tiny"]);
    let path = next(&hub, &first).unwrap();
    assert!(path.starts_with("/api/models?search=WHISPER&limit=2&cursor="));
    let second = get(&hub, &path);
    assert_eq!(ids(&second), ["d/whisper-base"]);
    assert_eq!(next(&hub, &second), None);
    let seen = get_as(&hub, "friend", "/api/models?search=whisper");
    assert_eq!(ids(&seen).len(), 4);
    for (query, expected) in [
        (
            "pipeline_tag=automatic-speech-recognition",
            "a/whisper-tiny",
        ),
        ("filter=en&filter=region%3Aus", "d/whisper-base"),
        ("author=b", "b/Whisper"),
        ("search=b/whis", "b/Whisper"),
    ] {
        assert_eq!(ids(&get(&hub, &format!("/api/models?{query}"))), [expected]);
    }
    let names = |query: &str| {
        let entries = get(&hub, &format!("/api/models?{query}")).json();
        let entry = entries[0].as_object().unwrap();
        entry.keys().cloned().collect::<Vec<_>>()
    };
    let short = names("search=tiny");
    let full = names("search=tiny&full=true");
    assert!(!short.iter().any(|name| name == "sha" || name == "gated"));
    for name in [
        "sha",
        "gated",
        "lastModified",
        "siblings",
        "tags",
        "modelId",
    ] {
        assert!(full.iter().any(|other| other == name), "{name}");
    }
    assert_eq!(names("search=tiny&expand=gated"), ["_id", "gated", "id"]);
    assert_eq!(get(&hub, "/api/models?cursor=x").status(), 400);
}

#[test]
fn lists_folders_in_pages() {
    let hub = Hub::start();
    let files = [("a/b/c.txt", "hello\n"), ("a/d.onnx", "hello\n"), ("e", "")];
    let commit = hub.repo("o/m").commit("main", files);
    let paths = |answer: &Answer| {
        let entries = answer.json();
        let path = |entry: &Value| entry["path"].as_str().unwrap().to_owned();
        entries
            .as_array()
            .unwrap()
            .iter()
            .map(path)
            .collect::<Vec<_>>()
    };
    let tree = "/api/models/o/m/tree/main";
    assert_eq!(paths(&get(&hub, tree)), ["a", "e"]);
    assert_eq!(paths(&get(&hub, &format!("{tree}/a"))), ["a/b", "a/d.onnx"]);
    let deep = get(&hub, &format!("{tree}/a%2Fb?recursive=True"));
    assert_eq!(
        deep.json(),
        json!([{"type": "file", "oid": HELLO, "size": 6, "path": "a/b/c.txt"}])
    );
    assert_eq!(deep.header("x-repo-commit"), Some(commit.as_str()));
    let mut path = Some(format!("{tree}?recursive=true&limit=2"));
    let mut all = Vec::new();
    while let Some(page) = path {
        let answer = get(&hub, &page);
        all.extend(paths(&answer));
        path = next(&hub, &answer);
    }
    assert_eq!(all, ["a", "a/b", "a/b/c.txt", "a/d.onnx", "e"]);
    let missing = get(&hub, &format!("{tree}/none"));
    assert_eq!(missing.outcome(), (404, "EntryNotFound"));
}
