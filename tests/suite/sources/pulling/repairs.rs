//! Installed models that are damaged: verified, and mended from the commit that they are of.

use std::fs;

use modelrack::installed::{Damage, VerifyReport};
use modelrack::pull::PullOutcome;
use modelrack::{Manager, PullOptions, VerifyOptions};
use serde_json::Value;

use super::{Site, changed, model};
use crate::cli::run_line;
use crate::sources::repository::models::{Hashes, ModelsToml, NamedFile};
use crate::support::bytes;
use crate::support::disk::flip;
use crate::support::forge::zip;
use crate::support::registry::digest;
use crate::support::server::Rule;

const ALPHA: &str = "mf6/test/alpha develop";

fn alpha() -> Vec<NamedFile> {
    let files = [
        ("a", bytes(1000, 1)),
        ("in/b", bytes(2000, 2)),
        ("c", bytes(3000, 3)),
    ];
    model("alpha", &files)
}

fn verify(site: &Site, repair: bool) -> modelrack::Result<VerifyReport> {
    let options = VerifyOptions::default().repair(repair);
    site.manager().verify(&options)
}

fn damaged(report: &VerifyReport) -> Vec<(&str, Damage)> {
    let damaged = report.models[0].damaged.iter();
    damaged
        .map(|file| (file.path.as_str(), file.damage))
        .collect()
}

#[test]
fn only_what_is_damaged_is_fetched_from_the_commit_that_is_installed() {
    let alters: [fn(ModelsToml) -> ModelsToml; 2] = [|toml| toml, ModelsToml::without_sizes];
    for alter in alters {
        let site = Site::of(&alpha(), alter);
        let dir = site.pull("mf6/test/alpha").unwrap().path;
        let commit = site.synced_commit();
        assert!(damaged(&verify(&site, false).unwrap()).is_empty());
        flip(&dir.join("in").join("b"), 9);
        // The branch moves on, and its registry is synced.
        let moved = changed(&alpha(), "alpha/in/b", b"moved");
        site.commit("develop", &moved, alter(ModelsToml::of(&moved)));
        site.sync();
        site.forge.server().reset_counts();
        let report = verify(&site, true).unwrap();
        assert_eq!(damaged(&report), [("in/b", Damage::WrongDigest)]);
        assert!(report.models[0].is_whole());
        assert_eq!(
            report.models[0].repaired.as_ref().unwrap().bytes_fetched,
            2000
        );
        assert_eq!(
            site.raw_requests(),
            [(commit.clone(), "mf6/alpha/in/b".to_owned())]
        );
        site.assert_installed(ALPHA, "alpha", &alpha());
        // It is still of the commit that it was of.
        let record = &site.rack.record()["mf6/test"]["alpha"]["develop"];
        assert_eq!(record["pin"]["commit"], *commit);
        assert!(damaged(&verify(&site, false).unwrap()).is_empty());
    }
}

#[test]
fn of_files_without_hashes_the_size_tells() {
    let site = unhashed();
    let dir = site.pull("mf6/test/alpha").unwrap().path;
    fs::remove_file(dir.join("a")).unwrap();
    fs::write(dir.join("c"), "short").unwrap();
    let report = verify(&site, true).unwrap();
    assert_eq!(
        damaged(&report),
        [("a", Damage::Missing), ("c", Damage::WrongSize)]
    );
    site.assert_installed(ALPHA, "alpha", &alpha());
}

/// The files of [`alpha`], in order.
const UNHASHED: [&str; 4] = ["a", "c", "in/b", "mfsim.nam"];

/// Files that no digest of the registry covers.
fn unhashed() -> Site {
    Site::of(&alpha(), |toml| {
        toml.without_sizes().hashes(Hashes::Missing)
    })
}

#[test]
fn of_files_without_hashes_what_came_with_the_pull_tells() {
    let alters: [fn(ModelsToml) -> ModelsToml; 2] = [
        |toml| toml.hashes(Hashes::Missing),
        |toml| toml.without_sizes().hashes(Hashes::Missing),
    ];
    for alter in alters {
        let site = Site::of(&alpha(), alter);
        let pulled = site.pull("mf6/test/alpha").unwrap();
        assert_eq!(pulled.files_unverified, UNHASHED);
        let report = verify(&site, false).unwrap();
        assert!(damaged(&report).is_empty() && report.models[0].unchecked.is_empty());
        assert_eq!(report.models[0].bytes, pulled.total_bytes);

        flip(&pulled.path.join("c"), 9);
        let report = verify(&site, false).unwrap();
        assert_eq!(damaged(&report), [("c", Damage::WrongDigest)]);
        let run = run_line(&site.mount(), "verify mf6/test/alpha develop --json");
        assert_eq!(run.code, 6);
        assert_eq!(run.json()["models"][0]["damaged"][0]["path"], "c");

        // Another file under the name is no repair.
        let server = site.forge.server();
        server.rule(Rule::path_ends("alpha/c").body(bytes(3000, 99)));
        assert_eq!(verify(&site, true).unwrap_err().code(), "HASH_MISMATCH");
        server.clear_rules();
        let report = verify(&site, true).unwrap();
        let repaired = report.models[0].repaired.as_ref().unwrap();
        assert_eq!(repaired.bytes_fetched, 3000);
        assert_eq!(repaired.files_unverified, UNHASHED);
        site.assert_installed(ALPHA, "alpha", &alpha());
        assert!(damaged(&verify(&site, false).unwrap()).is_empty());

        // Nothing of it vouches for the source.
        let again = site.pull("mf6/test/alpha").unwrap();
        assert_eq!(again.outcome, PullOutcome::AlreadyInstalled);
        assert_eq!(again.files_unverified, UNHASHED);
        let strict = PullOptions::default().require_hashes(true);
        assert!(site.pull_with("mf6/test/alpha", &strict).is_err());
        let anew = PullOptions::default().force(true);
        let anew = site.pull_with("mf6/test/alpha", &anew).unwrap();
        assert_eq!(anew.bytes_fetched, pulled.total_bytes);
    }
}

#[test]
fn what_a_store_has_no_digest_of_is_said() {
    let site = unhashed();
    let dir = site.pull("mf6/test/alpha").unwrap().path;
    // As a program leaves it that learns none.
    let path = dir.join(".rack").join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for file in manifest["files"].as_array_mut().unwrap() {
        file.as_object_mut().unwrap().remove("learned_sha256");
    }
    let manifest = manifest.to_string();
    fs::write(&path, &manifest).unwrap();
    let mut record = site.rack.record();
    record["mf6/test"]["alpha"]["develop"]["manifest_hash"] = digest(manifest.as_bytes()).into();
    fs::write(site.rack.store().join("registry.json"), record.to_string()).unwrap();

    flip(&dir.join("c"), 9);
    let report = verify(&site, false).unwrap();
    assert!(damaged(&report).is_empty(), "{report:?}");
    assert_eq!(report.models[0].unchecked, UNHASHED);
    let run = run_line(&site.mount(), "verify");
    assert_eq!(
        (run.code, &*run.err),
        (
            0,
            "warning: mf6/test/alpha develop: 4 files, such as 'a', were compared by their sizes \
             only: no digests of them are known\n"
        )
    );
}

#[test]
fn a_lost_manifest_is_made_again_from_the_registry() {
    let alters: [fn(ModelsToml) -> ModelsToml; 2] = [|toml| toml, ModelsToml::without_sizes];
    for alter in alters {
        let site = Site::of(&alpha(), alter);
        let dir = site.pull("mf6/test/alpha").unwrap().path;
        fs::write(dir.join(".rack").join("manifest.json"), "{}").unwrap();
        let report = verify(&site, true).unwrap();
        assert!(report.models[0].is_whole(), "{report:?}");
        site.assert_installed(ALPHA, "alpha", &alpha());
        assert!(damaged(&verify(&site, false).unwrap()).is_empty());
    }
}

#[test]
fn a_member_of_a_zip_is_fetched_alone() {
    let mut files = alpha();
    files.extend(model("filler", &[("x", bytes(1 << 20, 9))]));
    let site = Site::new();
    site.repo.commit("develop", [("README.md", "x")]);
    let toml: Vec<u8> = ModelsToml::of(&files).asset("models.zip").into();
    site.repo.release(
        "current",
        [("models.toml", toml), ("models.zip", zip(&files))],
    );
    site.sync_at(&["current"]);
    let manager = site.manager_at(&["current"]);
    let options = PullOptions::default();
    let dir = manager
        .pull(&crate::support::address("mf6/test/alpha"), &options)
        .unwrap()
        .path;
    flip(&dir.join("c"), 9);
    site.forge.server().reset_counts();
    let report = manager
        .verify(&VerifyOptions::default().repair(true))
        .unwrap();
    assert_eq!(damaged(&report), [("c", Damage::WrongDigest)]);
    assert!(report.models[0].repaired.as_ref().unwrap().bytes_fetched < 3100);
    site.assert_installed("mf6/test/alpha current", "alpha", &files);
}

#[test]
fn what_cannot_be_repaired_stays_as_it_is() {
    let site = Site::of(&alpha(), |toml| toml);
    let dir = site.pull("mf6/test/alpha").unwrap().path;
    flip(&dir.join("c"), 9);
    site.forge
        .server()
        .rule(Rule::path_ends("alpha/c").status(404));
    assert_eq!(verify(&site, true).unwrap_err().code(), "NETWORK_ERROR");
    let report = verify(&site, false).unwrap();
    assert_eq!(damaged(&report), [("c", Damage::WrongDigest)]);
    assert_eq!(fs::read(dir.join("a")).unwrap(), bytes(1000, 1));
    site.forge.server().clear_rules();
    verify(&site, true).unwrap();
    site.assert_installed(ALPHA, "alpha", &alpha());
}
