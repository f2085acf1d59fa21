//! Servers that fail: the right code, no more requests than promised, and nothing lost.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use modelrack::{Error, HttpConfig, Manager, PullOptions};

use crate::support::rack::{Rack, chunks_but, quick_http, sample};
use crate::support::recorder::Recorder;
use crate::support::server::{Rule, Server};
use crate::support::{address, chain};

/// Which requests a fault is about.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Index,
    Manifest,
    Chunk,
}

const PLACES: [Place; 3] = [Place::Index, Place::Manifest, Place::Chunk];

/// A rack with `g/m v1` installed and `g/m v2`, which shares nothing with it, to be pulled.
struct Fixture {
    rack: Rack,
    v2: modelrack::project::PublishReport,
}

impl Fixture {
    fn new() -> Self {
        let rack = Rack::with_model();
        rack.pull("g/m v1").unwrap();
        let v2 = rack.publish("g/m v2", &[("a.bin", crate::support::bytes(2500, 9))]);
        rack.server.reset_counts();
        Self { rack, v2 }
    }

    /// A rule for the requests of one place.
    fn at(&self, place: Place) -> Rule {
        match place {
            Place::Index => Rule::path("/models.json"),
            Place::Manifest => Rule::path(format!("/data/{}", self.v2.manifest_digest)),
            Place::Chunk => chunks_but(&[&self.v2]),
        }
    }

    fn requests_at(&self, place: Place) -> usize {
        match place {
            Place::Index => self.rack.server.count("/models.json"),
            Place::Manifest => self
                .rack
                .server
                .count(&format!("/data/{}", self.v2.manifest_digest)),
            Place::Chunk => self.rack.chunk_requests(&[&self.v2]).len(),
        }
    }

    fn pull(&self) -> Result<modelrack::PullReport, Error> {
        self.pull_with(quick_http(), PullOptions::default())
    }

    fn pull_with(
        &self,
        http: HttpConfig,
        options: PullOptions,
    ) -> Result<modelrack::PullReport, Error> {
        let manager = self.rack.manager_of(self.rack.config_of(http));
        manager.pull(&address("g/m v2"), &options.concurrency(1))
    }

    /// What was installed is, what was not is not, and a pull without the fault still works.
    #[track_caller]
    fn assert_nothing_lost(&self) {
        assert_eq!(self.rack.listed().0, ["g/m v1"]);
        self.rack.assert_files("g/m v1", &sample());
        assert!(!self.rack.dir_of("g/m v2").exists());
        self.rack.server.clear_rules();
        self.pull().unwrap();
        assert_eq!(
            self.rack.listed(),
            (vec!["g/m v1".into(), "g/m v2".into()], vec![])
        );
        assert!(self.rack.cache().is_empty());
    }
}

type Spoil = fn(Rule) -> Rule;

#[test]
fn a_fault_that_stays_ends_in_its_code_after_as_many_tries_as_it_is_worth() {
    // What goes wrong, the code at each place, and the number of tries.
    let faults: Vec<(&str, Spoil, [&str; 3], usize)> = vec![
        (
            "401",
            |rule| rule.status(401),
            ["AUTHENTICATION_ERROR"; 3],
            1,
        ),
        (
            "403",
            |rule| rule.status(403),
            ["AUTHENTICATION_ERROR"; 3],
            1,
        ),
        ("404", |rule| rule.status(404), ["NETWORK_ERROR"; 3], 1),
        ("410", |rule| rule.status(410), ["NETWORK_ERROR"; 3], 1),
        ("418", |rule| rule.status(418), ["NETWORK_ERROR"; 3], 1),
        (
            "304 unasked",
            |rule| rule.status(304),
            ["NETWORK_ERROR"; 3],
            1,
        ),
        ("500", |rule| rule.status(500), ["NETWORK_ERROR"; 3], 4),
        ("503", |rule| rule.status(503), ["NETWORK_ERROR"; 3], 4),
        ("429", |rule| rule.status(429), ["RATE_LIMITED"; 3], 4),
        (
            "429 for a second",
            |rule| rule.status(429).header("retry-after", "1"),
            ["RATE_LIMITED"; 3],
            4,
        ),
        ("no answer", |rule| rule.close(), ["NETWORK_ERROR"; 3], 4),
        ("a reset", |rule| rule.reset(), ["NETWORK_ERROR"; 3], 4),
        (
            "no HTTP",
            |rule| rule.raw("SSH-2.0-OpenSSH_9.9\r\n"),
            ["NETWORK_ERROR"; 3],
            4,
        ),
        (
            "no status",
            |rule| rule.raw("HTTP/1.1 abc\r\n\r\n"),
            ["NETWORK_ERROR"; 3],
            4,
        ),
        (
            "a cut body",
            |rule| rule.cut_after(20),
            ["NETWORK_ERROR"; 3],
            4,
        ),
        (
            "a reset body",
            |rule| rule.reset_after(20),
            ["NETWORK_ERROR"; 3],
            4,
        ),
        (
            "a cut chunked body",
            |rule| rule.chunked().cut_after(20),
            ["NETWORK_ERROR"; 3],
            4,
        ),
        (
            "a redirect to nowhere",
            |rule| rule.status(302),
            ["NETWORK_ERROR"; 3],
            1,
        ),
        (
            "a redirect to a file",
            |rule| rule.redirect(302, "file:///etc/hostname"),
            ["NETWORK_ERROR"; 3],
            1,
        ),
        (
            "a redirect to another kind of place",
            |rule| rule.redirect(302, "ftp://127.0.0.1/x"),
            ["NETWORK_ERROR"; 3],
            1,
        ),
        (
            "a wrong byte",
            |rule| rule.flip(3),
            ["REGISTRY_ERROR", "HASH_MISMATCH", "HASH_MISMATCH"],
            4,
        ),
        (
            "a web page",
            Rule::html,
            ["REGISTRY_ERROR", "HASH_MISMATCH", "HASH_MISMATCH"],
            4,
        ),
        (
            "no body",
            |rule| rule.body(""),
            ["REGISTRY_ERROR", "HASH_MISMATCH", "HASH_MISMATCH"],
            4,
        ),
        (
            "an endless body",
            |rule| rule.endless(),
            ["REGISTRY_ERROR", "HASH_MISMATCH", "HASH_MISMATCH"],
            4,
        ),
    ];
    for (what, spoil, codes, tries) in faults {
        for (place, code) in PLACES.into_iter().zip(codes) {
            // Bodies without an end are cut at the cap, which is large for an index or a manifest: see below.
            let beside = match what {
                "an endless body" => place != Place::Chunk,
                // The index is asked for with a validator.
                "304 unasked" => place == Place::Index,
                _ => false,
            };
            if beside {
                continue;
            }
            let fixture = Fixture::new();
            fixture.rack.server.rule(spoil(fixture.at(place)));
            let error = fixture.pull().unwrap_err();
            let shown = chain(&error);
            assert_eq!(error.code(), code, "{what}, {place:?}: {shown}");
            assert!(!shown.contains('\n'), "{shown}");
            let tries = if code == "REGISTRY_ERROR" { 1 } else { tries };
            assert_eq!(
                fixture.requests_at(place),
                tries,
                "{what}, {place:?}: {shown}"
            );
            fixture.assert_nothing_lost();
        }
    }
}

#[test]
fn a_fault_that_passes_is_not_noticed() {
    let faults: Vec<(&str, Spoil)> = vec![
        ("500", |rule| rule.times(3).status(500)),
        ("429", |rule| {
            rule.times(3).status(429).header("retry-after", "0")
        }),
        ("no answer", |rule| rule.times(3).close()),
        ("no HTTP", |rule| rule.times(3).raw("\r\n\r\n")),
        ("a cut body", |rule| rule.times(3).cut_after(7)),
        ("a wrong byte", |rule| {
            rule.times(3)
                .flip(0)
                .and(|request| request.path != "/models.json")
        }),
        ("slowness", |rule| rule.delay(Duration::from_millis(3))),
        ("a chunked body", Rule::chunked),
        ("a body without a length", Rule::until_close),
        ("a body that stops and goes on", |rule| {
            rule.throttle(200_000)
        }),
    ];
    for (what, spoil) in faults {
        for place in PLACES {
            let fixture = Fixture::new();
            fixture.rack.server.rule(spoil(fixture.at(place)));
            let report = fixture
                .pull()
                .unwrap_or_else(|error| panic!("{what}, {place:?}: {error:?}"));
            assert!(
                report.bytes_fetched >= report.bytes_total,
                "{what}, {place:?}"
            );
            fixture
                .rack
                .assert_files("g/m v2", &[("a.bin", crate::support::bytes(2500, 9))]);
        }
    }
}

#[test]
fn a_wrong_chunk_is_tried_three_times_more_and_no_other_after_it() {
    let fixture = Fixture::new();
    fixture.rack.server.rule(fixture.at(Place::Chunk).flip(3));
    let recorder = Arc::new(Recorder::default());
    let options = PullOptions::default().progress(recorder.clone());
    let error = fixture.pull_with(quick_http(), options).unwrap_err();
    assert_eq!(error.code(), "HASH_MISMATCH");
    assert!(
        chain(&error).starts_with("pull g/m v2: chunk 1/3: "),
        "{}",
        chain(&error)
    );
    assert_eq!(recorder.retries(), 3);
    let asked = fixture.rack.chunk_requests(&[&fixture.v2]);
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|path| *path == asked[0]));
    let partial = fixture
        .rack
        .manager()
        .list(&modelrack::ListOptions::default())
        .unwrap();
    let last_error = partial.partials[0].last_error.as_ref().unwrap();
    assert!(last_error.contains("chunk 1/3"), "{last_error}");
    fixture.assert_nothing_lost();
}

#[test]
fn a_body_that_stalls_is_tried_again() {
    let mut http = quick_http();
    http.stall_timeout = Duration::from_millis(100);
    http.retry.retries = 1;
    for place in PLACES {
        for (what, spoil) in [
            ("before the answer", Rule::stall as Spoil),
            ("in the body", |rule| rule.stall_after(10)),
        ] {
            let fixture = Fixture::new();
            fixture.rack.server.rule(spoil(fixture.at(place).times(1)));
            fixture
                .pull_with(http.clone(), PullOptions::default())
                .unwrap_or_else(|error| panic!("{what}, {place:?}: {error:?}"));

            let fixture = Fixture::new();
            fixture.rack.server.rule(spoil(fixture.at(place)));
            let error = fixture
                .pull_with(http.clone(), PullOptions::default())
                .unwrap_err();
            assert_eq!(error.code(), "NETWORK_ERROR", "{what}, {place:?}");
            assert!(
                chain(&error).contains("no byte came for too long"),
                "{}",
                chain(&error)
            );
            assert_eq!(fixture.requests_at(place), 2, "{what}, {place:?}");
            fixture.assert_nothing_lost();
        }
    }
}

#[test]
fn a_server_that_asks_to_wait_is_waited_for_within_limits() {
    let in_an_hour = http_date(SystemTime::now() + Duration::from_secs(3600));
    let an_hour_ago = http_date(SystemTime::now() - Duration::from_secs(3600));
    // What it asks for, and the shortest and longest wait in milliseconds: a retry waits 1, 2, 4 ms and 20 ms at most.
    for (status, asked, from, to) in [
        (429, Some("0"), 0, 0),
        (503, Some("0"), 0, 0),
        (429, Some("7200"), 20, 20),
        (503, Some(in_an_hour.as_str()), 20, 20),
        (429, Some(an_hour_ago.as_str()), 0, 0),
        (429, Some("soon"), 1, 8),
        (503, Some("-5"), 0, 4),
        (429, None, 1, 8),
        (500, Some("7200"), 0, 4),
    ] {
        let fixture = Fixture::new();
        let mut rule = fixture.at(Place::Chunk).times(3).status(status);
        if let Some(asked) = asked {
            rule = rule.header("retry-after", asked);
        }
        fixture.rack.server.rule(rule);
        let recorder = Arc::new(Recorder::default());
        let options = PullOptions::default().progress(recorder.clone());
        fixture.pull_with(quick_http(), options).unwrap();
        let waits: Vec<u128> = recorder
            .events()
            .iter()
            .filter_map(|event| match event {
                modelrack::ProgressEvent::Retrying { wait, .. } => Some(wait.as_millis()),
                _ => None,
            })
            .collect();
        assert_eq!(waits.len(), 3);
        assert!(
            waits.iter().all(|wait| (from..=to).contains(wait)),
            "{status} {asked:?}: {waits:?}"
        );
    }
}

#[test]
fn being_limited_says_for_how_long() {
    let fixture = Fixture::new();
    fixture.rack.server.rule(
        fixture
            .at(Place::Index)
            .status(429)
            .header("retry-after", "7200"),
    );
    let error = fixture.pull().unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7200)));
    fixture.assert_nothing_lost();
}

/// As RFC 9110 has it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(time: SystemTime) -> String {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let (days, second) = (seconds / 86400, seconds % 86400);
    let weekday =
        ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(days % 7).unwrap()];
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let lengths = [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{weekday}, {:02} {} {year} {hour:02}:{minute:02}:{:02} GMT",
        day + 1,
        months[month],
        second % 60
    )
}

#[test]
fn nobody_at_the_other_end_is_a_network_error() {
    let rack = Rack::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let config = rack
        .config()
        .registry_url(format!("http://127.0.0.1:{port}"));
    let error = rack
        .manager_of(config)
        .pull(&address("g/m"), &PullOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
    assert!(
        chain(&error).contains("connection refused"),
        "{}",
        chain(&error)
    );
}

#[test]
fn a_body_of_another_length_than_the_manifest_says_is_a_mismatch() {
    let cases: [(&str, Spoil); 5] = [
        ("a byte more", |rule| rule.body(vec![0; 1025])),
        ("a byte less", |rule| rule.body(vec![0; 1023])),
        ("a byte more without a length", |rule| {
            rule.chunked().overlong(1)
        }),
        ("bytes until the end of the connection", |rule| {
            rule.until_close().overlong(100)
        }),
        ("a range of it", |rule| {
            rule.body(vec![0; 10])
                .status(206)
                .header("content-range", "bytes 0-9/1024")
        }),
    ];
    for (what, spoil) in cases {
        let fixture = Fixture::new();
        fixture.rack.server.rule(spoil(fixture.at(Place::Chunk)));
        let error = fixture.pull().unwrap_err();
        let expected = if what == "a range of it" {
            "NETWORK_ERROR"
        } else {
            "HASH_MISMATCH"
        };
        assert_eq!(error.code(), expected, "{what}: {}", chain(&error));
        assert_eq!(fixture.requests_at(Place::Chunk), 4, "{what}");
        fixture.assert_nothing_lost();
    }
}

#[test]
fn a_length_that_was_not_kept_is_a_network_error() {
    let fixture = Fixture::new();
    fixture
        .rack
        .server
        .rule(fixture.at(Place::Manifest).declare_length(100_000));
    assert_eq!(fixture.pull().unwrap_err().code(), "NETWORK_ERROR");
    fixture.assert_nothing_lost();
}

#[test]
fn redirects_are_followed_to_other_places_and_hosts() {
    let fixture = Fixture::new();
    let other = Server::start().folder(fixture.rack.registry());
    for (status, target) in [
        (301, "/moved"),
        (302, "moved"),
        (303, "/moved"),
        (307, "/moved"),
        (308, "//HOST/moved"),
    ] {
        let fixture = Fixture::new();
        let index = std::fs::read(fixture.rack.registry().join("models.json")).unwrap();
        fixture.rack.server.put("/moved", index);
        let target = target.replace("HOST", &format!("127.0.0.1:{}", fixture.rack.server.port()));
        fixture
            .rack
            .server
            .rule(fixture.at(Place::Index).redirect(status, &target));
        fixture.pull().unwrap();
        assert_eq!(fixture.requests_at(Place::Index), 1);
    }
    for chunk in fixture.rack.data_requests() {
        panic!("{chunk}");
    }
    let manifest = format!("/data/{}", fixture.v2.manifest_digest);
    let target = other.url() + &manifest;
    fixture
        .rack
        .server
        .rule(fixture.at(Place::Manifest).redirect(302, &target));
    fixture.pull().unwrap();
    assert_eq!(other.count(&manifest), 1);
}

#[test]
fn a_redirect_without_end_is_left() {
    let fixture = Fixture::new();
    fixture
        .rack
        .server
        .rule(fixture.at(Place::Index).redirect(302, "/models.json"));
    let error = fixture.pull().unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
    assert_eq!(fixture.requests_at(Place::Index), 11);
    fixture.assert_nothing_lost();
}

#[test]
fn a_password_goes_to_its_own_host_only() {
    let rack = Rack::with_model();
    let elsewhere = format!("{}/elsewhere", rack.server.localhost_url());
    rack.server.mount("/elsewhere", rack.registry());
    rack.server
        .rule(Rule::path("/models.json").redirect(302, &format!("{elsewhere}/models.json")));
    let url = rack.server.url().replace("http://", "http://user:s3cret@");
    let manager = rack.manager_of(rack.config().registry_url(url));
    manager
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
    for request in rack.server.requests() {
        let basic = request.header("authorization");
        if request.path.starts_with("/elsewhere/") {
            assert_eq!(basic, None, "{request:?}");
        } else {
            assert_eq!(basic, Some("Basic dXNlcjpzM2NyZXQ="), "{request:?}");
        }
    }
    assert_eq!(rack.server.count("/elsewhere/"), 1);
    assert!(!format!("{manager:?}").contains("s3cret"), "{manager:?}");
    rack.server.clear_rules();
    rack.server.rule(Rule::any().status(401));
    let error = manager
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap_err();
    let shown = format!("{} {error:?}", chain(&error));
    assert!(
        !shown.contains("s3cret") && !shown.contains("dXNlcjpz"),
        "{shown}"
    );
    let Error::Authentication { failure, .. } = error.root() else {
        panic!("{error:?}");
    };
    assert_eq!(*failure, modelrack::AuthFailure::Refused);
}

#[test]
fn no_secret_is_written_to_the_store_or_the_cache() {
    let rack = Rack::with_model();
    let url = rack.server.url().replace("http://", "http://user:s3cret@");
    let manager = rack.manager_of(rack.config().registry_url(url));
    rack.server
        .rule(Rule::path_contains("/data/").nth(5).status(404));
    manager
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap_err();
    for folder in [rack.store(), rack.index_cache()] {
        for (name, bytes) in crate::support::disk::files_below(&folder) {
            assert!(
                !String::from_utf8_lossy(&bytes).contains("s3cret"),
                "{name}"
            );
        }
    }
}
