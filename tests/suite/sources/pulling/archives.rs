//! Pulling many models at once: through one archive of their commit where that is cheaper.

use modelrack::mirror::{MirrorOptions, MirrorState, PublishTarget};
use modelrack::pull::{MatchingReport, PullOutcome};
use modelrack::transport::Url;
use modelrack::{ErrorKind, Manager, ModelPattern, PullOptions, Result};

use super::{Site, changed, inside, model};
use crate::sources::repository::models::{Hashes, ModelsToml, NamedFile};
use crate::support::disk::files_below;
use crate::support::forge::zip;
use crate::support::server::Rule;
use crate::support::{PATIENCE, address, bytes, chain, in_background};

const ARCHIVE: &str = "/o/models/archive/";
const ZIPBALL: &str = "/api/v3/repos/o/models/zipball/";
const RAW: &str = "/o/models/raw/";

/// A dozen models of six files, one of them empty.
fn many() -> Vec<NamedFile> {
    let models = (0..12).flat_map(|number: u64| {
        let files = [
            ("a.txt", bytes(500, 4 * number + 1)),
            ("in/b ü.txt", bytes(300, 4 * number + 2)),
            ("d", bytes(200, 4 * number + 3)),
            ("out/c", format!("{number}\n").repeat(100).into_bytes()),
            ("empty", Vec::new()),
        ];
        model(&format!("group/model{number:02}"), &files)
    });
    models.collect()
}

fn pattern(text: &str) -> ModelPattern {
    ModelPattern::parse(text, None).unwrap()
}

impl Site {
    fn pull_all(&self, text: &str) -> Result<MatchingReport> {
        let options = PullOptions::default();
        self.manager().pull_matching(&pattern(text), &options)
    }

    /// Archives that are kept with registries.
    fn kept(&self) -> Vec<String> {
        let cached = files_below(&self.rack.index_cache()).into_keys();
        cached.filter(|name| name.contains("archive-")).collect()
    }

    #[track_caller]
    fn assert_all_installed(&self, files: &[NamedFile]) {
        for number in 0..12 {
            let name = format!("mf6/test/group/model{number:02} develop");
            let folder = format!("group/model{number:02}");
            self.rack.assert_files(&name, &inside(&folder, files));
        }
        assert_eq!(self.rack.listed().0.len(), 12);
        assert_eq!(self.rack.cache(), Vec::<String>::new());
    }
}

#[test]
fn many_models_come_in_one_archive_that_is_removed_then() {
    let changes: [fn(ModelsToml) -> ModelsToml; 3] = [
        |toml| toml,
        ModelsToml::without_sizes,
        |toml| toml.without_sizes().hashes(Hashes::Missing),
    ];
    for change in changes {
        let site = Site::of(&many(), change);
        let report = site.pull_all("mf6/test@develop/*").unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        assert_eq!(report.pulled.len(), 12);
        assert!(report.bytes_archives > 10_000);
        let pulled = report.pulled.iter();
        assert_eq!(pulled.map(|pulled| pulled.bytes_fetched).sum::<u64>(), 0);
        assert_eq!(site.asked("/").len(), 1, "the archive");
        assert!(site.asked(ARCHIVE)[0].path.contains(&site.synced_commit()));
        site.assert_all_installed(&many());
        assert_eq!(site.kept(), Vec::<String>::new());

        site.forge.server().reset_counts();
        let again = site.pull_all("mf6/test@develop/*").unwrap();
        let outcomes = again.pulled.iter().map(|pulled| pulled.outcome);
        assert!(
            outcomes
                .into_iter()
                .all(|outcome| outcome == PullOutcome::AlreadyInstalled)
        );
        assert_eq!(site.forge.server().connections(), 0);
    }
}

#[test]
fn a_plan_for_many_models_fetches_nothing() {
    let site = Site::of(&many(), |toml| toml);
    let plans = site
        .manager()
        .plan_matching(
            &pattern("mf6/test@develop/group/model0?"),
            &PullOptions::default(),
        )
        .unwrap();
    assert_eq!(plans.len(), 10);
    assert!(plans.iter().all(|plan| plan.requests == 5));
    assert_eq!(site.forge.server().connections(), 0);
}

#[test]
fn a_few_files_come_one_by_one() {
    let site = Site::of(&many(), |toml| toml);
    let report = site.pull_all("mf6/test@develop/group/model0[0-3]").unwrap();
    assert_eq!((report.pulled.len(), report.bytes_archives), (4, 0));
    assert_eq!(site.raw().len(), 4 * 5);
    assert!(site.asked(ARCHIVE).is_empty());
    // Nor does an archive pay for what little of it is missing.
    for number in 4..10 {
        site.pull(&format!("mf6/test/group/model{number:02}"))
            .unwrap();
    }
    site.forge.server().reset_counts();
    site.pull_all("mf6/test/*").unwrap();
    assert!(site.asked(ARCHIVE).is_empty());
    assert_eq!(site.raw().len(), 2 * 5);
    site.assert_all_installed(&many());
}

#[test]
fn an_archive_that_cannot_be_had_is_looked_for_elsewhere_and_then_done_without() {
    let spoils: [fn(Rule) -> Rule; 4] = [
        |rule| rule.status(404),
        |rule| rule.status(500),
        Rule::html,
        |rule| rule.cut_after(500),
    ];
    for spoil in spoils {
        let site = Site::of(&many(), |toml| toml);
        site.forge.server().rule(spoil(Rule::path_starts(ARCHIVE)));
        let report = site.pull_all("mf6/test@develop/*").unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        site.assert_all_installed(&many());
        assert_eq!(site.kept(), Vec::<String>::new());
    }
    let site = Site::of(&many(), |toml| toml);
    let server = site.forge.server();
    server.rule(Rule::path_starts(ARCHIVE).status(404));
    site.pull_all("mf6/test@develop/*").unwrap();
    assert_eq!((site.asked(ZIPBALL).len(), site.raw().len()), (1, 0));
    site.assert_all_installed(&many());

    let site = Site::of(&many(), |toml| toml);
    let server = site.forge.server();
    server.rule(Rule::path_starts(ARCHIVE).status(404));
    server.rule(Rule::path_starts(ZIPBALL).status(404));
    site.pull_all("mf6/test@develop/*").unwrap();
    assert_eq!((site.asked(ZIPBALL).len(), site.raw().len()), (1, 60));
    site.assert_all_installed(&many());
}

#[test]
fn files_that_the_archive_has_otherwise_come_from_the_commit() {
    // As attributes of git say: left out, or changed while packing.
    let spoils: [fn(&mut Vec<NamedFile>); 3] = [
        |files| files.retain(|(name, _)| !name.ends_with("model07/a.txt")),
        |files| *files = changed(files, "group/model07/a.txt", &bytes(500, 999)),
        |files| *files = changed(files, "group/model07/a.txt", b"longer or shorter"),
    ];
    for spoil in spoils {
        let site = Site::of(&many(), |toml| toml);
        let mut packed = many();
        spoil(&mut packed);
        let packed: Vec<_> = packed
            .into_iter()
            .map(|(name, bytes)| (format!("models-c0ffee/mf6/{name}"), bytes))
            .collect();
        let rule = Rule::path_starts(ARCHIVE).body(zip(&packed));
        site.forge.server().rule(rule);
        let report = site.pull_all("mf6/test@develop/*").unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        let fetched = site.fetched();
        assert!(fetched.contains(&"group/model07/a.txt".to_owned()));
        assert!(
            fetched
                .iter()
                .all(|path| path.starts_with("group/model07/")),
            "{fetched:?}"
        );
        site.assert_all_installed(&many());
        assert_eq!(site.kept(), Vec::<String>::new());
    }
}

#[test]
fn one_model_that_fails_does_not_stop_the_rest_and_the_next_pull_goes_on() {
    let files = many();
    let wrong = changed(&files, "group/model07/a.txt", &bytes(500, 999));
    let site = Site::new();
    site.commit("develop", &wrong, ModelsToml::of(&files));
    site.sync();
    site.forge.server().reset_counts();
    let report = site.pull_all("mf6/test@develop/*").unwrap();
    assert_eq!((report.pulled.len(), report.failed.len()), (11, 1));
    let failed = &report.failed[0];
    assert_eq!(failed.model.to_string(), "mf6/test/group/model07 develop");
    assert_eq!(
        failed.error.code(),
        "HASH_MISMATCH",
        "{}",
        chain(&failed.error)
    );
    assert!(chain(&failed.error).contains("a.txt"));
    assert_eq!(site.kept().len(), 1, "for another try");
    let fixed = |site: &Site| {
        let bytes = files
            .iter()
            .find(|(name, _)| name == "group/model07/a.txt")
            .unwrap();
        let rule = Rule::path_ends("model07/a.txt").body(bytes.1.clone());
        site.forge.server().rule(rule);
    };
    fixed(&site);
    let report = site.pull_all("mf6/test@develop/*").unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    site.assert_all_installed(&files);
    assert_eq!(site.kept(), Vec::<String>::new());
}

#[test]
fn a_pattern_is_of_one_ref_or_of_all() {
    let site = Site::new();
    let files = many();
    let refs = ["develop", "release/6.5"];
    for reference in refs {
        site.commit(reference, &files, ModelsToml::of(&files));
    }
    site.sync_at(&refs);
    site.forge.server().reset_counts();
    let manager = site.manager_at(&refs);
    let pull = |text: &str, version: Option<&str>| {
        let pattern = ModelPattern::parse(text, version).unwrap();
        manager.pull_matching(&pattern, &PullOptions::default())
    };
    let of_one = pull("mf6/test/group/model0?", Some("develop")).unwrap();
    assert_eq!(of_one.pulled.len(), 10);
    let of_one = pull("mf6/test@release/6.5/group/model00*", None).unwrap();
    assert_eq!(
        of_one.pulled[0].model.to_string(),
        "mf6/test/group/model00 release/6.5"
    );
    // The bytes are there already, at the other ref.
    assert_eq!(of_one.pulled[0].bytes_fetched, 0);
    let of_both = pull("mf6/test/group/model1*", None).unwrap();
    assert_eq!(of_both.pulled.len(), 4);
    for (text, version) in [
        ("mf6/test/nothing*", None),
        ("mf6/test@develop/nothing*", None),
        ("other/*", None),
    ] {
        let error = pull(text, version).unwrap_err();
        assert_eq!(error.code(), "MODEL_NOT_FOUND", "{text}");
    }
    let error = pull("mf6/test@v9/*", None).unwrap_err();
    assert_eq!(error.code(), "NOT_SYNCED", "{error:?}");
    assert_eq!(
        pull("mf6/test@develop/a*", Some("develop"))
            .unwrap_err()
            .code(),
        "INVALID_REF"
    );
}

#[test]
fn offline_serves_what_is_there() {
    let site = Site::of(&many(), |toml| toml);
    site.pull_all("mf6/test@develop/*").unwrap();
    let offline = PullOptions::default().offline(true);
    let manager = site.manager();
    site.forge.server().reset_counts();
    let report = manager
        .pull_matching(&pattern("mf6/test/*"), &offline)
        .unwrap();
    assert_eq!(report.pulled.len(), 12);
    manager
        .remove(&address("mf6/test/group/model03"), &offline.cancel)
        .unwrap();
    let report = manager
        .pull_matching(&pattern("mf6/test/*"), &offline)
        .unwrap();
    assert_eq!((report.pulled.len(), report.failed.len()), (11, 1));
    assert!(matches!(
        report.failed[0].error.kind(),
        ErrorKind::Offline { .. }
    ));
    assert_eq!(site.forge.server().connections(), 0);
}

#[test]
fn cancelling_stops_all_of_it() {
    let site = Site::of(&many(), |toml| toml);
    let cancel = modelrack::CancelToken::new();
    let at_archive = cancel.clone();
    let rule = Rule::path_starts(ARCHIVE).on_request(move || at_archive.cancel());
    site.forge.server().rule(rule);
    let options = PullOptions::default().cancel(cancel);
    let error = site
        .manager()
        .pull_matching(&pattern("mf6/test/*"), &options)
        .unwrap_err();
    assert_eq!(error.code(), "CANCELLED");
    assert_eq!((site.raw().len(), site.asked(RAW).len()), (0, 0));
    assert!(site.rack.listed().0.is_empty());
    site.pull_all("mf6/test/*").unwrap();
    site.assert_all_installed(&many());
}

#[test]
fn two_pulls_of_overlapping_patterns_end_with_all_of_both() {
    let site = Site::of(&many(), |toml| toml);
    let pulls: Vec<_> = ["mf6/test@develop/*", "mf6/test@develop/group/*"]
        .map(|text| {
            let manager = site.manager();
            in_background(move || manager.pull_matching(&pattern(text), &PullOptions::default()))
        })
        .into();
    for pull in pulls {
        let report = pull.recv_timeout(PATIENCE).unwrap().unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        assert_eq!(report.pulled.len(), 12);
    }
    site.assert_all_installed(&many());
}

#[test]
fn many_models_are_mirrored_through_one_archive_and_pulled_from_the_mirror() {
    let files = many();
    let site = Site::of(&files, |toml| toml);
    let folder = site.rack.temp.path().join("mirror");
    let options = MirrorOptions::default().patterns([pattern("mf6/test@develop/*")]);
    let to = PublishTarget::from(&folder);
    let report = site.manager().mirror(&to, &options).unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    assert_eq!(report.versions.len(), 12);
    assert_eq!(report.bytes_fetched(), report.bytes_archives);
    assert_eq!(site.asked("/").len(), 1, "the archive");
    assert_eq!(site.kept(), Vec::<String>::new());
    assert_eq!(site.rack.listed().0, Vec::<String>::new());
    assert_eq!(site.rack.cache(), Vec::<String>::new());

    let again = site.manager().mirror(&to, &options).unwrap();
    let mut versions = again.versions.iter();
    assert!(versions.all(|version| version.state == MirrorState::Unchanged));
    assert_eq!(site.asked("/").len(), 1, "no more than before");

    let url = Url::from_path(&folder).unwrap().expose();
    let config = site.rack.bare_config().registry_url(url);
    let pulled = site
        .rack
        .manager_of(config)
        .pull_matching(&pattern("mf6/test/*"), &PullOptions::default())
        .unwrap();
    assert!(pulled.failed.is_empty(), "{pulled:?}");
    site.assert_all_installed(&files);
}
