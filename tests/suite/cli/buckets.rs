//! What goes wrong with buckets, at the command line: how it ends, and that nothing is half published.

use modelrack::cli::Mount;

use super::{Ran, run_line};
use crate::support::bytes;
use crate::support::rack::Rack;
use crate::support::registry::{assert_sound, digest};
use crate::support::s3::{BUCKET, S3};
use crate::support::server::{Request, Rule};

const KEY: (&str, &str) = ("AKIDTEST", "s3cret/of+the/tests");

const PULL: &str = "pull s/g/m v1";
const MIRROR: &str = "mirror a/g/n@v1 --to s3://models/reg";
#[cfg(feature = "author")]
const PUBLISH: &str =
    "registry publish {temp}/new --to s3://models/reg --group g --model new --chunk-size 1KiB";

/// The commands that write into a bucket, and what is then in it.
const WRITING: &[(&str, &str)] = &[
    (MIRROR, "a/g/n v1"),
    #[cfg(feature = "author")]
    (PUBLISH, "g/new 1.0.0"),
];

/// A machine, and a bucket with a registry of one model, `g/m v1`; `g/n v1` can be mirrored from elsewhere.
struct Site {
    machine: Rack,
    store: S3,
}

impl Site {
    fn new() -> Self {
        let machine = Rack::with_model();
        let store = S3::start().holding(&machine.registry(), "reg/");
        let store = store.with_key(KEY.0, KEY.1);
        machine.publish("g/n v1", &[("n.bin", bytes(5000, 5))]);
        let new = machine.temp.path().join("new");
        crate::support::disk::write_files(&new, &[("x.bin", &bytes(5000, 7))]);
        Self { machine, store }
    }

    fn run(&self, line: &str) -> Ran {
        let variables = [
            ("AWS_ENDPOINT_URL_S3", &*self.store.server.url()),
            ("AWS_ACCESS_KEY_ID", KEY.0),
            ("AWS_SECRET_ACCESS_KEY", KEY.1),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let variables = variables.into_iter();
        let environment = variables
            .fold(self.machine.environment(), |environment, (name, value)| {
                environment.variable(name, value)
            });
        let elsewhere = self.machine.server.url();
        let toml = format!(
            "[sources.s]\nurl = \"s3://{BUCKET}/reg\"\n[sources.a]\nurl = \"{elsewhere}\"\n"
        );
        let config = self.machine.bare_config().bootstrap(&toml);
        let temp = self.machine.temp.path().display().to_string();
        run_line(
            &Mount::new(config).environment(environment),
            &line.replace("{temp}", &temp),
        )
    }

    /// The names of the versions in the bucket, all of which are whole.
    fn versions(&self) -> Vec<String> {
        assert_sound(|path| {
            let key = format!("reg/{path}");
            let found = self.store.change(|state| state.objects.get(&key).cloned());
            found.map(|bytes| bytes.to_vec())
        })
    }
}

/// Runs commands after something went wrong; all must end so, and leave the index as it was.
#[track_caller]
fn assert_refused(lines: &[&str], spoil: impl Fn(&S3), code: u8, said: &str) {
    for line in lines {
        let site = Site::new();
        spoil(&site.store);
        let before = site.store.change(|state| state.objects.clone());
        let ran = site.run(line);
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        assert!(ran.err.contains(said), "{line}: {ran:?}");
        assert!(!ran.err.contains(KEY.1), "{line}: {ran:?}");
        let index = "reg/models.json";
        let after = site.store.change(|state| state.objects.clone());
        assert_eq!(after.get(index), before.get(index), "{line}: {ran:?}");
    }
}

fn all() -> Vec<&'static str> {
    let writing = WRITING.iter().map(|(line, _)| *line);
    writing.chain([PULL]).collect()
}

fn writing() -> Vec<&'static str> {
    WRITING.iter().map(|(line, _)| *line).collect()
}

fn is_put(request: &Request) -> bool {
    request.method == "PUT"
}

fn error(code: &str, message: &str) -> String {
    format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>")
}

#[test]
fn keys_that_are_wrong_end_with_8() {
    let spoil = |store: &S3| store.change(|state| state.keys[0].1 = "other".into());
    assert_refused(&all(), spoil, 8, "SignatureDoesNotMatch: ");
    let spoil = |store: &S3| store.change(|state| state.keys[0].0 = "AKIDOTHER".into());
    assert_refused(&all(), spoil, 8, "InvalidAccessKeyId: ");
    // A proxy or a firewall says so.
    let page = "<html><body>Forbidden</body></html>";
    let spoil = |store: &S3| {
        store.server.rule(Rule::any().status(403).body(page));
    };
    assert_refused(&all(), spoil, 8, "refuses the key in AWS_ACCESS_KEY_ID");
}

#[test]
fn what_a_store_tells_is_learned_and_said() {
    let lines = WRITING.iter().copied().chain([(PULL, "g/m v1")]);
    for (line, version) in lines {
        for (spoil, said) in [
            (
                (|store| store.change(|state| state.region = "eu-west-3".into())) as fn(&S3),
                "warning: the bucket models is in the region eu-west-3 and not in us-east-1",
            ),
            (
                |store| store.change(|state| state.minutes_ahead = 20),
                "warning: the clock of this machine is 20 min slow",
            ),
            (
                |store| store.change(|state| state.minutes_ahead = -20),
                "warning: the clock of this machine is 20 min fast",
            ),
        ] {
            let site = Site::new();
            spoil(&site.store);
            let ran = site.run(line);
            assert_eq!(ran.code, 0, "{line}: {ran:?}");
            assert_eq!(ran.err.matches(said).count(), 1, "{line}: {ran:?}");
            assert!(site.versions().contains(&version.to_owned()), "{line}");
        }
    }
    // Without the time of the store, it cannot be.
    let spoil = |store: &S3| {
        store.change(|state| state.minutes_ahead = 20);
        store.server.rule(Rule::any().without_header("date"));
    };
    assert_refused(&all(), spoil, 8, "RequestTimeTooSkewed: ");
}

#[test]
fn a_bucket_that_is_elsewhere_is_not_followed_with_a_key() {
    let message =
        "The bucket you are attempting to access must be addressed using the specified endpoint.";
    let spoil = |store: &S3| {
        let moved = error("PermanentRedirect", message);
        store.server.rule(Rule::any().status(301).body(moved));
    };
    let said = format!("status 301: the server says 'PermanentRedirect: {message}'");
    assert_refused(&all(), spoil, 5, &said);
    let spoil = |store: &S3| {
        let elsewhere = format!("{}/elsewhere", store.server.url());
        let rule = Rule::when(is_put).redirect(307, &elsewhere);
        store.server.rule(rule);
    };
    assert_refused(&writing(), spoil, 5, "the server responded with status 307");
}

#[test]
fn a_store_that_is_too_busy_is_given_up_with_5() {
    let slow = || error("SlowDown", "Please reduce your request rate.");
    let said = "status 503: the server says 'SlowDown: Please reduce your request rate.'";
    let spoil = |store: &S3| {
        store.server.rule(Rule::any().status(503).body(slow()));
    };
    assert_refused(&all(), spoil, 5, said);
    // At any of the things that are written.
    for part in ["/data/", "/models.json"] {
        let spoil = |store: &S3| {
            let rule = Rule::when(is_put).and(move |request| request.path.contains(part));
            store.server.rule(rule.status(503).body(slow()));
        };
        assert_refused(&writing(), spoil, 5, said);
    }
}

#[test]
fn a_bucket_that_vanishes_ends_with_5() {
    let spoil = |store: &S3| store.change(|state| state.has_bucket = false);
    let said = "NoSuchBucket: The specified bucket does not exist";
    assert_refused(&all(), spoil, 5, said);
    assert_refused(
        &[PULL],
        spoil,
        5,
        "hint: check the bucket in the URL of the source",
    );
    let hint = "hint: correct the name of the bucket 'models' in --to or in the URL of the source";
    assert_refused(&[MIRROR], spoil, 5, hint);
    #[cfg(feature = "author")]
    {
        let hint = "hint: create the bucket 'models' first, or correct its name in --to";
        assert_refused(&[PUBLISH], spoil, 5, hint);
    }
    // After any of the requests.
    for number in 2..=8 {
        let spoil = |store: &S3| {
            let gone = error("NoSuchBucket", "The specified bucket does not exist");
            let seen = std::sync::atomic::AtomicUsize::new(0);
            let is_late = move |_: &Request| {
                seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1 >= number
            };
            store
                .server
                .rule(Rule::when(is_late).status(404).body(gone));
        };
        assert_refused(&writing(), spoil, 5, said);
    }
}

#[test]
fn a_bucket_that_vanishes_or_refuses_in_the_middle_leaves_a_report() {
    // The chunks of the second model are refused, or nothing is there any more by then.
    for (is_gone, code, in_it) in [(false, 8, 1), (true, 5, 0)] {
        let site = Site::new();
        for (model, seed) in [("g/o v1", 6), ("g/p v1", 7)] {
            site.machine.publish(model, &[("o.bin", bytes(5000, seed))]);
        }
        let content = bytes(5000, 6);
        let chunks: Vec<String> = content.chunks(1024).map(digest).collect();
        let is_gone_now = std::sync::atomic::AtomicBool::new(false);
        let is_refused = move |request: &Request| {
            use std::sync::atomic::Ordering::Relaxed;
            let is_late = is_put(request) && chunks.iter().any(|it| request.path.contains(it));
            if is_late {
                is_gone_now.store(is_gone, Relaxed);
            }
            is_late || is_gone_now.load(Relaxed)
        };
        let (status, reason) = match is_gone {
            true => (
                404,
                error("NoSuchBucket", "The specified bucket does not exist"),
            ),
            false => (403, error("AccessDenied", "Access Denied")),
        };
        let rule = Rule::when(is_refused).status(status).body(reason);
        site.store.server.rule(rule);
        let line = "mirror a/g/n@v1 a/g/o@v1 a/g/p@v1 --to s3://models/reg --json";
        let ran = site.run(line);
        assert_eq!(ran.code, code, "{ran:?}");
        let report = ran.json();
        let number = |list: &str| report[list].as_array().unwrap().len();
        assert_eq!(number("models"), in_it, "{report}");
        assert_eq!(
            report["failed"].as_array().unwrap().last().unwrap()["address"],
            "a/g/o v1"
        );
        assert!(report["failed"][0]["error"]["hint"].is_string(), "{report}");
        assert_eq!(report["not_tried"][0]["model"], "p", "{report}");
        assert_eq!(number("failed"), 2 - in_it, "{report}");
        if !is_gone {
            let text = site.run(&line.replace(" --json", ""));
            let said = "Not tried after what failed: a/g/p v1";
            assert!(text.err.contains(said), "{text:?}");
        }
    }
}

#[test]
fn a_list_that_is_none_ends_with_1() {
    for (body, said) in [
        (
            "<?xml version=\"1.0\"?><ListBucketResult><Contents><Key>reg/da",
            "the list of what the bucket has is malformed",
        ),
        (
            "{\"objects\": []}",
            "the list of what the bucket has is malformed",
        ),
        (
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            "the list of what the bucket has goes on, but not from where",
        ),
    ] {
        let spoil = |store: &S3| {
            let rule = Rule::path_contains("list-type=2").status(200).body(body);
            store.server.rule(rule);
        };
        assert_refused(&writing(), spoil, 1, said);
    }
    // Errors that are no XML say what can be said.
    let spoil = |store: &S3| {
        store
            .server
            .rule(Rule::any().status(400).body("{\"oh\": 1}"));
    };
    assert_refused(&all(), spoil, 5, "the server responded with status 400");
    let spoil = |store: &S3| {
        store.server.rule(Rule::any().html());
    };
    assert_refused(&all(), spoil, 1, "a web page instead of the data");
    let hint = "hint: check the endpoint of the object store (AWS_ENDPOINT_URL_S3)";
    assert_refused(&all(), spoil, 1, hint);
    let spoil = |store: &S3| {
        store.server.rule(Rule::path_contains("list-type=2").html());
    };
    assert_refused(&writing(), spoil, 1, "a web page instead of the data");
}

#[test]
fn whoever_may_not_list_can_publish_the_first_and_replaces_nothing() {
    for (line, version) in WRITING {
        let site = Site::new();
        site.store.change(|state| {
            state.may_list = false;
            state.objects.clear();
        });
        let ran = site.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        assert_eq!(site.versions(), [*version]);
    }
    // An index that is there, and must not be read.
    let spoil = |store: &S3| {
        let denied = error("AccessDenied", "Access Denied");
        let rule = Rule::path_ends("/models.json").and(|request| !is_put(request));
        store.server.rule(rule.status(403).body(denied));
    };
    assert_refused(&all(), spoil, 8, "AccessDenied: Access Denied");
    // There, a condition could not keep it.
    let spoil = |store: &S3| {
        spoil(store);
        store.change(|state| state.has_conditions = false);
    };
    assert_refused(&writing(), spoil, 1, "the object store ignores conditions");
    let forced: Vec<String> = writing()
        .iter()
        .map(|line| format!("{line} --force"))
        .collect();
    let forced: Vec<&str> = forced.iter().map(String::as_str).collect();
    assert_refused(&forced, spoil, 8, "AccessDenied: Access Denied");
}

#[test]
fn a_store_that_ignores_conditions_has_to_be_forced() {
    for (line, version) in WRITING {
        let site = Site::new();
        site.store.change(|state| state.has_conditions = false);
        let ran = site.run(line);
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        assert!(ran.err.contains("ignores conditions"), "{line}: {ran:?}");
        assert_eq!(site.versions(), ["g/m v1"]);
        site.run(&format!("{line} --force")).success();
        assert!(site.versions().contains(&(*version).to_owned()), "{line}");
    }
}

#[test]
fn a_bucket_that_takes_nothing_ends_a_mirror_at_the_first_model() {
    let site = Site::new();
    for number in 0..5 {
        let files = [("x.bin", bytes(3000, 20 + number))];
        site.machine.publish(&format!("g/x{number} v1"), &files);
    }
    let denied = error("AccessDenied", "Access Denied");
    let rule = Rule::when(is_put).status(403).body(denied);
    site.store.server.rule(rule);
    let ran = site.run("mirror a/g/* --to s3://models/reg --concurrency 1");
    assert_eq!(ran.code, 8, "{ran:?}");
    assert_eq!(ran.err.matches("AccessDenied").count(), 1, "{ran:?}");
    let puts = site.store.server.requests().into_iter().filter(is_put);
    assert_eq!(puts.count(), 1);
    assert_eq!(site.versions(), ["g/m v1"]);
}
