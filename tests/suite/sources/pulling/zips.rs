//! Files of a release: members of a zip, of which only what is needed comes.

use std::sync::Arc;
use std::sync::mpsc::channel;

use modelrack::progress::Phase;
use modelrack::pull::PullOutcome;
use modelrack::{CancelToken, Manager, ProgressEvent, PullOptions};

use super::{Site, model};
use crate::sources::repository::models::{Hashes, ModelsToml, NamedFile, below};
use crate::support::disk::flip;
use crate::support::forge::{zip, zip_stored};
use crate::support::recorder::Recorder;
use crate::support::server::{Gate, Request, Rule};
use crate::support::{PATIENCE, address, bytes, chain, in_background};

pub(super) const ALPHA: &str = "mf6/test/alpha current";
pub(super) const ZIP: &str = "/storage/o/models/current/models.zip";

/// `alpha` and `beta`, with two megabytes of others between the files of each.
fn files() -> Vec<NamedFile> {
    let text = |seed: u64| format!("{seed} 1.0 2.0 3.0\n").repeat(500).into_bytes();
    let mut files = model(
        "alpha",
        &[("a", text(1)), ("in/b", text(2)), ("empty", Vec::new())],
    );
    files.extend(model("filler", &[("x", bytes(2 << 20, 7))]));
    files.extend(model("beta", &[("a", bytes(5000, 9)), ("b", text(3))]));
    files.push(("alpha/far".to_owned(), bytes(3000, 5)));
    files
}

impl Site {
    /// A release with these bytes as its zip, synced.
    pub(super) fn of_zip(zip: Vec<u8>, toml: ModelsToml) -> Self {
        let site = Self::new();
        site.repo.commit("develop", [("README.md", "nothing here")]);
        site.release(zip, toml);
        site.sync_at(&["current"]);
        site.forge.server().reset_counts();
        site
    }

    fn of_release(files: &[NamedFile]) -> Self {
        Self::of_zip(zip(files), ModelsToml::of(files))
    }

    pub(super) fn release(&self, zip: Vec<u8>, toml: ModelsToml) {
        let toml: Vec<u8> = toml.asset("models.zip").into();
        self.repo
            .release("current", [("models.toml", toml), ("models.zip", zip)]);
    }

    pub(super) fn pull_release(&self, model: &str) -> modelrack::Result<modelrack::PullReport> {
        self.pull_release_with(model, &PullOptions::default())
    }

    pub(super) fn pull_release_with(
        &self,
        model: &str,
        options: &PullOptions,
    ) -> modelrack::Result<modelrack::PullReport> {
        self.manager_at(&["current"]).pull(&address(model), options)
    }

    /// The requests for the zip, behind the redirects.
    pub(super) fn of_storage(&self) -> Vec<Request> {
        self.asked(ZIP)
    }
}

#[test]
fn a_network_that_cuts_every_body_brings_a_model_all_the_same() {
    let text = |seed: u64| format!("{seed} 1.0 2.0 3.0\n").repeat(300_000).into_bytes();
    let files = model(
        "alpha",
        &[
            ("a", text(1)),
            ("b", bytes(5 << 20, 2)),
            ("c", bytes(5 << 20, 3)),
        ],
    );
    for pack in [zip::<String, Vec<u8>>, zip_stored::<String, Vec<u8>>] {
        let site = Site::of_zip(pack(&files), ModelsToml::of(&files));
        site.forge.server().rule(Rule::any().cut_after(2 << 20));
        site.pull_release("mf6/test/alpha").unwrap();
        site.assert_installed(ALPHA, "alpha", &files);
    }
}

#[test]
fn only_the_directory_and_the_members_come() {
    let files = files();
    for pack in [zip::<String, Vec<u8>>, zip_stored::<String, Vec<u8>>] {
        let site = Site::of_zip(pack(&files), ModelsToml::of(&files));
        let plan = site
            .manager_at(&["current"])
            .plan_pull(&address("mf6/test/alpha"), &PullOptions::default())
            .unwrap();
        assert_eq!((plan.files, plan.files_unsized), (5, 0));
        assert_eq!(
            plan.requests, 2,
            "what lies together, and what lies far away"
        );
        site.forge.server().reset_counts();
        let report = site.pull_release("mf6/test/alpha").unwrap();
        assert_eq!(report.total_bytes, plan.total_bytes);
        site.assert_installed(ALPHA, "alpha", &files);
        let asked = site.of_storage();
        assert!(
            asked
                .iter()
                .all(|request| request.header("range").is_some())
        );
        assert_eq!(
            asked.len(),
            2 + 2,
            "its first byte and its end, then the members"
        );
        assert!(site.forge.server().bytes_sent() < 200_000);
        assert!(report.bytes_fetched < 30_000, "{}", report.bytes_fetched);
    }
}

#[test]
fn a_second_model_of_one_manager_needs_no_directory() {
    let files = files();
    let site = Site::of_release(&files);
    let manager = site.manager_at(&["current"]);
    let pull = |model| manager.pull(&address(model), &PullOptions::default());
    pull("mf6/test/alpha").unwrap();
    site.forge.server().reset_counts();
    pull("mf6/test/beta").unwrap();
    assert_eq!(site.of_storage().len(), 1, "all lie together");
    site.assert_installed("mf6/test/beta current", "beta", &files);
    let again = pull("mf6/test/beta").unwrap();
    assert_eq!(again.outcome, PullOutcome::AlreadyInstalled);
    assert_eq!(site.of_storage().len(), 1);
}

#[test]
fn a_server_without_ranges_sends_the_zip_once_for_all_models() {
    let files = files();
    let site = Site::of_release(&files);
    site.forge
        .server()
        .rule(Rule::path_starts(ZIP).ignore_range());
    site.pull_release("mf6/test/alpha").unwrap();
    site.assert_installed(ALPHA, "alpha", &files);
    assert_eq!(site.of_storage().len(), 1);
    site.forge.server().reset_counts();
    site.pull_release("mf6/test/beta").unwrap();
    site.assert_installed("mf6/test/beta current", "beta", &files);
    assert_eq!(site.forge.server().connections(), 0);
    // Offline, too.
    let offline = PullOptions::default().offline(true);
    site.pull_release_with("mf6/test/filler", &offline).unwrap();
}

#[test]
fn a_zip_whose_ranges_are_of_no_use_comes_whole() {
    type Spoil = fn(Rule) -> Rule;
    let files = files();
    let spoils: [(&str, Spoil); 4] = [
        ("no label", |rule| rule.without_header("content-range")),
        ("another range", |rule| {
            rule.wrong_content_range("bytes 7-9/99")
        }),
        ("a refusal", |rule| rule.status(416)),
        ("another tag", |rule| {
            rule.header("etag", "\"of another node\"")
                .without_header("last-modified")
        }),
    ];
    for (what, spoil) in spoils {
        // The first request of any, the directory, or the members.
        for number in 1..=4 {
            let site = Site::of_release(&files);
            let ranged = Rule::path_starts(ZIP).and(|request| request.header("range").is_some());
            site.forge.server().rule(spoil(ranged.nth(number)));
            let pulled = site.pull_release("mf6/test/alpha");
            pulled.unwrap_or_else(|error| panic!("{what} {number}: {}", chain(&error)));
            site.assert_installed(ALPHA, "alpha", &files);
        }
    }
}

#[test]
fn nodes_with_tags_of_their_own_serve_one_zip_in_ranges() {
    let files = files();
    // A directory of more than 64 KiB, and a body that breaks.
    let many = (0..1000).map(|number| (format!("filler/{number:0>50}"), vec![0]));
    let files: Vec<NamedFile> = files.into_iter().chain(many).collect();
    let site = Site::of_release(&files);
    let server = site.forge.server();
    for number in 1..20 {
        let rule = Rule::path_starts(ZIP).times(1);
        let rule = match number {
            4 => rule.cut_after(200),
            _ => rule,
        };
        let rule = rule.header("etag", &format!("\"of node {number}\""));
        server.rule(rule.without_header("last-modified"));
    }
    let options = PullOptions::default().concurrency(1);
    site.pull_release_with("mf6/test/alpha", &options).unwrap();
    site.assert_installed(ALPHA, "alpha", &files);
    let asked = site.of_storage();
    let statuses: Vec<u16> = asked.iter().map(|request| request.status).collect();
    assert_eq!(
        statuses, [206; 6],
        "its directory twice, the members, and a rest"
    );
    assert!(server.bytes_sent() < 600_000, "{}", server.bytes_sent());
}

#[test]
fn a_plan_fetches_no_zip_and_a_pull_counts_it() {
    let files = files();
    let zip = zip(&files);
    let zip_bytes = zip.len() as u64;
    for change in [
        |toml: ModelsToml| toml,
        |toml: ModelsToml| toml.without_sizes(),
    ] {
        for options in [
            PullOptions::default(),
            PullOptions::default().include(["*a", "mfsim.nam"]),
        ] {
            let site = Site::of_zip(zip.clone(), change(ModelsToml::of(&files)));
            site.forge
                .server()
                .rule(Rule::path_starts(ZIP).ignore_range());
            let manager = site.manager_at(&["current"]);
            let plan = |model| manager.plan_pull(&address(model), &options).unwrap();
            let alpha = plan("mf6/test/alpha");
            assert_eq!((alpha.requests, alpha.bytes_to_fetch), (1, zip_bytes));
            let again = plan("mf6/test/alpha");
            assert_eq!(
                (again.requests, again.bytes_to_fetch),
                (1, zip_bytes),
                "nothing was kept"
            );
            site.forge.server().reset_counts();
            let report = manager.execute(&alpha).unwrap();
            assert_eq!(
                (site.of_storage().len(), report.bytes_fetched),
                (1, zip_bytes)
            );
            assert_eq!(report.files as usize, alpha.files);
            let beta = plan("mf6/test/beta");
            assert_eq!((beta.requests, beta.bytes_to_fetch), (0, 0), "it is here");
            let report = manager.execute(&beta).unwrap();
            assert_eq!(report.bytes_fetched, 0);
        }
    }
}

#[test]
fn a_zip_that_comes_whole_shows_in_every_pull_that_waits_for_it() {
    // The last bytes before it wait a little for more, so that not all of them are shown.
    const HELD: u64 = 300_000;
    const SHOWN: u64 = 256 << 10;
    let files = files();
    let zip = zip(&files);
    let site = Site::of_zip(zip.clone(), ModelsToml::of(&files));
    let go_on = Gate::new();
    let held = Rule::path_starts(ZIP).ignore_range();
    site.forge.server().rule(held.hold_after(HELD, &go_on));
    let (sender, shown) = channel();
    let recorder = Arc::new(Recorder::calling(move |model, event| {
        if let ProgressEvent::Advanced(at) = event
            && at.phase == Phase::Manifest
            && (SHOWN..=HELD).contains(&at.bytes_in_flight)
        {
            let _ = sender.send((model.model().to_owned(), at.clone()));
        }
    }));
    let manager = Arc::new(site.manager_at(&["current"]));
    let pull = |model: &'static str| {
        let manager = manager.clone();
        let options = PullOptions::default().progress(recorder.clone());
        in_background(move || manager.pull(&address(model), &options).unwrap())
    };
    let mut pulls = Vec::new();
    for model in ["alpha", "beta"] {
        pulls.push(pull(["mf6/test/alpha", "mf6/test/beta"][pulls.len()]));
        let (name, at) = shown.recv_timeout(PATIENCE).unwrap();
        let network = if model == "alpha" {
            at.bytes_in_flight
        } else {
            0
        };
        assert_eq!((&*name, at.bytes_network), (model, network));
        assert_eq!((at.total_bytes, at.bytes_done), (zip.len() as u64, 0));
    }
    let under_way = manager.downloads();
    assert!(
        under_way
            .iter()
            .all(|pull| pull.transferred.bytes_in_flight >= SHOWN)
    );
    go_on.open();
    for pull in pulls {
        pull.recv_timeout(PATIENCE).unwrap();
    }
    site.assert_installed(ALPHA, "alpha", &files);
    // Then it is about the model again.
    for event in recorder.events() {
        if let ProgressEvent::Finished(at) = event {
            assert_eq!((at.bytes_in_flight, at.bytes_done), (0, at.total_bytes));
            assert!(at.total_bytes < 50_000);
        }
    }
    assert_eq!(site.of_storage().len(), 1);
}

#[test]
fn a_web_page_in_place_of_the_zip_is_not_kept() {
    let files = files();
    let site = Site::of_release(&files);
    let spoils: [fn(Rule) -> Rule; 3] = [
        Rule::html,
        |rule| rule.body(""),
        |rule| rule.ignore_range().flip(1),
    ];
    for spoil in spoils {
        let server = site.forge.server();
        server.clear_rules();
        server.rule(spoil(Rule::path_starts(ZIP)));
        let error = site.pull_release("mf6/test/alpha").unwrap_err();
        let shown = chain(&error);
        assert!(
            ["REGISTRY_ERROR", "HASH_MISMATCH"].contains(&error.code()),
            "{shown}"
        );
        assert!(site.rack.listed().0.is_empty());
    }
    site.forge.server().clear_rules();
    site.pull_release("mf6/test/alpha").unwrap();
    site.assert_installed(ALPHA, "alpha", &files);
}

#[test]
fn sizes_come_from_the_zip_where_the_registry_leaves_them_out() {
    let files = files();
    for change in [
        |toml: ModelsToml| toml.without_sizes(),
        |toml: ModelsToml| toml.without_sizes().hashes(Hashes::Missing),
    ] {
        let site = Site::of_zip(zip(&files), change(ModelsToml::of(&files)));
        let report = site.pull_release("mf6/test/alpha").unwrap();
        let own: usize = super::inside("alpha", &files)
            .iter()
            .map(|(_, bytes)| bytes.len())
            .sum();
        assert_eq!(report.total_bytes, own as u64);
        site.assert_installed(ALPHA, "alpha", &files);
        assert_eq!(site.of_storage().len(), 4);
        let again = site.pull_release("mf6/test/alpha").unwrap();
        assert_eq!(again.outcome, PullOutcome::AlreadyInstalled);
    }
}

#[test]
fn a_root_in_the_zip_is_a_folder() {
    let files = files();
    let packed = below("mf6examples/v1", &files);
    let toml = ModelsToml::of(&files).root("mf6examples/v1");
    let site = Site::of_zip(zip(&packed), toml);
    site.pull_release("mf6/test/alpha").unwrap();
    site.assert_installed(ALPHA, "alpha", &files);
}

#[test]
fn what_other_tools_write_to_a_pipe_is_read() {
    macro_rules! tools {
        ($($tool:literal),*) => {
            [$(($tool, &include_bytes!(concat!("../../data/zips/", $tool, ".zip"))[..])),*]
        };
    }
    let files = [("m/a.txt".to_owned(), b"a model in one line\n".to_vec())];
    for (tool, zip) in tools!["7-zip", "bsdtar", "info-zip", "jar", "python"] {
        let toml = ModelsToml::of(&files).model("m", &["m/a.txt"]);
        let site = Site::of_zip(zip.to_vec(), toml);
        let pulled = site.pull_release("mf6/test/m");
        pulled.unwrap_or_else(|error| panic!("{tool}: {}", chain(&error)));
        site.assert_installed("mf6/test/m current", "m", &files);
    }
}

#[test]
fn bytes_after_the_end_of_the_zip_are_passed_over() {
    let files = files();
    for ignores_ranges in [false, true] {
        let zip = [zip(&files), b"\r\n".to_vec()].concat();
        let site = Site::of_zip(zip, ModelsToml::of(&files));
        if ignores_ranges {
            let whole = Rule::path_starts(ZIP).ignore_range();
            site.forge.server().rule(whole);
        }
        site.pull_release("mf6/test/alpha").unwrap();
        site.assert_installed(ALPHA, "alpha", &files);
    }
}

#[test]
fn what_is_wrong_in_the_zip_is_named() {
    let files = files();
    let without: Vec<_> = files
        .iter()
        .filter(|(name, _)| name != "alpha/in/b")
        .cloned()
        .collect();
    let other = super::changed(&files, "alpha/in/b", b"other bytes");
    let same_size = super::changed(&files, "alpha/far", &bytes(3000, 6));
    let cases = [
        ("REGISTRY_ERROR", "alpha/in/b", zip(&without)),
        ("HASH_MISMATCH", "in/b", zip(&other)),
        ("HASH_MISMATCH", "far", zip(&same_size)),
    ];
    for (code, name, zip) in cases {
        let site = Site::of_zip(zip, ModelsToml::of(&files));
        let error = site.pull_release("mf6/test/alpha").unwrap_err();
        let shown = chain(&error);
        assert_eq!(error.code(), code, "{shown}");
        assert!(shown.contains(name), "{shown}");
        assert!(site.rack.listed().0.is_empty());
        // The others are what they should be.
        site.pull_release("mf6/test/beta").unwrap();
        site.release(super::zips::zip(&files), ModelsToml::of(&files));
        site.pull_release("mf6/test/alpha").unwrap();
        site.assert_installed(ALPHA, "alpha", &files);
    }
}

#[test]
fn a_body_that_breaks_goes_on_at_the_member_where_it_did() {
    let files = files();
    let site = Site::of_release(&files);
    let server = site.forge.server();
    server.rule(Rule::path_starts(ZIP).nth(3).cut_after(200));
    let options = PullOptions::default().concurrency(1);
    site.pull_release_with("mf6/test/alpha", &options).unwrap();
    site.assert_installed(ALPHA, "alpha", &files);
    let ranges: Vec<String> = site
        .of_storage()
        .iter()
        .map(|request| request.header("range").unwrap().to_owned())
        .collect();
    assert_eq!(ranges.len(), 5, "{ranges:?}");
    let begin = |range: &str| {
        range["bytes=".len()..]
            .split_once('-')
            .unwrap()
            .0
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(begin(&ranges[2]), 0);
    assert!(begin(&ranges[3]) > 0, "{ranges:?}");
}

#[test]
fn a_pull_that_failed_anywhere_goes_on() {
    let files = files();
    for k in 1..=4 {
        let site = Site::of_release(&files);
        let server = site.forge.server();
        server.rule(Rule::path_starts(ZIP).nth(k).status(410));
        if k == 4 {
            // Where a redirect led before is asked first, and after a failure the release again.
            server.rule(Rule::path_starts(ZIP).nth(k).status(410));
        }
        let options = PullOptions::default().concurrency(1);
        let error = site
            .pull_release_with("mf6/test/alpha", &options)
            .unwrap_err();
        assert_eq!(error.code(), "NETWORK_ERROR", "{}", chain(&error));
        assert!(site.rack.listed().0.is_empty());
        server.reset_counts();
        let report = site.pull_release("mf6/test/alpha").unwrap();
        assert_eq!(site.of_storage().len(), if k < 4 { 4 } else { 3 });
        assert_eq!(report.bytes_resumed > 0, k == 4);
        site.assert_installed(ALPHA, "alpha", &files);
    }
}

#[test]
fn members_of_a_partial_that_are_wrong_are_fetched_anew() {
    let files = files();
    let site = Site::of_release(&files);
    let server = site.forge.server();
    for _ in 0..2 {
        server.rule(Rule::path_starts(ZIP).nth(4).status(404));
    }
    let options = PullOptions::default().concurrency(1);
    site.pull_release_with("mf6/test/alpha", &options)
        .unwrap_err();
    let partial = site.rack.store().join("cache").join(&site.rack.cache()[0]);
    flip(&partial.join("files").join("a"), 7);
    site.pull_release("mf6/test/alpha").unwrap();
    site.assert_installed(ALPHA, "alpha", &files);
}

#[test]
fn a_cancelled_pull_goes_on() {
    let files = files();
    let site = Site::of_release(&files);
    let cancel = CancelToken::new();
    let at_members = cancel.clone();
    let rule = Rule::path_starts(ZIP).nth(4);
    let server = site.forge.server();
    server.rule(rule.on_request(move || at_members.cancel()));
    let options = PullOptions::default().concurrency(1).cancel(cancel);
    let error = site
        .pull_release_with("mf6/test/alpha", &options)
        .unwrap_err();
    assert_eq!(error.code(), "CANCELLED");
    assert!(site.rack.listed().0.is_empty());
    let report = site.pull_release("mf6/test/alpha").unwrap();
    assert!(report.bytes_resumed > 0);
    site.assert_installed(ALPHA, "alpha", &files);
}

#[test]
fn faults_that_pass_are_not_noticed() {
    let files = files();
    let spoils: [fn(Rule) -> Rule; 5] = [
        |rule| rule.status(500),
        |rule| rule.close(),
        |rule| rule.cut_after(5),
        |rule| rule.status(429).header("retry-after", "0"),
        |rule| rule.flip(60),
    ];
    for (number, spoil) in spoils.into_iter().enumerate() {
        for k in 1..=4 {
            if number == 4 && k <= 2 {
                // Nothing says that a directory is right.
                continue;
            }
            let site = Site::of_release(&files);
            let server = site.forge.server();
            server.rule(spoil(Rule::path_starts(ZIP).nth(k)));
            let options = PullOptions::default().concurrency(1);
            site.pull_release_with("mf6/test/alpha", &options)
                .unwrap_or_else(|error| panic!("{number} {k}: {}", chain(&error)));
            site.assert_installed(ALPHA, "alpha", &files);
        }
    }
}

#[test]
fn a_zip_that_is_replaced_meanwhile_is_refused_and_read_anew_by_the_next_pull() {
    let files = files();
    let site = Site::of_release(&files);
    let repo = site.repo.clone();
    let other = super::changed(&files, "filler/x", b"shorter");
    let toml: Vec<u8> = ModelsToml::of(&files).asset("models.zip").into();
    let replaced = zip(&other);
    site.forge.server().rule(
        Rule::path_contains("releases/download/current/models.zip")
            .nth(3)
            .on_request(move || {
                let assets = [
                    ("models.toml", toml.clone()),
                    ("models.zip", replaced.clone()),
                ];
                repo.release("current", assets);
            }),
    );
    let manager = site.manager_at(&["current"]);
    let pull = || manager.pull(&address("mf6/test/alpha"), &PullOptions::default());
    let error = pull().unwrap_err();
    assert_eq!(error.code(), "REGISTRY_ERROR", "{}", chain(&error));
    assert!(chain(&error).contains("replaced"), "{}", chain(&error));
    pull().unwrap();
    site.assert_installed(ALPHA, "alpha", &files);
}

#[test]
fn a_zip_that_is_replaced_by_one_of_the_same_size_is_found_out_by_its_members() {
    let files = files();
    let other = super::changed(&files, "alpha/far", &bytes(3000, 6));
    let toml = ModelsToml::of(&files).hashes(Hashes::Missing);
    let site = Site::of_zip(zip_stored(&files), toml.clone());
    let (repo, replaced) = (site.repo.clone(), zip_stored(&other));
    let toml: Vec<u8> = toml.asset("models.zip").into();
    let download = Rule::path_contains("releases/download/current/models.zip");
    site.forge
        .server()
        .rule(download.nth(3).on_request(move || {
            let assets = [
                ("models.toml", toml.clone()),
                ("models.zip", replaced.clone()),
            ];
            repo.release("current", assets);
        }));
    let manager = site.manager_at(&["current"]);
    let options = PullOptions::default().concurrency(1);
    let pull = || manager.pull(&address("mf6/test/alpha"), &options);
    let error = pull().unwrap_err();
    assert_eq!(error.code(), "REGISTRY_ERROR", "{}", chain(&error));
    assert!(chain(&error).contains("replaced"), "{}", chain(&error));
    // What came of the other zip comes again.
    let report = pull().unwrap();
    assert_eq!(report.bytes_resumed, 0);
    site.assert_installed(ALPHA, "alpha", &other);
}
