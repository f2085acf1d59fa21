//! Pulls of files without sizes that end early, and the next ones that go on.

use std::fs;

use modelrack::{Manager, PullOptions};

use super::unsized_files::{
    ALPHA, RAW, TOTAL, alpha, one_at_a_time, without_hashes, without_sizes,
};
use super::{Site, model};
use crate::sources::repository::models::{Hashes, ModelsToml};
use crate::support::disk::flip;
use crate::support::server::Rule;
use crate::support::{address, bytes, chain};

fn hashes_only_missing(toml: ModelsToml) -> ModelsToml {
    toml.hashes(Hashes::Missing)
}

#[test]
fn a_pull_that_failed_anywhere_goes_on_with_what_is_missing() {
    for change in [without_sizes, without_hashes] {
        for k in 1..=7 {
            let site = Site::of(&alpha(), change);
            let server = site.forge.server();
            server.rule(Rule::path_starts(RAW).nth(k).status(404));
            let error = site
                .pull_with("mf6/test/alpha", &one_at_a_time())
                .unwrap_err();
            assert_eq!(error.code(), "NETWORK_ERROR", "{}", chain(&error));
            assert_eq!(site.raw().len() as u64, k);
            let nothing = (vec![], vec![ALPHA.to_owned()]);
            assert_eq!(site.rack.listed(), nothing);
            server.reset_counts();
            let plan = site
                .manager()
                .plan_pull(&address("mf6/test/alpha"), &PullOptions::default())
                .unwrap();
            assert_eq!(
                (plan.requests, plan.files_unsized as u64),
                ((8 - k) as usize, 8 - k)
            );
            assert_eq!(site.forge.server().connections(), 0);
            let report = site.pull("mf6/test/alpha").unwrap();
            assert_eq!(report.bytes_resumed, plan.bytes_resumed);
            assert_eq!(site.raw().len() as u64, 8 - k, "{:?}", site.fetched());
            assert_eq!(report.bytes_fetched + report.bytes_resumed, TOTAL, "{k}");
            site.assert_installed(ALPHA, "alpha", &alpha());
        }
    }
}

#[test]
fn a_pull_whose_bodies_break_anywhere_goes_on_with_what_is_missing() {
    for change in [without_sizes, without_hashes] {
        for k in 0..6 {
            let site = Site::of(&alpha(), change);
            let server = site.forge.server();
            let names =
                ["a", "b", "e", "in/c", "in/d", "mfsim.nam"].map(|name| format!("alpha/{name}"));
            let missing = &names[k..];
            server.rule(Rule::path_ends(&names[k]).cut_after(0));
            let error = site
                .pull_with("mf6/test/alpha", &one_at_a_time())
                .unwrap_err();
            assert_eq!(error.code(), "NETWORK_ERROR", "{}", chain(&error));
            server.clear_rules();
            server.reset_counts();
            site.pull("mf6/test/alpha").unwrap();
            let asked = site.fetched();
            let of_content = asked.iter().filter(|path| *path != "alpha/empty");
            assert!(of_content.eq(missing), "{asked:?}");
            site.assert_installed(ALPHA, "alpha", &alpha());
        }
    }
}

#[test]
fn bytes_of_a_partial_that_are_gone_are_fetched_anew() {
    for change in [without_sizes, without_hashes, hashes_only_missing] {
        let site = Site::of(&alpha(), change);
        let server = site.forge.server();
        server.rule(Rule::path_starts(RAW).nth(5).status(404));
        site.pull_with("mf6/test/alpha", &one_at_a_time())
            .unwrap_err();
        let cache = site.rack.store().join("cache");
        let partial = cache.join(&site.rack.cache()[0]);
        fs::remove_dir_all(partial.join("files")).unwrap();
        site.pull("mf6/test/alpha").unwrap();
        site.assert_installed(ALPHA, "alpha", &alpha());
    }
}

#[test]
fn bytes_of_a_partial_that_are_wrong_are_fetched_anew() {
    let site = Site::of(&alpha(), without_sizes);
    let server = site.forge.server();
    server.rule(Rule::path_starts(RAW).nth(5).status(404));
    site.pull_with("mf6/test/alpha", &one_at_a_time())
        .unwrap_err();
    let partial = site.rack.store().join("cache").join(&site.rack.cache()[0]);
    flip(&partial.join("files").join("b"), 7);
    fs::write(partial.join("files").join("a"), "cut").unwrap();
    server.reset_counts();
    site.pull("mf6/test/alpha").unwrap();
    assert_eq!(
        site.fetched(),
        [
            // Once for what is missing behind the beginning, which turns out to be wrong, and once for all.
            "alpha/a",
            "alpha/a",
            "alpha/b",
            "alpha/in/c",
            "alpha/in/d",
            "alpha/mfsim.nam"
        ]
    );
    site.assert_installed(ALPHA, "alpha", &alpha());
}

#[test]
fn a_large_file_that_failed_goes_on_with_the_ranges_that_are_missing() {
    let files = model(
        "large",
        &[("heads.bin", bytes((33 << 20) + 5, 1)), ("a", bytes(9, 2))],
    );
    for change in [without_sizes, without_hashes] {
        let site = Site::of(&files, change);
        let server = site.forge.server();
        server.rule(Rule::path_ends("heads.bin").nth(4).status(404));
        site.pull_with("mf6/test/large", &one_at_a_time())
            .unwrap_err();
        server.reset_counts();
        let plan = site
            .manager()
            .plan_pull(&address("mf6/test/large"), &PullOptions::default())
            .unwrap();
        assert_eq!((plan.requests, plan.files_unsized), (3, 0));
        let report = site.pull("mf6/test/large").unwrap();
        assert_eq!(site.raw().len(), 3, "{:?}", site.fetched());
        assert_eq!(report.bytes_resumed, plan.bytes_resumed);
        assert_eq!(report.bytes_resumed, (16 << 20) + 9 + 8);
        assert_eq!(
            report.bytes_fetched + report.bytes_resumed,
            report.total_bytes
        );
        site.assert_installed("mf6/test/large develop", "large", &files);
    }
}

#[test]
fn a_network_that_cuts_every_body_brings_a_model_all_the_same() {
    let files = model(
        "m",
        &[("heads.bin", bytes(5 << 20, 1)), ("a", bytes(3 << 20, 2))],
    );
    let as_it_is = |toml| toml;
    for change in [as_it_is, without_sizes, without_hashes, hashes_only_missing] {
        let site = Site::of(&files, change);
        let server = site.forge.server();
        server.rule(Rule::any().cut_after(2 << 20));
        site.pull("mf6/test/m").unwrap();
        site.assert_installed("mf6/test/m develop", "m", &files);
    }
}

#[test]
fn a_file_that_failed_goes_on_where_it_was() {
    let files = model("m", &[("heads.bin", bytes(5 << 20, 1))]);
    let as_it_is = |toml| toml;
    // The first request shows a size that is not stated, and is given up for a file that is not small.
    for (change, first) in [
        (as_it_is as fn(ModelsToml) -> ModelsToml, 1),
        (hashes_only_missing, 1),
        (without_sizes, 2),
        (without_hashes, 2),
    ] {
        let site = Site::of(&files, change);
        let server = site.forge.server();
        let heads = || Rule::path_ends("heads.bin");
        server.rule(heads().nth(first).cut_after(2 << 20));
        server.rule(
            heads()
                .and(|request| request.header("range").is_some())
                .status(404),
        );
        site.pull_with("mf6/test/m", &one_at_a_time()).unwrap_err();
        server.clear_rules();
        let report = site.pull("mf6/test/m").unwrap();
        let name_file = "# m\n".len() as u64;
        assert!(report.bytes_fetched <= (3 << 20) + name_file, "{report:?}");
        site.assert_installed("mf6/test/m develop", "m", &files);
    }
}

#[test]
fn a_file_whose_size_no_response_states_goes_on_where_it_was() {
    let files = model("m", &[("heads.bin", bytes(5 << 20, 1))]);
    let name_file = "# m\n".len() as u64;
    for change in [without_sizes, without_hashes] {
        let site = Site::of(&files, change);
        let server = site.forge.server();
        let heads = || Rule::path_ends("heads.bin");
        server.rule(heads().nth(1).chunked().cut_after(3 << 20));
        server.rule(heads().status(404));
        site.pull_with("mf6/test/m", &one_at_a_time()).unwrap_err();
        server.clear_rules();
        server.rule(heads().chunked());
        let report = site.pull("mf6/test/m").unwrap();
        assert_eq!(report.bytes_resumed, (3 << 20) - 1, "{report:?}");
        assert_eq!(report.bytes_fetched, (2 << 20) + 1 + name_file);
        site.assert_installed("mf6/test/m develop", "m", &files);
    }
}

#[test]
fn a_file_of_unknown_size_that_cannot_go_on_begins_anew() {
    let files = model("m", &[("heads.bin", bytes(5 << 20, 1))]);
    let heads = || Rule::path_ends("heads.bin");
    let fail = |site: &Site| {
        let server = site.forge.server();
        server.rule(heads().nth(1).chunked().cut_after(3 << 20));
        server.rule(heads().status(404));
        site.pull_with("mf6/test/m", &one_at_a_time()).unwrap_err();
        server.clear_rules();
        server.rule(heads().chunked());
    };
    // From a server without ranges.
    for change in [without_sizes, without_hashes] {
        let site = Site::of(&files, change);
        fail(&site);
        site.forge.server().clear_rules();
        let whole = heads().chunked().ignore_range();
        site.forge.server().rule(whole);
        let report = site.pull("mf6/test/m").unwrap();
        assert_eq!(report.bytes_resumed, 0);
        site.assert_installed("mf6/test/m develop", "m", &files);
    }
    // Where what is here is wrong, or not all here.
    let site = Site::of(&files, without_sizes);
    fail(&site);
    let partial = site.rack.store().join("cache").join(&site.rack.cache()[0]);
    flip(&partial.join("files").join("heads.bin"), 7);
    site.forge.server().reset_counts();
    site.pull("mf6/test/m").unwrap();
    assert_eq!(site.asked_for("heads.bin").len(), 2);
    site.assert_installed("mf6/test/m develop", "m", &files);
    for change in [without_sizes, without_hashes] {
        let site = Site::of(&files, change);
        fail(&site);
        let partial = site.rack.store().join("cache").join(&site.rack.cache()[0]);
        fs::write(partial.join("files").join("heads.bin"), &files[1].1[..9]).unwrap();
        let report = site.pull("mf6/test/m").unwrap();
        assert_eq!(report.bytes_resumed, 8);
        site.assert_installed("mf6/test/m develop", "m", &files);
    }
}

#[test]
fn retries_do_not_hide_what_was_resumed() {
    let site = Site::of(&alpha(), without_sizes);
    let server = site.forge.server();
    server.rule(Rule::path_starts(RAW).nth(6).status(404));
    site.pull_with("mf6/test/alpha", &one_at_a_time())
        .unwrap_err();
    server.rule(Rule::path_ends("in/d").times(2).cut_after(2000));
    let report = site.pull("mf6/test/alpha").unwrap();
    assert_eq!(report.bytes_resumed, 1000 + 2000 + 5000 + 3000);
    assert_eq!(
        report.bytes_fetched,
        4000 + 8,
        "a body goes on where it was cut"
    );
}
