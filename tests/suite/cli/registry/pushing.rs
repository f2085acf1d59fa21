//! Publishing artifacts: what is said, what is refused, and what a killed push leaves.

use std::time::SystemTime;

use modelrack::config::System;
use serde_json::{Value, json};

use super::workshop::Workshop;
use crate::cli::program::{Running, finish, rack as program};
use crate::cli::{Sinks, models, mount, run_words};
use crate::support::bytes;
use crate::support::disk::{names_in, write_files};
use crate::support::oci::Registry;
use crate::support::platform::SYSTEM;
use crate::support::rack::Rack;
use crate::support::server::{Request, Rule, Server};

#[test]
fn whoever_publishes_reads_how_to_pull_it() {
    let (workshop, registry) = (Workshop::registered(), Registry::start());
    let host = registry.host();
    let publish = |line: &str| workshop.run(&format!("publish {line}")).success();
    // One that is named has the repository; several have one each.
    let out = publish(&format!("sir --to oci://{host}/acme/sir --alias latest"));
    let pull = format!("pull oci://{host}/acme/sir:1.0.0");
    assert!(out.starts_with("Published acme/sir 1.0.0: 1 file"), "{out}");
    assert!(
        out.ends_with(&format!("\nTo pull it: rack models {pull}\n")),
        "{out}"
    );
    models(&workshop.machine, &pull).success();
    publish(&format!("tiny --to oci://{host}/acme/tiny:v9"));
    let out = publish(&format!("--to oci://{host}/ours"));
    assert!(
        out.contains(&format!("pull oci://{host}/ours/agent:1.0.0\n")),
        "{out}"
    );
    for from in ["acme/tiny:v9", "ours/agent", "ours/sir:1.0.0"] {
        models(&workshop.machine, &format!("pull oci://{host}/{from}")).success();
    }
    let remote = models(
        &workshop.machine,
        &format!("info oci://{host}/ours/agent --remote --json"),
    );
    assert_eq!(remote.json()["metadata"]["name"], "Agent");
}

#[test]
fn a_dry_run_says_for_every_target_what_would_be_sent() {
    let (workshop, registry) = (Workshop::registered(), Registry::start());
    let remote = format!("oci://{}/ours", registry.host());
    for (to, of, number) in [
        ("{temp}/public", "3 chunks", 3),
        ("{temp}/new/public.tar", "3 chunks", 3),
        ("oci-layout:{temp}/layout", "4 layers", 4),
        ("oci-layout:{temp}/newer/layout.tar", "4 layers", 4),
        (&*remote, "4 layers", 4),
    ] {
        let publish = |more: &str| workshop.run(format!("publish --to {to} {more}").trim());
        let before = crate::support::disk::files_below(workshop.machine.temp.path());
        let is_new = |name: &str| !workshop.machine.temp.path().join(name).exists();
        let [new, newer] = ["new", "newer"].map(is_new);
        let out = publish("--dry-run").success();
        let last = out.lines().last().unwrap();
        let said = format!("Would publish 3 models: of {of}, {number} to send (");
        assert!(
            last.starts_with(&said) && last.ends_with(", 0 there (0 B)"),
            "{out}"
        );
        assert!(out.starts_with("Would publish "), "{out}");
        let planned = publish("--dry-run --json").json();
        assert_eq!(
            crate::support::disk::files_below(workshop.machine.temp.path()),
            before,
            "{to}"
        );
        assert_eq!(["new", "newer"].map(is_new), [new, newer], "{to}");
        assert_eq!(planned, publish("--json").json(), "{to}");
        let again = publish("--dry-run").success();
        assert!(
            again
                .lines()
                .last()
                .unwrap()
                .contains(&format!("0 to send (0 B), {number} there (")),
            "{again}"
        );
        let sent: u64 = planned["models"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["bytes_written"].as_u64().unwrap())
            .sum();
        assert!(sent > 3000);
    }
    // Nothing was sent to the registry before the one time that it was meant.
    let requests = registry.server().requests();
    let first = requests.iter().position(|it| it.method == "POST").unwrap();
    assert!(
        requests[..first]
            .iter()
            .all(|it| ["GET", "HEAD"].contains(&&*it.method))
    );
}

#[test]
fn a_layout_of_a_project_is_pulled_as_it_is() {
    let workshop = Workshop::registered();
    let words = ["publish", "sir", "--to", "oci-layout:{temp}/a layout:v1"];
    let out = workshop.run_words(&words, Sinks::Captured).success();
    let (_, address) = out.split_once("To pull it: rack models pull '").unwrap();
    let words = ["pull", address.trim_end().trim_end_matches('\'')];
    run_words(&mount(&workshop.machine), &words, Sinks::Captured).success();
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let (workshop, registry) = (Workshop::registered(), Registry::start());
    let to = format!("--to oci://{}", registry.host());
    for (line, code, message) in [
        (
            format!("{to}/acme/x:v1"),
            2,
            "the tag 'v1' is for one model: several have versions of their own",
        ),
        (
            format!("sir {to}/acme/x --shards"),
            2,
            "--shards is for chunked registries",
        ),
        (
            format!("sir {to}/acme/x --chunk-size 1MiB"),
            2,
            "--chunk-size is for chunked registries",
        ),
        (
            format!("{{p}}/weights {to}/acme/x --version 1.0+gpu"),
            2,
            "'1.0+gpu' cannot be a tag",
        ),
        (
            format!("{{p}}/weights {to}/acme/x:v1 --version v2"),
            2,
            "the tag in --to is 'v1'",
        ),
        (
            format!("{{p}}/weights {to}/acme/x --alias a/b"),
            2,
            "'a/b' cannot be a tag",
        ),
        (
            format!("{{p}}/weights {to}/acme/x:v1 --alias v1"),
            2,
            "is the version itself",
        ),
        (
            format!("{{p}}/weights {to}/acme/X"),
            2,
            "'acme/X' cannot be the name of a repository",
        ),
        (
            format!("{{p}}/weights {to}/acme/x@sha256:0"),
            2,
            "a digest follows from what is published: name a tag",
        ),
        (
            "weights --to oci:///acme/x".to_owned(),
            2,
            "the registry has no host",
        ),
        (format!("{{p}}/weights {to}/acme/x --offline"), 5, "offline"),
    ] {
        let ran = workshop.run(&format!("publish {line}"));
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        assert!(ran.err.contains(message), "{line}: {ran:?}");
    }
    assert_eq!(registry.requests(), Vec::<String>::new());
}

#[test]
fn a_push_that_is_killed_goes_on_with_the_next() {
    let (machine, registry) = (Rack::new(), Registry::start());
    let folder = machine.temp.path().join("model");
    let parts = [bytes(300_000, 1), bytes(200_000, 2), bytes(100_000, 3)];
    write_files(
        &folder,
        &[
            ("a.bin", &parts[0]),
            ("b.bin", &parts[1]),
            ("c.bin", &parts[2]),
        ],
    );
    let line = format!(
        "registry publish {} --to oci://{}/acme/m:v1",
        folder.display(),
        registry.host()
    );
    let is_sent =
        |request: &Request, bytes: usize| request.method == "PUT" && request.body.len() == bytes;
    let running = Running::start(program(&machine, &line));
    let alarm = running.alarm();
    // The smallest gets no answer, and the others are there by then, or come later.
    let small = Rule::when(move |request| is_sent(request, 100_000));
    registry.server().rule(
        small
            .times(1)
            .on_request(move || {
                let _ = alarm.send(());
            })
            .stall(),
    );
    running.wait();
    running.kill();
    registry.server().clear_rules();
    assert_eq!(registry.manifest_of("acme/m", "v1"), None);

    let there = registry.blobs_of("acme/m");
    registry.server().reset_counts();
    let ran = finish(program(&machine, &line));
    assert_eq!(ran.code, 0, "{ran:?}");
    let requests = registry.server().requests();
    let sent = |bytes| requests.iter().any(|request| is_sent(request, bytes));
    for (part, bytes) in parts.iter().zip([300_000, 200_000, 100_000]) {
        assert_eq!(
            sent(bytes),
            !there.contains(&crate::support::oci::sha256(part))
        );
    }
    assert!(sent(100_000));
    assert!(registry.manifest_of("acme/m", "v1").is_some());
}

#[test]
fn a_model_that_fails_is_told_and_counted_and_keeps_no_other_out() {
    let workshop = Workshop::registered();
    for model in ["models/agent.md --id agent", "weights --id tiny"] {
        let line = format!("add {{p}}/{model} --version 2.0+gpu");
        workshop.run(&line).success();
    }
    let publish = |to: &str, more: &[&str]| {
        let words = [&["publish", "--to", to], more].concat();
        workshop.run_words(&words, Sinks::Captured)
    };
    let ran = publish("oci-layout:{temp}/layout", &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.out.starts_with("Published models/sir 1.0.0"), "{ran:?}");
    let said = "2 of 3 models failed: publish agent: '2.0+gpu' cannot be a tag";
    assert!(ran.err.contains(said), "{ran:?}");
    assert!(
        ran.err
            .contains("models: publish tiny: '2.0+gpu' cannot be a tag"),
        "{ran:?}"
    );
    let index = workshop.machine.temp.path().join("layout/index.json");
    let index = std::fs::read_to_string(index).unwrap();
    assert!(
        index.contains("sir:1.0.0") && !index.contains("agent"),
        "{index}"
    );

    let ran = publish("oci-layout:{temp}/layout", &["--json"]);
    let document = ran.json();
    assert_eq!(
        (ran.code, &document["error"]["code"]),
        (2, &json!("INVALID_ARGUMENT"))
    );
    assert_eq!(ids(&document), json!([["sir"], ["agent", "tiny"], []]));
    for at in [0, 1] {
        let (of, error) = (
            &document["failed"][at]["error"],
            &document["error"]["errors"][at],
        );
        assert_eq!((of, &of["code"]), (error, &json!("INVALID_ARGUMENT")));
    }
    // One that was not asked for is no failure, and one alone is not counted.
    let ran = publish("oci-layout:{temp}/layout", &["tiny", "--json"]);
    let document = ran.json();
    assert_eq!(ids(&document), json!([[], ["tiny"], []]));
    let message = document["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("publish tiny: '2.0+gpu'"), "{message}");
    assert_eq!(document["error"].get("errors"), None);

    // Of a tar, nobody sees anything before the end.
    let ran = publish("oci-layout:{temp}/layout.tar", &["--json"]);
    assert_eq!(ids(&ran.json()), json!([[], ["agent", "tiny"], []]));
    let temp = workshop.machine.temp.path();
    assert!(!names_in(temp).iter().any(|name| name.contains(".tar")));
}

/// The models of a document, those that failed, and those that were not tried.
fn ids(document: &Value) -> Value {
    let ids = |list: &str, key: &str| {
        let list = document[list].as_array().unwrap().iter();
        list.map(|model| model[key].clone()).collect::<Vec<_>>()
    };
    json!([
        ids("models", "model"),
        ids("failed", "id"),
        document["not_tried"]
    ])
}

#[test]
fn what_was_published_before_a_registry_refuses_is_told() {
    let (workshop, registry) = (Workshop::registered(), Registry::start());
    let refused = Rule::when(|request: &Request| {
        request.method != "GET" && request.path_only().contains("/ours/sir/")
    });
    registry.server().rule(refused.status(403));
    let ran = workshop.run(&format!(
        "publish --to oci://{}/ours --json",
        registry.host()
    ));
    assert_eq!(ran.code, 8, "{ran:?}");
    let document = ran.json();
    assert_eq!(ids(&document), json!([["agent"], ["sir"], ["tiny"]]));
    let message = document["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("1 of 3 models failed, and 1 was not tried: publish sir: "),
        "{message}"
    );
    assert!(registry.manifest_of("ours/agent", "1.0.0").is_some());
    assert_eq!(registry.manifest_of("ours/tiny", "1.0.0"), None);
}

#[test]
fn one_request_at_most_is_refused_before_there_is_a_token() {
    let names: Vec<String> = (0..16).map(|number| format!("{number}.bin")).collect();
    let parts: Vec<Vec<u8>> = (0..16).map(|number| bytes(1000, number)).collect();
    let files = names.iter().zip(&parts);
    let files: Vec<_> = files
        .map(|(name, part)| (name.as_str(), part.as_slice()))
        .collect();
    // Whoever reads may need no token where whoever writes does.
    for is_public in [false, true] {
        let (machine, registry, service) = (Rack::new(), Registry::start(), Server::start());
        let folder = machine.temp.path().join("model");
        write_files(&folder, &files);
        service.put("/token", r#"{"token": "t", "expires_in": 300}"#);
        let is_refused = move |request: &Request| {
            let is_read = ["GET", "HEAD"].contains(&&*request.method);
            !(is_public && is_read) && request.header("authorization") != Some("Bearer t")
        };
        let challenge = format!(
            "Bearer realm=\"{}/token\",service=\"models\"",
            service.url()
        );
        let refusal = Rule::when(is_refused).status(401);
        let server = registry.server();
        server.rule(refusal.header("www-authenticate", &challenge));
        let line = format!(
            "registry publish {} --to oci://{}/acme/m:v1",
            folder.display(),
            registry.host()
        );
        models(&machine, &line).success();
        let refused = server.requests().into_iter();
        let refused = refused.filter(|request| request.status == 401);
        let refused = refused.map(|request| format!("{} {}", request.method, request.path));
        let refused: Vec<String> = refused.collect();
        assert_eq!(refused.len(), 1, "{refused:?}");
        // A token to write, and one to read.
        assert!(service.requests().len() <= 2);
        assert!(registry.manifest_of("acme/m", "v1").is_some());
    }
}

#[test]
fn what_is_neither_a_path_nor_a_model_is_told_so() {
    let workshop = Workshop::registered();
    for (path, hint) in [
        ("nothere", "list what is registered with"),
        ("siir", "did you mean sir?"),
    ] {
        let ran = workshop.run(&format!("publish {path} --to {{temp}}/public"));
        assert_eq!(ran.code, 3, "{ran:?}");
        let said = format!("there is no path {path}: '{path}' is not registered\nhint: {hint}");
        assert!(ran.err.contains(&said), "{ran:?}");
    }
    for path in ["nothere.bin", "no/where"] {
        let ran = workshop.run(&format!("publish {path} --to {{temp}}/public"));
        assert_eq!(ran.code, 2, "{ran:?}");
        let said = format!("there is no path {path}, and no model of the project has that name");
        assert!(ran.err.contains(&said), "{ran:?}");
    }
    assert!(!workshop.machine.temp.path().join("public").exists());
}

#[test]
fn a_page_in_place_of_an_answer_is_told_and_nothing_counts_as_published() {
    // A portal answers everything, or only what is asked for.
    for method in ["", "HEAD"] {
        let (workshop, registry) = (Workshop::registered(), Registry::start());
        let is_page = move |request: &Request| method.is_empty() || request.method == method;
        registry.server().rule(Rule::when(is_page).html());
        for line in [
            "publish sir --to oci://{host}/acme/sir",
            "publish sir --to oci://{host}/acme/sir --dry-run",
        ] {
            let ran = workshop.run(&line.replace("{host}", &registry.host()));
            assert_eq!(ran.code, 1, "{ran:?}");
            let said = "the server sent a web page instead of the data";
            assert!(ran.err.contains(said), "{ran:?}");
            let hint = "the network may ask to sign in; check the address that was given, too";
            assert!(ran.err.contains(hint), "{ran:?}");
        }
        assert_eq!(registry.manifest_of("acme/sir", "1.0.0"), None);
        let writes = registry.server().requests().into_iter();
        let writes = writes.filter(|it| !["GET", "HEAD"].contains(&&*it.method));
        assert_eq!(writes.count(), 0);
    }
}

#[test]
fn a_registry_that_asks_to_wait_for_long_is_asked_once_and_the_time_is_told() {
    let (workshop, registry) = (Workshop::registered(), Registry::start());
    let limited = Rule::path_contains("/blobs/").status(429);
    registry
        .server()
        .rule(limited.header("retry-after", "7200"));
    let publish = |more: &str| {
        let to = format!("oci://{}/acme/sir", registry.host());
        workshop.run(format!("publish sir --to {to} {more}").trim())
    };
    let before = SystemTime::now();
    let ran = publish("");
    assert_eq!(ran.code, 5, "{ran:?}");
    assert_eq!(registry.server().count("/v2/acme/sir/blobs/"), 1);
    assert!(
        ran.err
            .contains("rate limit exceeded: the server asks to wait 7200 s"),
        "{ran:?}"
    );
    let (_, time) = ran.err.split_once("try again after ").unwrap();
    let time: jiff::Timestamp = time.trim().parse().unwrap();
    let wait = jiff::Timestamp::try_from(before)
        .unwrap()
        .duration_until(time);
    assert!((7199..7300).contains(&wait.as_secs()), "{ran:?}");
    assert_eq!(
        publish("--json").json()["error"]["retry_after"],
        json!(7200)
    );
}

#[test]
fn what_a_server_says_before_it_hangs_up_on_what_is_sent_is_told_and_tried_again() {
    let (machine, registry) = (Rack::new(), Registry::start());
    let folder = machine.temp.path().join("model");
    write_files(&folder, &[("a.bin", &bytes(40 << 20, 1))]);
    let line = format!(
        "registry publish {} --to oci://{}/acme/m:v1",
        folder.display(),
        registry.host()
    );
    let is_large = |request: &Request| {
        let length = request.header("content-length");
        request.method == "PUT" && length.is_some_and(|length| length.len() > 7)
    };
    let busy = || Rule::when(is_large).refuse_sender_after(1 << 20, 503);
    registry.server().rule(busy());
    let ran = models(&machine, &line);
    // Windows drops what it has received when the other side hangs up. Then a layer goes up in pieces, which is not refused here.
    if SYSTEM == System::Windows {
        ran.success();
        return;
    }
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(
        ran.err.contains("the server responded with status 503"),
        "{ran:?}"
    );
    assert_eq!(registry.manifest_of("acme/m", "v1"), None);
    registry.server().clear_rules();
    registry.server().rule(busy().times(2));
    models(&machine, &line).success();
    assert!(registry.manifest_of("acme/m", "v1").is_some());
}
