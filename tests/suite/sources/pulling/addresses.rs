//! The forms in which a model of a repository is named, for every operation that takes one.

use std::fs;

use modelrack::pull::PullOutcome;
use modelrack::{CancelToken, CopyOptions, ErrorKind, Manager, ModelManager, PullOptions};

use super::{Site, inside, model};
use crate::sources::repository::models::{ModelsToml, NamedFile};
use crate::support::disk::{files_below, write_files};
use crate::support::{bytes, chain};

/// `alpha`, and `deep/er/beta` two folders further down.
fn files() -> Vec<NamedFile> {
    let mut files = model("alpha", &[("in/a", bytes(100, 1)), ("b", bytes(200, 2))]);
    files.extend(model("deep/er/beta", &[("x/y/z", bytes(300, 3))]));
    files
}

fn listed(files: &[NamedFile]) -> ModelsToml {
    ModelsToml::of(files)
}

fn pull(
    manager: &ModelManager,
    text: &str,
    version: Option<&str>,
) -> modelrack::Result<modelrack::PullReport> {
    let address = modelrack::ModelAddress::parse(text, version)?;
    manager.pull(&address, &PullOptions::default())
}

fn address(text: &str, version: Option<&str>) -> modelrack::ModelAddress {
    modelrack::ModelAddress::parse(text, version).unwrap()
}

#[test]
fn every_form_names_the_same_model() {
    let site = Site::of(&files(), |toml| toml);
    let forms = [
        ("mf6/test@develop/deep/er/beta", None),
        ("mf6/test/deep/er/beta", Some("develop")),
        ("mf6/test/deep/er/beta@develop", None),
        ("mf6/test/deep/er/beta", None),
        // The source by its key, and the path as it is in the repository.
        ("testmodels@develop/deep/er/beta", None),
        ("testmodels@develop/mf6/deep/er/beta", None),
        ("mf6/test@develop/mf6/deep/er/beta", None),
        ("testmodels/deep/er/beta", Some("develop")),
        ("testmodels/mf6/deep/er/beta", None),
    ];
    let name = "mf6/test/deep/er/beta develop";
    for (number, (text, version)) in forms.into_iter().enumerate() {
        let manager = site.manager();
        let report = pull(&manager, text, version).unwrap();
        assert_eq!(report.model.to_string(), name);
        let outcome = if number == 0 {
            PullOutcome::Installed
        } else {
            PullOutcome::AlreadyInstalled
        };
        assert_eq!(report.outcome, outcome, "{text}");
        site.assert_installed(name, "deep/er/beta", &files());
        let address = address(text, version);
        assert_eq!(manager.path(&address).unwrap(), site.rack.dir_of(name));
        assert_eq!(manager.get(&address).unwrap().files().len(), 2);
    }
    for (text, version) in forms {
        let manager = site.manager();
        pull(&manager, text, version).unwrap();
        manager
            .remove(&address(text, version), &CancelToken::new())
            .unwrap();
        assert!(site.rack.listed().0.is_empty(), "{text}");
        assert!(!site.rack.dir_of(name).exists());
    }
}

#[test]
fn the_longest_ref_that_is_known_wins() {
    let site = Site::new();
    let mut other = files();
    other.extend(model("x/alpha", &[("who", b"feature".to_vec())]));
    let slashed = model("alpha", &[("who", b"feature/x".to_vec())]);
    site.commit("feature", &other, listed(&other));
    site.commit("feature/x", &slashed, listed(&slashed));
    let both = ["feature", "feature/x"];
    site.sync_at(&both);
    let manager = site.manager_at(&both);
    let report = pull(&manager, "mf6/test@feature/x/alpha", None).unwrap();
    assert_eq!(report.model.to_string(), "mf6/test/alpha feature/x");
    let dir = manager
        .path(&address("mf6/test@feature/x/alpha", None))
        .unwrap();
    assert_eq!(fs::read(dir.join("who")).unwrap(), b"feature/x");
    // Only the shorter has this one.
    let report = pull(&manager, "mf6/test@feature/deep/er/beta", None).unwrap();
    assert_eq!(report.model.to_string(), "mf6/test/deep/er/beta feature");
    assert_eq!(site.rack.listed().0.len(), 2);

    // As long as nobody synced the longer, there is only one reading.
    let site = Site::new();
    site.commit("feature", &other, listed(&other));
    site.sync_at(&["feature"]);
    let manager = site.manager_at(&["feature"]);
    let report = pull(&manager, "mf6/test@feature/x/alpha", None).unwrap();
    assert_eq!(report.model.to_string(), "mf6/test/x/alpha feature");
}

#[test]
fn a_commit_is_a_ref() {
    let site = Site::new();
    let commit = site.commit("develop", &files(), listed(&files()));
    site.commit(
        "develop",
        &model("alpha", &[]),
        listed(&model("alpha", &[])),
    );
    for reference in [commit.as_str(), &commit[..10]] {
        site.sync_at(&[reference]);
        let manager = site.manager_at(&[reference]);
        let report = pull(&manager, &format!("mf6/test@{reference}/alpha"), None).unwrap();
        assert_eq!(report.model.version(), reference);
        assert_eq!(report.files, 3);
    }
    assert!(site.raw_requests().iter().all(|(at, _)| *at == commit));
}

#[test]
fn one_model_at_two_refs_lies_side_by_side_and_must_be_told_apart() {
    let site = Site::new();
    let refs = ["develop", "release/6.5"];
    let newer = super::changed(&files(), "alpha/b", b"newer");
    site.commit("develop", &newer, listed(&newer));
    site.commit("release/6.5", &files(), listed(&files()));
    site.sync_at(&refs);
    let manager = site.manager_at(&refs);
    let error = pull(&manager, "mf6/test/alpha", None).unwrap_err();
    let ErrorKind::InvalidRef { choices, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(
        choices,
        &["mf6/test/alpha develop", "mf6/test/alpha release/6.5"]
    );
    pull(&manager, "mf6/test@develop/alpha", None).unwrap();
    // Installed at one ref only, but offered at two.
    assert_eq!(
        pull(&manager, "mf6/test/alpha", None).unwrap_err().code(),
        "INVALID_REF"
    );
    manager.path(&address("mf6/test/alpha", None)).unwrap();
    pull(&manager, "mf6/test/alpha", Some("release/6.5")).unwrap();
    site.assert_installed("mf6/test/alpha develop", "alpha", &newer);
    let dir = manager
        .path(&address("mf6/test@release/6.5/alpha", None))
        .unwrap();
    assert!(dir.ends_with("release%2F6.5"), "{dir:?}");
    let there = files_below(&dir);
    for (name, bytes) in inside("alpha", &files()) {
        assert_eq!(there[name], bytes);
    }
    for (text, code) in [
        ("mf6/test/alpha", "INVALID_REF"),
        ("mf6/test/alpha@v1", "NOT_INSTALLED"),
        ("mf6/test@develop/beta", "NOT_INSTALLED"),
    ] {
        let error = manager.path(&address(text, None)).unwrap_err();
        assert_eq!(error.code(), code, "{text}: {}", chain(&error));
    }
}

#[test]
fn a_model_in_the_folder_of_another_is_a_model_of_its_own() {
    let mut files = model("alpha", &[("a", bytes(10, 1))]);
    files.extend(model("alpha/flow", &[("b", bytes(20, 2))]));
    let site = Site::of(&files, |toml| toml);
    let manager = site.manager();
    for model in ["mf6/test/alpha/flow", "mf6/test@develop/alpha"] {
        pull(&manager, model, None).unwrap();
    }
    let flow = "mf6/test/alpha/flow develop";
    site.assert_installed(flow, "alpha/flow", &files);
    site.assert_installed("mf6/test/alpha develop", "alpha", &files[..2]);
    let outer = address("mf6/test/alpha", None);
    manager.remove(&outer, &CancelToken::new()).unwrap();
    site.assert_installed(flow, "alpha/flow", &files);
}

/// The key and the path of the repository come last: what has the name is the model.
#[test]
fn a_name_comes_before_a_path_of_the_repository() {
    let mut files = model("alpha", &[("a", bytes(10, 1))]);
    files.extend(model("mf6/alpha", &[("b", bytes(20, 2))]));
    let site = Site::of(&files, |toml| toml);
    let report = pull(&site.manager(), "testmodels@develop/mf6/alpha", None).unwrap();
    assert_eq!(report.model.to_string(), "mf6/test/mf6/alpha develop");
    let pattern = "testmodels@develop/mf6/*".parse().unwrap();
    let planned = |site: &Site| -> Vec<String> {
        let manager = site.manager();
        let plans = manager.plan_matching(&pattern, &PullOptions::default());
        let plans = plans.unwrap();
        plans.iter().map(|plan| plan.model.to_string()).collect()
    };
    assert_eq!(planned(&site), ["mf6/test/mf6/alpha develop"]);
    let site = Site::of(&files[..2], |toml| toml);
    assert_eq!(planned(&site), ["mf6/test/alpha develop"]);
}

#[test]
fn a_ref_that_lacks_a_model_names_those_that_have_it() {
    let site = Site::of(&files(), |toml| toml);
    let others = &files()[3..];
    site.commit("feature/new-grid", others, listed(others));
    site.commit("v2", &files(), listed(&files()));
    let refs = ["develop", "feature/new-grid", "v2"];
    site.sync_at(&refs);
    let manager = site.manager_at(&refs);
    for (text, version) in [
        ("mf6/test/alpha", Some("feature/new-grid")),
        ("mf6/test@feature/new-grid/alpha", None),
        ("testmodels@feature/new-grid/mf6/alpha", None),
    ] {
        let error = pull(&manager, text, version).unwrap_err();
        let ErrorKind::VersionNotFound { near, version, .. } = error.kind() else {
            panic!("{text}: {}", chain(&error));
        };
        assert_eq!(
            (&**version, near.as_slice()),
            ("feature/new-grid", &["develop".into(), "v2".into()][..])
        );
    }
}

#[test]
fn a_name_without_its_source_is_found_nearby() {
    let site = Site::of(&files(), |toml| toml);
    for (typed, expected_near, expected_sources) in [
        ("beta", &["mf6/test/deep/er/beta"][..], &[][..]),
        ("x/y", &[], &[]),
        ("mf6/test", &[], &["mf6/test"]),
        ("testmodels", &[], &["mf6/test"]),
        ("mf6/tst/other", &[], &["mf6/test"]),
    ] {
        let error = pull(&site.manager(), typed, None).unwrap_err();
        let ErrorKind::ModelNotFound { near, sources, .. } = error.kind() else {
            panic!("{typed}: {}", chain(&error));
        };
        assert_eq!(
            (near.as_slice(), sources.as_slice()),
            (
                expected_near
                    .iter()
                    .map(|it| (*it).to_owned())
                    .collect::<Vec<_>>()
                    .as_slice(),
                expected_sources
                    .iter()
                    .map(|it| (*it).to_owned())
                    .collect::<Vec<_>>()
                    .as_slice(),
            ),
            "{typed}"
        );
    }
}

#[test]
fn what_is_not_there_is_told_apart() {
    let site = Site::of(&files(), |toml| toml);
    let manager = site.manager();
    let error = pull(&manager, "mf6/test/alhpa", None).unwrap_err();
    let ErrorKind::ModelNotFound { near, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(near, &["mf6/test/alpha"]);
    for (text, version, code) in [
        ("mf6/test@develop/alhpa", None, "MODEL_NOT_FOUND"),
        ("mf6/test/deep", None, "MODEL_NOT_FOUND"),
        ("mf6/tset/alpha", None, "MODEL_NOT_FOUND"),
        ("mf6/test@master/alpha", None, "NOT_SYNCED"),
        ("mf6/test/alpha", Some("master"), "NOT_SYNCED"),
        ("mf6/test@develop", None, "INVALID_REF"),
        ("mf6/test@develop/alpha", Some("develop"), "INVALID_REF"),
    ] {
        let error = pull(&manager, text, version).unwrap_err();
        assert_eq!(error.code(), code, "{text}: {}", chain(&error));
    }
    assert_eq!(
        site.forge.server().connections(),
        0,
        "a look-up opens no socket"
    );
    let auto = site.rack.manager_of(site.config().auto_sync(true));
    site.commit("master", &files(), listed(&files()));
    let report = pull(&auto, "mf6/test@master/alpha", None).unwrap();
    assert_eq!(report.model.to_string(), "mf6/test/alpha master");
    let error = pull(&auto, "mf6/test@mister/alpha", None).unwrap_err();
    assert!(
        chain(&error).contains("does not exist"),
        "{}",
        chain(&error)
    );
}

#[test]
fn a_copy_keeps_the_folders_below_the_models_own_root() {
    let site = Site::of(&files(), |toml| toml);
    let manager = site.manager();
    let forms = [
        ("mf6/test@develop/deep/er/beta", None),
        ("mf6/test/deep/er/beta", Some("develop")),
        ("mf6/test/deep/er/beta@develop", None),
        ("mf6/test/deep/er/beta", None),
    ];
    let expected: Vec<(String, Vec<u8>)> = vec![
        ("mfsim.nam".to_owned(), b"# deep/er/beta\n".to_vec()),
        ("x/y/z".to_owned(), bytes(300, 3)),
    ];
    for (number, (text, version)) in forms.into_iter().enumerate() {
        let to = site.rack.temp.path().join(format!("workspace {number}"));
        let copy = |options: CopyOptions| manager.copy(&address(text, version), &to, &options);
        let report = copy(CopyOptions::default()).unwrap();
        assert_eq!((report.copied, report.unchanged), (2, 0));
        assert_eq!(report.pulled.is_some(), number == 0, "{text}");
        assert_eq!(files_below(&to).into_iter().collect::<Vec<_>>(), expected);
        let report = copy(CopyOptions::default()).unwrap();
        assert_eq!((report.copied, report.unchanged), (0, 2));
        write_files(&to, &[("x/y/z", b"mine"), ("other", b"kept")]);
        let error = copy(CopyOptions::default()).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Exists { .. }),
            "{error:?}"
        );
        assert_eq!(fs::read(to.join("x").join("y").join("z")).unwrap(), b"mine");
        let report = copy(CopyOptions::default().force(true)).unwrap();
        assert_eq!((report.copied, report.unchanged), (1, 1));
        assert_eq!(fs::read(to.join("other")).unwrap(), b"kept");
    }
}

#[test]
fn copies_of_two_refs_are_asked_for_by_name() {
    let site = Site::new();
    let refs = ["develop", "master"];
    for reference in refs {
        site.commit(reference, &files(), listed(&files()));
    }
    site.sync_at(&refs);
    let manager = site.manager_at(&refs);
    let to = site.rack.temp.path().join("workspace");
    let options = CopyOptions::default();
    let copy = |text: &str| manager.copy(&address(text, None), &to, &options);
    assert_eq!(copy("mf6/test/alpha").unwrap_err().code(), "INVALID_REF");
    assert!(!to.exists());
    copy("mf6/test@master/alpha").unwrap();
    // Only one is installed now.
    assert_eq!(copy("mf6/test/alpha").unwrap().unchanged, 3);
    copy("mf6/test@develop/alpha").unwrap();
    assert_eq!(copy("mf6/test/alpha").unwrap_err().code(), "INVALID_REF");
}
