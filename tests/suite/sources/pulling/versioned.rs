//! Files under version control whose registry states sizes and hashes.

use modelrack::pull::PullOutcome;
use modelrack::{Manager, PullOptions, SyncOptions};

use super::{Site, inside, model};
use crate::sources::repository::models::{ModelsToml, NamedFile, small_models};
use crate::support::server::{Gate, Rule};
use crate::support::{PATIENCE, address, bytes, chain, in_background};

const ALPHA: &str = "mf6/test/alpha develop";

/// `alpha`: ten files of different sizes, one of them empty.
fn alpha() -> Vec<NamedFile> {
    let names = ["a", "b", "c", "in/d", "in/e", "in/deep/f", "g", "h"];
    let files = (1..).zip(names).map(|(number, name)| {
        let size = 1000 * usize::try_from(number).unwrap();
        (name, bytes(size, number))
    });
    let files: Vec<_> = files.chain([("empty", Vec::new())]).collect();
    model("alpha", &files)
}

#[test]
fn each_file_is_asked_for_once_in_the_commit_that_was_synced() {
    let site = Site::of(&small_models(), |toml| toml);
    let old = site.synced_commit();
    // The branch moves on, and loses the model.
    site.commit("develop", &alpha(), ModelsToml::of(&alpha()));
    let report = site.pull("mf6/test/test001a_Tharmonic").unwrap();
    let files = small_models();
    let own = inside("test001a_Tharmonic", &files);
    let total: usize = own.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(report.outcome, PullOutcome::Installed);
    assert_eq!((report.files, report.total_bytes), (3, total as u64));
    assert_eq!(report.bytes_fetched, total as u64);
    assert_eq!((report.bytes_reused, report.bytes_resumed), (0, 0));
    assert!(report.files_unverified.is_empty());
    assert_eq!(report.source, "testmodels");
    let expected: Vec<_> = [
        "mf6/test001a_Tharmonic/flow15.nam",
        "mf6/test001a_Tharmonic/grösse 2.txt",
        "mf6/test001a_Tharmonic/mfsim.nam",
    ]
    .map(|path| (old.clone(), path.to_owned()))
    .into();
    assert_eq!(site.raw_requests(), expected);
    assert_eq!(site.forge.server().requests().len(), 3, "and nothing else");
    let name = "mf6/test/test001a_Tharmonic develop";
    site.assert_installed(name, "test001a_Tharmonic", &files);

    // Just this state is there: no socket is opened.
    site.forge.server().reset_counts();
    let again = site.pull("mf6/test/test001a_Tharmonic").unwrap();
    assert_eq!(again.outcome, PullOutcome::AlreadyInstalled);
    assert_eq!((again.files, again.total_bytes), (3, total as u64));
    assert_eq!(site.forge.server().connections(), 0);
}

#[test]
fn odd_names_are_encoded_and_arrive_as_they_are() {
    let files = model(
        "od#d-mödel",
        &[
            ("a b.txt", b"space".to_vec()),
            ("#1.txt", b"number".to_vec()),
            ("50%.txt", b"percent".to_vec()),
            ("50%25.txt", b"encoded percent".to_vec()),
            ("a+b&c=d;e,f.txt", b"signs".to_vec()),
            ("größe/日本語 [1].txt", b"letters".to_vec()),
            ("deep/er/and/de eper/x", b"folders".to_vec()),
            (".hidden", b"dot".to_vec()),
            ("empty", Vec::new()),
        ],
    );
    let site = Site::of(&files, |toml| toml);
    let report = site.pull("mf6/test/od#d-mödel").unwrap();
    assert_eq!(report.files, 10);
    site.assert_installed("mf6/test/od#d-mödel develop", "od#d-mödel", &files);
    for request in site.raw() {
        assert!(request.target.is_ascii(), "{}", request.target);
        assert!(
            !request.target.contains([' ', '#', '?']),
            "{}",
            request.target
        );
    }
    assert_eq!(site.raw().len(), 9, "nothing to fetch of an empty file");
}

#[test]
fn a_large_file_comes_in_ranges() {
    let files = model("large", &[("heads.bin", bytes((33 << 20) + 5, 1))]);
    let site = Site::of(&files, |toml| toml);
    let plan = site
        .manager()
        .plan_pull(&address("mf6/test/large"), &PullOptions::default())
        .unwrap();
    assert_eq!(
        (plan.requests, plan.bytes_to_fetch),
        (6, (33 << 20) + 5 + 8)
    );
    let report = site.pull("mf6/test/large").unwrap();
    assert_eq!(report.bytes_fetched, plan.bytes_to_fetch);
    let mut ranges: Vec<_> = site
        .raw()
        .iter()
        .filter(|request| request.path.ends_with("heads.bin"))
        .map(|request| request.header("range").unwrap().to_owned())
        .collect();
    ranges.sort();
    assert_eq!(ranges.len(), 5);
    assert!(ranges.contains(&format!("bytes=33554432-{}", (33 << 20) + 4)));
    site.assert_installed("mf6/test/large develop", "large", &files);
}

#[test]
fn a_large_file_of_a_server_without_ranges_comes_whole() {
    let files = model("large", &[("heads.bin", bytes((33 << 20) + 5, 1))]);
    let site = Site::of(&files, |toml| toml);
    let server = site.forge.server();
    server.rule(Rule::path_ends("heads.bin").ignore_range());
    site.pull_with("mf6/test/large", &PullOptions::default().concurrency(1))
        .unwrap();
    site.assert_installed("mf6/test/large develop", "large", &files);
    assert_eq!(site.raw().len(), 1 + 1, "the other file, and this one once");
}

#[test]
fn wrong_bytes_are_asked_for_again_and_then_named() {
    let files = alpha();
    let site = Site::of(&files, |toml| toml);
    let spoils: [fn(Rule) -> Rule; 3] = [
        |rule| rule.flip(3),
        |rule| rule.body("short"),
        |rule| rule.body(vec![7; 100_000]),
    ];
    for spoil in spoils {
        let server = site.forge.server();
        server.clear_rules();
        server.reset_counts();
        server.rule(spoil(Rule::path_ends("in/deep/f")));
        let options = PullOptions::default().concurrency(1);
        let error = site.pull_with("mf6/test/alpha", &options).unwrap_err();
        assert_eq!(error.code(), "HASH_MISMATCH");
        let shown = chain(&error);
        assert!(
            shown.starts_with("pull mf6/test/alpha develop: in/deep/f: "),
            "{shown}"
        );
        let asked = site.fetched();
        let of_it = asked.iter().filter(|path| *path == "alpha/in/deep/f");
        assert_eq!(of_it.count(), 4, "{asked:?}");
        assert!(site.rack.listed().0.is_empty());
    }
    // Only that file is missing, and those that come after it, since they are smaller.
    site.forge.server().clear_rules();
    site.forge.server().reset_counts();
    let report = site.pull("mf6/test/alpha").unwrap();
    assert!(report.bytes_resumed > 0);
    assert_eq!(
        site.fetched(),
        [
            "alpha/a",
            "alpha/b",
            "alpha/c",
            "alpha/in/d",
            "alpha/in/deep/f",
            "alpha/in/e",
            "alpha/mfsim.nam"
        ]
    );
    assert_eq!(
        report.bytes_fetched + report.bytes_resumed,
        report.total_bytes
    );
    site.assert_installed(ALPHA, "alpha", &files);
}

#[test]
fn wrong_bytes_that_pass_are_not_noticed() {
    let site = Site::of(&alpha(), |toml| toml);
    let rule = Rule::path_ends("alpha/b").times(3).flip(5);
    site.forge.server().rule(rule);
    let report = site.pull("mf6/test/alpha").unwrap();
    assert_eq!(report.bytes_fetched, report.total_bytes + 3 * 2000);
    site.assert_installed(ALPHA, "alpha", &alpha());
}

#[test]
fn a_file_that_is_listed_and_not_there_is_a_network_error() {
    let files = alpha();
    let site = Site::new();
    let without: Vec<_> = files
        .iter()
        .filter(|(name, _)| name != "alpha/c")
        .cloned()
        .collect();
    site.commit("develop", &without, ModelsToml::of(&files));
    site.sync();
    site.forge.server().reset_counts();
    let error = site.pull("mf6/test/alpha").unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
    assert!(chain(&error).contains(": c: "), "{}", chain(&error));
    let asked = site.fetched();
    assert_eq!(asked.iter().filter(|path| *path == "alpha/c").count(), 1);
}

#[test]
fn a_plan_says_what_a_pull_then_does() {
    let files = alpha();
    let total = 36_000 + 8;
    let site = Site::of(&files, |toml| toml);
    let plan = || {
        site.manager()
            .plan_pull(&address("mf6/test/alpha"), &PullOptions::default())
            .unwrap()
    };
    let fresh = plan();
    assert_eq!(fresh.model.to_string(), ALPHA);
    assert_eq!((fresh.files, fresh.requests), (10, 9));
    assert_eq!((fresh.total_bytes, fresh.bytes_to_fetch), (total, total));
    assert_eq!((fresh.files_unverified, fresh.files_unsized), (0, 0));
    assert!(site.raw().is_empty(), "a plan fetches nothing");

    let rule = Rule::path_starts("/o/models/raw/").nth(4).status(404);
    site.forge.server().rule(rule);
    let options = PullOptions::default().concurrency(1);
    site.pull_with("mf6/test/alpha", &options).unwrap_err();
    let half = plan();
    let largest = 8000 + 7000 + 6000;
    assert_eq!(half.bytes_resumed, largest);
    assert_eq!((half.bytes_to_fetch, half.requests), (total - largest, 6));
    let report = site.pull("mf6/test/alpha").unwrap();
    assert_eq!(report.bytes_fetched, half.bytes_to_fetch);
    let done = plan();
    assert!(done.installed);
    assert_eq!(
        (done.total_bytes, done.bytes_to_fetch, done.requests),
        (total, 0, 0)
    );
}

#[test]
fn force_takes_what_is_right_from_the_copy_that_is_there() {
    let files = alpha();
    let site = Site::of(&files, |toml| toml);
    let dir = site.pull("mf6/test/alpha").unwrap().path;
    std::fs::write(dir.join("b"), "edited").unwrap();
    std::fs::remove_file(dir.join("in").join("d")).unwrap();
    site.forge.server().reset_counts();
    let report = site
        .pull_with("mf6/test/alpha", &PullOptions::default().force(true))
        .unwrap();
    assert_eq!(report.outcome, PullOutcome::Installed);
    assert_eq!(site.fetched(), ["alpha/b", "alpha/in/d"]);
    site.assert_installed(ALPHA, "alpha", &files);
}

#[test]
fn files_that_another_model_has_are_not_fetched() {
    let mut files = alpha();
    files.extend(model(
        "beta",
        &[("same-as-h", bytes(8000, 8)), ("own", bytes(10, 99))],
    ));
    let site = Site::of(&files, |toml| toml);
    site.pull("mf6/test/alpha").unwrap();
    site.forge.server().reset_counts();
    let report = site.pull("mf6/test/beta").unwrap();
    assert_eq!(report.bytes_reused, 8000);
    assert_eq!(site.fetched(), ["beta/mfsim.nam", "beta/own"]);
    site.assert_installed("mf6/test/beta develop", "beta", &files);
}

#[test]
fn as_many_files_come_at_once_as_are_asked_for() {
    let site = Site::of(&alpha(), |toml| toml);
    let gate = Gate::new();
    let server = site.forge.server();
    server.rule(Rule::path_starts("/o/models/raw/").hold(&gate));
    let manager = site.manager();
    let pulled = in_background(move || {
        let options = PullOptions::default().concurrency(3);
        manager.pull(&address("mf6/test/alpha"), &options)
    });
    assert!(server.wait_for("/o/models/raw/", 3, PATIENCE));
    gate.open();
    pulled.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(server.max_in_flight(), 3);
    site.assert_installed(ALPHA, "alpha", &alpha());
}

#[test]
fn two_pulls_of_one_model_fetch_it_once() {
    let site = Site::of(&alpha(), |toml| toml);
    let gate = Gate::new();
    site.forge
        .server()
        .rule(Rule::path_starts("/o/models/raw/").nth(1).hold(&gate));
    let pulls: Vec<_> = (0..2)
        .map(|_| {
            let manager = site.manager();
            in_background(move || manager.pull(&address("mf6/test/alpha"), &PullOptions::default()))
        })
        .collect();
    assert!(site.forge.server().wait_for("/o/models/raw/", 1, PATIENCE));
    gate.open();
    let mut outcomes: Vec<_> = pulls
        .into_iter()
        .map(|pull| pull.recv_timeout(PATIENCE).unwrap().unwrap().outcome)
        .collect();
    outcomes.sort_by_key(|outcome| *outcome == PullOutcome::AlreadyInstalled);
    assert_eq!(
        outcomes,
        [PullOutcome::Installed, PullOutcome::AlreadyInstalled]
    );
    assert_eq!(site.raw().len(), 9);
    site.assert_installed(ALPHA, "alpha", &alpha());
}

#[test]
fn what_is_installed_needs_no_registry_when_nobody_can_be_asked() {
    let site = Site::of(&small_models(), |toml| toml);
    let commit = site.synced_commit();
    let pinned = format!("mf6/test@{commit}/test001a_Tharmonic");
    let manager = site.manager_at(&["develop", &commit]);
    manager.sync(&SyncOptions::default()).unwrap();
    manager
        .pull(&address(&pinned), &PullOptions::default())
        .unwrap();
    site.pull("mf6/test@develop/test001a_Tharmonic").unwrap();
    std::fs::remove_dir_all(site.rack.index_cache()).unwrap();
    site.forge.server().reset_counts();
    let offline = PullOptions::default().offline(true);
    for typed in [
        "mf6/test@develop/test001a_Tharmonic",
        "mf6/test/test001a_Tharmonic develop",
        // The one ref that is configured.
        "mf6/test/test001a_Tharmonic",
        &pinned,
    ] {
        let report = site.pull_with(typed, &offline);
        assert_eq!(
            report.unwrap().outcome,
            PullOutcome::AlreadyInstalled,
            "{typed}"
        );
    }
    // A commit stays what it is; a branch does not.
    site.pull(&pinned).unwrap();
    let error = site
        .pull("mf6/test@develop/test001a_Tharmonic")
        .unwrap_err();
    assert_eq!(error.code(), "NOT_SYNCED");
    for typed in [
        "mf6/test@master/test001a_Tharmonic",
        "mf6/test@develop/ex-gwf-twri01",
    ] {
        let error = site.pull_with(typed, &offline).unwrap_err();
        assert_eq!(error.code(), "NOT_SYNCED", "{typed}");
    }
    assert_eq!(site.forge.server().connections(), 0);
}
