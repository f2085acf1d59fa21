//! What registries do differently from the specification, or from each other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use modelrack::error::AuthFailure;
use modelrack::progress::{Step, Task};
use modelrack::project::{Project, PublishTarget};
use modelrack::{ErrorKind, ModelRef, Progress, ProgressEvent};

use super::{Publisher, model};
use crate::support::bytes;
use crate::support::oci::Registry;
use crate::support::rack::model_ref;
use crate::support::server::{Request, Rule, Server};

/// What is waited for.
#[derive(Debug, Default)]
struct Waits(Mutex<Vec<(Task, String)>>);

impl Progress for Waits {
    fn on_event(&self, _: &ModelRef, _: &ProgressEvent) {}

    fn on_step(&self, step: &Step<'_>) {
        if let Some(retry) = &step.retrying {
            let mut waits = self.0.lock().unwrap();
            waits.push((step.task, retry.reason.to_owned()));
        }
    }
}

const REPOSITORY: &str = "acme/tiny";
/// How much is sent at once to a registry that refuses large requests.
const PIECE: usize = 16 << 20;

/// A registry of the suite, and somebody who publishes there.
struct Push {
    registry: Registry,
    publisher: Publisher,
}

impl Push {
    fn new() -> Self {
        let (registry, publisher) = (Registry::start(), Publisher::of(&model()));
        Self {
            registry,
            publisher,
        }
    }

    fn to(&self, rest: &str) -> String {
        format!("oci://{}/{rest}", self.registry.host())
    }

    /// Publishes, and pulls what was published.
    #[track_caller]
    fn assert_works(&self) {
        let report = self.publisher.push(&self.to("acme/tiny:v1")).unwrap();
        let digest = format!("sha256:{}", report.manifest_digest);
        assert_eq!(self.registry.manifest_of(REPOSITORY, "v1"), Some(digest));
        self.publisher.assert_pulled(&self.to("acme/tiny:v1"));
    }

    fn rule(&self, rule: Rule) {
        self.registry.server().rule(rule);
    }

    /// The sizes of what was sent by this method since the last reset, of all that is not small.
    fn sent(&self, method: &str) -> Vec<usize> {
        let requests = self.registry.server().requests().into_iter();
        let sent =
            requests.filter(|request| request.method == method && request.body.len() > 100_000);
        sent.map(|request| request.body.len()).collect()
    }

    /// How many requests wrote something since the last reset.
    fn writes(&self) -> usize {
        let requests = self.registry.server().requests();
        requests.iter().filter(|request| is_write(request)).count()
    }
}

fn is_write(request: &Request) -> bool {
    !matches!(request.method.as_str(), "GET" | "HEAD")
}

fn is_large(request: &Request) -> bool {
    let length = request
        .header("content-length")
        .and_then(|length| length.parse().ok());
    length > Some(PIECE)
}

fn large() -> Rule {
    Rule::when(is_large)
}

fn patches() -> Rule {
    Rule::when(|request| request.method == "PATCH")
}

#[test]
fn a_blob_is_sent_in_one_request_and_never_again() {
    let push = Push::new();
    push.assert_works();
    assert_eq!(push.sent("PUT"), [33 << 20]);
    assert_eq!(push.sent("PATCH"), [0; 0]);

    push.registry.server().reset_counts();
    let report = push.publisher.push(&push.to("acme/tiny:v1")).unwrap();
    assert_eq!((report.chunks_written, report.bytes_written), (0, 0));
    assert_eq!(push.writes(), 0);
    // Another tag is one request more.
    push.publisher.push(&push.to("acme/tiny:v2")).unwrap();
    assert_eq!(push.writes(), 1);
    let tags = ["v1", "v2"].map(|tag| push.registry.manifest_of(REPOSITORY, tag));
    assert_eq!(tags[0], tags[1]);
}

#[test]
fn a_tag_that_named_something_else_is_told() {
    let push = Push::new();
    let layout = push.publisher.rack.temp.path().join("layout");
    let places = [
        push.to("acme/tiny:v1"),
        format!("oci-layout:{}:v1", layout.display()),
        format!("oci-layout:{}.tar:v1", layout.display()),
    ];
    let publish = |to: &str| push.publisher.push(to).unwrap();
    for to in &places {
        push.publisher.write(&[("config.json", b"{}")]);
        let first = publish(to);
        assert_eq!(first.replaced, None, "{to}");
        assert_eq!(publish(to).replaced, None, "{to}");
        push.publisher.write(&[("config.json", b"{1}")]);
        let options = push.publisher.options().aliases(["latest"]);
        let second = push.publisher.push_with(to, &options).unwrap();
        assert_eq!(second.replaced, Some(first.manifest_digest), "{to}");
    }
}

#[test]
fn models_of_two_groups_have_two_repositories() {
    let push = Push::new();
    let to = PublishTarget::parse(push.to("acme/")).unwrap();
    let publish = |model: &str| {
        let paths = [push.publisher.folder()];
        let options = push.publisher.options();
        let report = Project::publish_files(&paths, &model_ref(model), to.clone(), &options);
        report.unwrap().model.to_string()
    };
    assert_eq!(publish("a/tiny v1"), "acme/a/tiny v1");
    assert_eq!(publish("b/tiny v1"), "acme/b/tiny v1");
    // The group of those for which nobody names one.
    assert_eq!(publish("models/tiny v1"), "acme/tiny v1");
}

#[test]
fn locations_come_in_each_form() {
    for (has_relative_locations, says_created) in [(true, false), (true, true), (false, true)] {
        let push = Push::new();
        push.registry.pushing(|pushing| {
            pushing.has_relative_locations = has_relative_locations;
            pushing.says_created = says_created;
        });
        push.rule(large().status(413));
        push.assert_works();
    }
}

#[test]
fn what_is_too_large_for_one_request_goes_in_pieces() {
    let push = Push::new();
    push.rule(large().status(413));
    push.assert_works();
    assert_eq!(push.sent("PATCH"), [PIECE, PIECE, (33 << 20) - 2 * PIECE]);
    // The next one is not tried in one.
    push.publisher
        .write(&[("weights/model.bin", bytes(20 << 20, 8))]);
    push.publisher
        .write(&[("weights/other.bin", bytes(20 << 20, 9))]);
    push.registry.server().reset_counts();
    push.publisher.push(&push.to("acme/tiny:v2")).unwrap();
    assert!(push.sent("PUT").len() <= 2);
    assert_eq!(push.sent("PATCH").len(), 4);
}

#[test]
fn a_connection_that_is_reset_is_tried_with_pieces_and_in_one_again() {
    // Something on the way hangs up on large requests.
    let push = Push::new();
    push.rule(large().reset_sender_after(1 << 20));
    push.assert_works();
    assert_eq!(push.sent("PATCH").len(), 3);
    // It only happened once, and the registry takes no pieces.
    for refusal in [404, 405, 416] {
        let push = Push::new();
        push.rule(large().times(1).reset_sender_after(1 << 20));
        push.rule(patches().status(refusal));
        push.assert_works();
        assert_eq!(push.sent("PUT"), [33 << 20], "{refusal}");
    }
    // Neither.
    let push = Push::new();
    push.rule(large().status(413));
    push.rule(patches().status(405));
    let error = push.publisher.push(&push.to("acme/tiny:v1")).unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Network {
                status: Some(405),
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(push.registry.manifest_of(REPOSITORY, "v1"), None);
}

#[test]
fn a_piece_that_gets_lost_begins_the_upload_anew() {
    let push = Push::new();
    push.rule(large().status(413));
    push.rule(patches().nth(2).reset_sender_after(1 << 20));
    push.rule(patches().nth(4).status(503).header("retry-after", "0"));
    push.assert_works();
}

#[test]
fn what_another_repository_has_is_taken_from_there() {
    for mounts in [true, false] {
        let push = Push::new();
        push.registry.pushing(|pushing| pushing.mounts = mounts);
        push.publisher.push_project(&push.to("acme/"));
        let sent = push.sent("PUT");
        assert_eq!(sent.len(), if mounts { 1 } else { 2 }, "{sent:?}");
    }
    // Who may not read the other repository sends the bytes.
    let push = Push::new();
    push.rule(Rule::path_contains("mount=").status(403));
    push.publisher.push_project(&push.to("acme/"));
    assert_eq!(push.sent("PUT").len(), 2);
}

#[test]
fn a_token_that_ends_between_pieces_is_renewed() {
    let push = Push::new();
    let service = Server::start();
    for number in 1..=20 {
        let answer = format!("{{\"token\": \"t{number}\", \"expires_in\": 300}}");
        service.rule(Rule::path("/token").nth(1).body(answer));
    }
    // Each token is good for two pieces.
    let used = Mutex::new(BTreeMap::new());
    let is_over = move |request: &Request| {
        let token = request
            .header("authorization")
            .unwrap_or_default()
            .to_owned();
        let mut used = used.lock().unwrap();
        let pieces: &mut u32 = used.entry(token.clone()).or_default();
        *pieces += u32::from(request.method == "PATCH");
        !token.starts_with("Bearer t") || *pieces > 2
    };
    let challenge = format!(
        "Bearer realm=\"{}/token\",service=\"r\",scope=\"repository:acme/tiny:pull,push\"",
        service.url()
    );
    push.rule(
        Rule::when(is_over)
            .status(401)
            .header("www-authenticate", &challenge),
    );
    push.rule(large().status(413));
    push.publisher.push(&push.to("acme/tiny:v1")).unwrap();
    assert!(service.count("/token") >= 2);
    assert_eq!(push.sent("PATCH").len(), 4, "one piece is sent twice");
    push.registry.server().clear_rules();
    push.publisher.assert_pulled(&push.to("acme/tiny:v1"));
}

#[test]
fn tags_that_cannot_be_moved_stay() {
    let push = Push::new();
    push.registry
        .pushing(|pushing| pushing.has_immutable_tags = true);
    push.assert_works();
    // The same once more is fine.
    push.publisher.push(&push.to("acme/tiny:v1")).unwrap();
    push.publisher.write(&[("config.json", b"{\"a\": 1}")]);
    let before = push.registry.manifest_of(REPOSITORY, "v1");
    let error = push.publisher.push(&push.to("acme/tiny:v1")).unwrap_err();
    assert!(
        error.to_string().contains("the server says 'TAG_INVALID"),
        "{error}"
    );
    assert_eq!(error.code(), "NETWORK_ERROR");
    assert_eq!(push.registry.manifest_of(REPOSITORY, "v1"), before);
}

#[test]
fn whoever_may_not_push_is_told_so() {
    let push = Push::new();
    let writes = Rule::when(is_write).status(401);
    push.rule(writes.header("www-authenticate", "Basic realm=\"models\""));
    let error = push.publisher.push(&push.to("acme/tiny:v1")).unwrap_err();
    let ErrorKind::Authentication {
        failure, looked_at, ..
    } = error.kind()
    else {
        panic!("{error:?}");
    };
    assert_eq!(*failure, AuthFailure::Missing);
    assert!(!looked_at.is_empty());
    // Nothing was sent.
    assert_eq!(push.sent("PUT"), [0; 0]);
}

#[test]
fn a_registry_that_is_busy_is_waited_for() {
    let push = Push::new();
    let uploads = || Rule::path_contains("/blobs/uploads/");
    push.rule(uploads().times(2).status(429).header("retry-after", "0"));
    push.rule(
        Rule::when(|request| request.method == "PUT")
            .times(1)
            .status(503)
            .header("retry-after", "0"),
    );
    push.rule(Rule::path_contains("/manifests/").times(1).status(500));
    let waits = Arc::new(Waits::default());
    let options = push.publisher.options().progress(waits.clone());
    let to = push.to("acme/tiny:v1");
    push.publisher.push_with(&to, &options).unwrap();
    push.publisher.assert_pulled(&to);
    let waits = std::mem::take(&mut *waits.0.lock().unwrap());
    for reason in ["rate limit exceeded", "status 503", "status 500"] {
        let told = waits.iter().find(|(_, told)| told.contains(reason));
        assert_eq!(
            told.map(|(task, _)| *task),
            Some(Task::Uploading),
            "{waits:?}"
        );
    }
    // Not for ever.
    let push = Push::new();
    push.rule(uploads().status(429).header("retry-after", "7"));
    let error = push.publisher.push(&push.to("acme/tiny:v1")).unwrap_err();
    let ErrorKind::RateLimited { retry_after, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(*retry_after, Some(Duration::from_secs(7)));
}

#[test]
fn a_blob_behind_a_redirect_is_there() {
    let push = Push::new();
    push.publisher.push(&push.to("acme/tiny:v1")).unwrap();
    push.registry.redirect_blobs(usize::MAX, 1);
    push.registry.server().reset_counts();
    let report = push.publisher.push(&push.to("acme/tiny:v2")).unwrap();
    assert_eq!((report.chunks_written, push.writes()), (0, 1));
}

#[test]
fn after_a_failure_nothing_more_is_begun() {
    let push = Push::new();
    for number in 0..60 {
        let name = format!("part-{number}.bin");
        push.publisher.write(&[(&*name, bytes(1000, 100 + number))]);
    }
    push.rule(Rule::when(|request| request.method == "PUT").status(403));
    let error = push.publisher.push(&push.to("acme/tiny:v1")).unwrap_err();
    assert_eq!(error.code(), "AUTHENTICATION_ERROR", "{error}");
    // Sixteen at once, and perhaps a few before the first answer.
    let begun = push.registry.server().requests();
    let begun = begun
        .iter()
        .filter(|request| request.method == "POST")
        .count();
    assert!(begun < 60, "{begun}");
}
