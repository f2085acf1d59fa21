//! Files whose registry leaves their sizes out, as most do: they show when the files come.

use std::fs;

use modelrack::installed::Freshness;
use modelrack::pull::PullOutcome;
use modelrack::{ErrorKind, ListOptions, Manager, PullOptions, RemoteOptions, UpdateOptions};

use super::{Site, model};
use crate::sources::repository::models::{Hashes, ModelsToml, NamedFile, below};
use crate::support::disk::flip;
use crate::support::server::Rule;
use crate::support::{address, bytes, chain};

pub(super) const ALPHA: &str = "mf6/test/alpha develop";
pub(super) const RAW: &str = "/o/models/raw/";

pub(super) fn alpha() -> Vec<NamedFile> {
    let names = ["a", "b", "in/c", "in/d", "e"];
    let files = (1..).zip(names).map(|(number, name)| {
        let size = 1000 * usize::try_from(number).unwrap();
        (name, bytes(size, number))
    });
    let files: Vec<_> = files.chain([("empty", Vec::new())]).collect();
    model("alpha", &files)
}

/// What all of them have together.
pub(super) const TOTAL: u64 = 15_000 + 8;

pub(super) fn without_sizes(toml: ModelsToml) -> ModelsToml {
    toml.without_sizes()
}

pub(super) fn without_hashes(toml: ModelsToml) -> ModelsToml {
    toml.without_sizes().hashes(Hashes::Missing)
}

pub(super) fn one_at_a_time() -> PullOptions {
    PullOptions::default().concurrency(1)
}

#[test]
fn each_file_is_asked_for_once_and_its_size_is_learned() {
    let site = Site::of(&alpha(), without_sizes);
    let plan = site
        .manager()
        .plan_pull(&address("mf6/test/alpha"), &PullOptions::default())
        .unwrap();
    assert_eq!((plan.files, plan.files_unsized, plan.requests), (7, 7, 7));
    assert_eq!((plan.total_bytes, plan.bytes_to_fetch), (0, 0));
    let report = site.pull("mf6/test/alpha").unwrap();
    assert_eq!((report.files, report.total_bytes), (7, TOTAL));
    assert_eq!((report.bytes_fetched, report.bytes_resumed), (TOTAL, 0));
    assert!(report.files_unverified.is_empty());
    assert_eq!(site.raw().len(), 7, "{:?}", site.fetched());
    site.assert_installed(ALPHA, "alpha", &alpha());
    let detail = site.manager().get(&address("mf6/test/alpha")).unwrap();
    assert_eq!(detail.installed.total_bytes, TOTAL);

    site.forge.server().reset_counts();
    let again = site.pull("mf6/test/alpha").unwrap();
    assert_eq!(again.outcome, PullOutcome::AlreadyInstalled);
    let plan = site
        .manager()
        .plan_pull(&address("mf6/test/alpha"), &PullOptions::default())
        .unwrap();
    assert!(plan.installed);
    assert_eq!(
        (plan.total_bytes, plan.files_unsized, plan.requests),
        (TOTAL, 0, 0)
    );
    assert_eq!(site.forge.server().connections(), 0);
}

#[test]
fn files_without_hashes_are_named_and_can_be_refused() {
    let site = Site::of(&alpha(), without_hashes);
    let refuse = PullOptions::default().require_hashes(true);
    let error = site.pull_with("mf6/test/alpha", &refuse).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Unverifiable { files: 7, .. }),
        "{error:?}"
    );
    assert!(site.raw().is_empty());
    assert_eq!(site.rack.cache(), Vec::<String>::new());
    let manager = site.manager();
    let plan = manager
        .plan_pull(&address("mf6/test/alpha"), &PullOptions::default())
        .unwrap();
    assert_eq!((plan.files_unverified, plan.files_unsized), (7, 7));
    let report = site.pull("mf6/test/alpha").unwrap();
    let names = ["a", "b", "e", "empty", "in/c", "in/d", "mfsim.nam"];
    assert_eq!(report.files_unverified, names);
    assert_eq!(site.raw().len(), 7);
    site.assert_installed(ALPHA, "alpha", &alpha());
    assert_eq!(
        site.pull("mf6/test/alpha").unwrap().outcome,
        PullOutcome::AlreadyInstalled
    );
}

#[test]
fn a_large_file_comes_in_ranges_once_its_size_is_known() {
    let files = model(
        "large",
        &[("heads.bin", bytes((33 << 20) + 5, 1)), ("a", bytes(9, 2))],
    );
    for change in [without_sizes, without_hashes] {
        let site = Site::of(&files, change);
        let report = site.pull("mf6/test/large").unwrap();
        assert_eq!(report.bytes_fetched, report.total_bytes);
        let large = site.asked_for("heads.bin");
        let ranges: Vec<_> = large
            .iter()
            .map(|request| request.header("range").is_some())
            .collect();
        assert_eq!(ranges, [false, true, true, true, true, true]);
        assert_eq!(site.raw().len(), 8);
        site.assert_installed("mf6/test/large develop", "large", &files);
    }
}

#[test]
fn a_body_without_a_length_is_taken_as_it_comes() {
    let spoils: [fn(Rule) -> Rule; 2] = [Rule::chunked, Rule::until_close];
    for change in [without_sizes, without_hashes] {
        for spoil in spoils {
            let site = Site::of(&alpha(), change);
            site.forge.server().rule(spoil(Rule::path_starts(RAW)));
            let report = site.pull("mf6/test/alpha").unwrap();
            assert_eq!((report.total_bytes, report.bytes_fetched), (TOTAL, TOTAL));
            assert_eq!(site.raw().len(), 7);
            site.assert_installed(ALPHA, "alpha", &alpha());
        }
    }
}

#[test]
fn wrong_bytes_are_asked_for_again() {
    let site = Site::of(&alpha(), without_sizes);
    let server = site.forge.server();
    server.rule(Rule::path_ends("in/c").times(3).flip(9));
    let report = site.pull("mf6/test/alpha").unwrap();
    assert_eq!(site.asked_for("in/c").len(), 4);
    assert_eq!(
        (report.total_bytes, report.bytes_fetched),
        (TOTAL, TOTAL + 9000)
    );
    site.assert_installed(ALPHA, "alpha", &alpha());

    let site = Site::of(&alpha(), without_sizes);
    site.forge.server().rule(Rule::path_ends("in/c").html());
    let error = site.pull("mf6/test/alpha").unwrap_err();
    assert_eq!(error.code(), "REGISTRY_ERROR");
    assert!(chain(&error).starts_with("pull mf6/test/alpha develop: in/c: "));
    assert_eq!(site.asked_for("in/c").len(), 1);
    assert!(site.rack.listed().0.is_empty());
}

#[test]
fn files_that_another_model_has_are_not_fetched() {
    let mut files = alpha();
    let beta = [("same-as-c", bytes(3000, 3)), ("own", bytes(10, 99))];
    files.extend(model("beta", &beta));
    let site = Site::of(&files, without_sizes);
    site.pull("mf6/test/alpha").unwrap();
    site.forge.server().reset_counts();
    let plan = site
        .manager()
        .plan_pull(&address("mf6/test/beta"), &PullOptions::default())
        .unwrap();
    assert_eq!(
        (plan.files_unsized, plan.bytes_reused, plan.requests),
        (2, 3000, 2)
    );
    let report = site.pull("mf6/test/beta").unwrap();
    assert_eq!((report.bytes_reused, report.bytes_fetched), (3000, 17));
    assert_eq!(site.fetched(), ["beta/mfsim.nam", "beta/own"]);
    site.assert_installed("mf6/test/beta develop", "beta", &files);
}

#[test]
fn what_is_held_and_damaged_is_fetched() {
    let mut files = alpha();
    files.extend(model("beta", &[("same-as-c", bytes(3000, 3))]));
    let site = Site::of(&files, without_sizes);
    let dir = site.pull("mf6/test/alpha").unwrap().path;
    flip(&dir.join("in").join("c"), 5);
    site.forge.server().reset_counts();
    site.pull("mf6/test/beta").unwrap();
    assert_eq!(site.fetched(), ["beta/mfsim.nam", "beta/same-as-c"]);
    site.assert_installed("mf6/test/beta develop", "beta", &files);
}

#[test]
fn files_with_the_same_hash_are_asked_for_once() {
    let same = bytes(5000, 1);
    let files = model(
        "twins",
        &[("a", same.clone()), ("b", same.clone()), ("in/c", same)],
    );
    let site = Site::of(&files, without_sizes);
    let server = site.forge.server();
    server.rule(Rule::path_ends("mfsim.nam").nth(1).status(404));
    site.pull_with("mf6/test/twins", &one_at_a_time())
        .unwrap_err();
    let report = site.pull("mf6/test/twins").unwrap();
    assert_eq!(
        site.fetched(),
        ["twins/a", "twins/mfsim.nam", "twins/mfsim.nam"]
    );
    assert_eq!((report.total_bytes, report.bytes_fetched), (15_008, 8));
    assert_eq!((report.bytes_resumed, report.bytes_reused), (5000, 10_000));
    site.assert_installed("mf6/test/twins develop", "twins", &files);
}

#[test]
fn some_sizes_may_be_stated() {
    let files = alpha();
    let site = Site::new();
    let text = ModelsToml::of(&files).root("mf6").text();
    let text = text.replace(", size = 3000", "").replace(", size = 0", "");
    let mut tree = below("mf6", &files);
    tree.push((".registry/models.toml".to_owned(), text.into_bytes()));
    site.repo.commit("develop", tree);
    site.sync();
    site.forge.server().reset_counts();
    let plan = site
        .manager()
        .plan_pull(&address("mf6/test/alpha"), &PullOptions::default())
        .unwrap();
    assert_eq!(
        (plan.files_unsized, plan.bytes_to_fetch, plan.requests),
        (2, TOTAL - 3000, 7)
    );
    let report = site.pull("mf6/test/alpha").unwrap();
    assert_eq!((report.total_bytes, report.bytes_fetched), (TOTAL, TOTAL));
    assert_eq!(site.raw().len(), 7);
    site.assert_installed(ALPHA, "alpha", &files);
}

#[test]
fn the_source_says_that_it_is_up_to_date_and_a_lost_record_is_found_again() {
    for change in [without_sizes, without_hashes] {
        let site = Site::of(&alpha(), change);
        site.pull("mf6/test/alpha").unwrap();
        let manager = site.manager();
        let listed = manager.list_remote(&RemoteOptions::default()).unwrap();
        let installed = manager.get(&address("mf6/test/alpha")).unwrap().installed;
        assert_eq!(listed.models[0].manifest_digest, installed.manifest_digest);
        fs::write(site.rack.store().join("registry.json"), "garbage").unwrap();
        fs::remove_file(site.rack.store().join("registry.json.bak")).unwrap();
        let again = site.pull("mf6/test/alpha").unwrap();
        assert_eq!(again.outcome, PullOutcome::AlreadyInstalled);
        assert!(site.rack.record()["mf6/test"]["alpha"]["develop"]["pin"].is_object());
        let update = site
            .manager()
            .check_update(&UpdateOptions::default())
            .unwrap();
        assert!(
            matches!(update.entries[0].freshness, Freshness::UpToDate),
            "{update:?}"
        );
    }
}

#[test]
fn an_unfinished_pull_tells_what_is_there_before_all_sizes_are_known() {
    let files = model("alpha", &[("a", bytes(1000, 1)), ("z", bytes(2000, 2))]);
    let site = Site::of(&files, without_sizes);
    let server = site.forge.server();
    server.rule(Rule::path_ends("/z").times(1).status(404));
    site.pull_with("mf6/test/alpha", &one_at_a_time())
        .unwrap_err();
    let left = |options: ListOptions| site.manager().list(&options).unwrap().partials;
    let of_source = ListOptions::default().source("mf6/test");
    let [partial] = left(of_source).try_into().unwrap();
    let here = 1000 + b"# alpha\n".len() as u64;
    assert_eq!((partial.bytes_done, partial.total_bytes), (here, None));
    assert_eq!(partial.files, Some(3));
    assert_eq!(left(ListOptions::default().model_type("x")), []);
    // Once they are, the pull says how much it is.
    server.rule(Rule::path_ends("/z").flip(3));
    site.pull_with("mf6/test/alpha", &one_at_a_time())
        .unwrap_err();
    server.clear_rules();
    site.pull("mf6/test/alpha").unwrap();
    site.assert_installed(ALPHA, "alpha", &files);
}
