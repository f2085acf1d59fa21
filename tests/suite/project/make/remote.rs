//! Making a registry from the archive of a repository, or from a zip of a release.

use std::fs;

use modelrack::project::MakeOptions;
use modelrack::{CancelToken, Manager, ModelManager, PullOptions, RemoteOptions, SyncOptions};

use super::{Publisher, expected, expected_of_release, tree};
use crate::sources::repository::models::real_models;
use crate::support::disk::names_in;
use crate::support::forge::zip;
use crate::support::server::{Request, Rule};
use crate::support::{address, chain};

fn of_mf6(publisher: &Publisher) -> MakeOptions {
    publisher.of_archive("develop", "mf6").name("mf6/test")
}

#[test]
fn the_archive_of_a_branch_is_indexed() {
    let publisher = Publisher::with_models();
    let report = publisher.make(&of_mf6(&publisher)).unwrap();
    assert_eq!(publisher.made(), expected());
    assert_eq!(
        (
            report.models,
            report.examples,
            report.files,
            report.total_bytes
        ),
        (3, 1, 7, 3 + 12 + 3 + 4 + 9 + 21 + 8)
    );
    assert_eq!(report.path, publisher.output().join("models.toml"));
    let url = format!("{}/o/models/archive/develop.zip", publisher.forge.url());
    assert_eq!((report.source, report.notes), (url, vec![]));
    // Two requests, the second for attributes that the archive lacks, and none to the rate-limited API.
    let requests = publisher.forge.server().requests();
    assert_eq!((requests.len(), publisher.forge.api_requests()), (2, 0));
}

#[test]
fn the_archive_comes_from_the_api_if_the_server_has_none() {
    let publisher = Publisher::with_models();
    let archives = Rule::path_contains("/archive/").status(404);
    publisher.forge.server().rule(archives);
    let report = publisher.make(&of_mf6(&publisher)).unwrap();
    assert_eq!(publisher.made(), expected());
    assert!(
        report
            .source
            .contains("/api/v3/repos/o/models/zipball/develop")
    );
}

#[test]
fn refs_of_every_kind_are_indexed() {
    let publisher = Publisher::with_models();
    let commit = publisher.repo.commit("feature/x", tree());
    publisher.repo.tag("v1", &commit);
    for reference in ["feature/x", "v1", &commit] {
        let options = publisher.of_archive(reference, "mf6").name("mf6/test");
        publisher.make(&options).unwrap();
        assert_eq!(publisher.made(), expected(), "{reference}");
    }
}

#[test]
fn a_private_repository_is_indexed_with_a_token() {
    let publisher = Publisher::with_models();
    publisher.repo.require_token("s3cret");
    let error = publisher.refuse(&of_mf6(&publisher));
    assert_eq!(error.code(), "REGISTRY_ERROR");
    assert!(chain(&error).contains("is private"), "{}", chain(&error));
    let environment = publisher.environment().variable("GITHUB_TOKEN", "s3cret");
    let options = of_mf6(&publisher).environment(environment);
    publisher.make(&options).unwrap();
    assert_eq!(publisher.made(), expected());
}

#[test]
fn a_token_that_has_expired_closes_no_public_repository() {
    for status in [401, 403, 404] {
        let publisher = Publisher::with_models();
        let with_token = |request: &Request| request.header("authorization").is_some();
        let refuse = Rule::when(with_token).status(status);
        publisher.forge.server().rule(refuse);
        let environment = publisher.environment().variable("GITHUB_TOKEN", "old");
        let options = of_mf6(&publisher).environment(environment);
        publisher.make(&options).unwrap();
        assert_eq!(publisher.made(), expected(), "{status}");
    }
    let publisher = Publisher::with_models();
    publisher.forge.server().rule(Rule::any().status(401));
    let environment = publisher.environment().variable("GH_TOKEN", "old");
    let error = publisher.refuse(&of_mf6(&publisher).environment(environment));
    assert_eq!(error.code(), "AUTHENTICATION_ERROR");
    let shown = chain(&error);
    assert!(
        shown.contains("the server refuses the token in GH_TOKEN ("),
        "{shown}"
    );
}

#[test]
fn a_zip_of_a_private_release_comes_through_the_interface() {
    let publisher = Publisher::new();
    publisher.repo.require_token("s3cret");
    publisher.repo.hide_downloads();
    publisher.repo.release("v1", [("all.zip", zip(&tree()))]);
    let environment = publisher.environment().variable("GITHUB_TOKEN", "s3cret");
    let options = publisher.of_asset("v1", "all.zip", "mf6/").name("mf6/test");
    publisher
        .make(&options.environment(environment.clone()))
        .unwrap();
    let made =
        expected_of_release().replace("root = \"mf6\"", "root = \"mf6\"\nasset = \"all.zip\"");
    assert_eq!(publisher.made(), made);
    let options = publisher
        .of_asset("v1", "other.zip", "mf6/")
        .environment(environment);
    let shown = chain(&publisher.refuse(&options));
    let said = "file 'other.zip' not found as release asset for 'o/models@v1'";
    assert!(shown.contains(said), "{shown}");
}

#[test]
fn a_source_configures_how_its_repository_is_reached() {
    let publisher = Publisher::with_models();
    let config = publisher.config().bootstrap(format!(
        "[sources.x]\nrepo = \"o/models\"\nserver = \"{0}\"\narchive = \"{0}/api/v3/repos/{{repo}}/zipball/{{ref}}\"\n",
        publisher.forge.url()
    ));
    let mut options = of_mf6(&publisher).environment(publisher.rack.environment());
    options.config = config;
    publisher.make(&options).unwrap();
    assert_eq!(publisher.made(), expected());
    assert_eq!(publisher.forge.server().count("/o/models/archive"), 0);
}

#[test]
fn a_zip_of_a_release_is_indexed() {
    let publisher = Publisher::new();
    let inside: Vec<_> = tree()
        .into_iter()
        .filter_map(|(name, text)| Some((name.strip_prefix("mf6/")?, text)))
        .collect();
    publisher.repo.release("v1", [("all.zip", zip(&inside))]);
    let options = publisher.of_asset("v1", "all.zip", "").name("mf6/test");
    let report = publisher.make(&options).unwrap();
    let asset = expected_of_release().replace("root = \"mf6\"", "asset = \"all.zip\"");
    assert_eq!(publisher.made(), asset);
    assert!(
        report
            .source
            .ends_with("/o/models/releases/download/v1/all.zip")
    );

    publisher.repo.release("v1", [("all.zip", zip(&tree()))]);
    let options = publisher.of_asset("v1", "all.zip", "mf6/").name("mf6/test");
    publisher.make(&options).unwrap();
    let both =
        expected_of_release().replace("root = \"mf6\"", "root = \"mf6\"\nasset = \"all.zip\"");
    assert_eq!(publisher.made(), both);
}

#[test]
fn urls_are_for_readers_that_need_them() {
    let publisher = Publisher::with_models();
    publisher.make(&of_mf6(&publisher).urls(true)).unwrap();
    let made = publisher.made();
    let url = format!(
        "url = \"{}/o/models/raw/develop/mf6/test001a/gr%C3%B6sse%202.txt\" }}",
        publisher.forge.url()
    );
    assert!(made.contains(&url), "{made}");
    assert_eq!(made.matches("url = ").count(), 7);

    publisher.repo.release("v1", [("all.zip", zip(&tree()))]);
    let options = publisher.of_asset("v1", "all.zip", "mf6").urls(true);
    publisher.make(&options).unwrap();
    let url = format!(
        "{}/o/models/releases/download/v1/all.zip",
        publisher.forge.url()
    );
    assert_eq!(publisher.made().matches(&url).count(), 7);
}

#[test]
fn missing_repositories_refs_and_files_are_named() {
    let publisher = Publisher::with_models();
    publisher.repo.release("v1", [("all.zip", zip(&tree()))]);
    for (options, code, named) in [
        (
            publisher.of_archive("nowhere", ""),
            "REGISTRY_ERROR",
            "no ref 'nowhere'",
        ),
        (
            publisher.of_asset("v2", "all.zip", ""),
            "REGISTRY_ERROR",
            "no release 'v2'",
        ),
        (
            publisher.of_asset("v1", "some.zip", ""),
            "REGISTRY_ERROR",
            "file 'some.zip'",
        ),
        (
            publisher.of_archive("develop", "mf"),
            "INVALID_ARGUMENT",
            "no folder 'mf', but mf6, other (",
        ),
        (
            publisher.of_archive("develop", "../x"),
            "INVALID_ARGUMENT",
            "'../x'",
        ),
        (publisher.of_archive("", ""), "INVALID_ARGUMENT", "refs"),
        (
            publisher.of_archive("a/../b", ""),
            "INVALID_ARGUMENT",
            "refs",
        ),
        (
            publisher.of_asset("v1", "../all.zip", ""),
            "INVALID_ARGUMENT",
            "asset",
        ),
        (
            publisher.of_archive("develop", "other"),
            "INVALID_ARGUMENT",
            "'mfsim.nam'",
        ),
        (
            publisher.of_archive("develop", "mf6").name("../x"),
            "INVALID_ARGUMENT",
            "'..'",
        ),
    ] {
        let error = publisher.refuse(&options);
        assert_eq!(error.code(), code, "{}", chain(&error));
        assert!(chain(&error).contains(named), "{}", chain(&error));
    }
}

#[test]
fn offline_opens_no_socket() {
    let publisher = Publisher::with_models();
    let error = publisher.refuse(&of_mf6(&publisher).offline(true));
    assert_eq!(error.code(), "OFFLINE");
    let mut options = of_mf6(&publisher);
    options.config = publisher.config().offline(true);
    assert_eq!(publisher.refuse(&options).code(), "OFFLINE");
    assert_eq!(publisher.forge.server().connections(), 0);
}

#[test]
fn making_a_registry_can_be_cancelled() {
    let publisher = Publisher::with_models();
    let cancel = CancelToken::new();
    let while_fetching = {
        let cancel = cancel.clone();
        Rule::path_contains("/archive/").on_bytes(100, move || cancel.cancel())
    };
    publisher.forge.server().rule(while_fetching);
    let error = publisher.refuse(&of_mf6(&publisher).cancel(cancel));
    assert_eq!(error.code(), "CANCELLED");
}

#[test]
fn a_truncated_archive_is_fetched_again() {
    let publisher = Publisher::with_models();
    publisher.forge.keep_archives();
    let torn = Rule::path_contains("/archive/").times(2).cut_after(200);
    publisher.forge.server().rule(torn);
    publisher.make(&of_mf6(&publisher)).unwrap();
    assert_eq!(publisher.made(), expected());
    assert_eq!(publisher.forge.server().count("/o/models/archive"), 3);
}

/// Commits the registry, and pulls the models as a consumer.
fn round_trip(publisher: &Publisher, toml: Vec<u8>) -> ModelManager {
    publisher
        .repo
        .commit_with("develop", [(".registry/models.toml", toml)]);
    let config = publisher.rack.bare_config().bootstrap(format!(
        "[sources.x]\nrepo = \"o/models\"\nname = \"mf6/test\"\nrefs = [\"develop\"]\nserver = \"{}\"\n",
        publisher.forge.url()
    ));
    let manager = ModelManager::builder(config)
        .environment(publisher.rack.environment())
        .build();
    let report = manager.sync(&SyncOptions::default()).unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    manager
}

#[test]
fn made_models_can_be_pulled() {
    let publisher = Publisher::with_models();
    publisher.make(&of_mf6(&publisher)).unwrap();
    let manager = round_trip(&publisher, publisher.made().into());
    let examples = manager.examples(&RemoteOptions::default()).unwrap();
    assert_eq!(examples.len(), 1);
    let models: Vec<String> = examples[0].models.iter().map(ToString::to_string).collect();
    assert_eq!(
        models,
        [
            "mf6/test/ex-gwt/mf6gwf develop",
            "mf6/test/ex-gwt/mf6gwt develop"
        ]
    );
    let options = PullOptions::default().require_hashes(true);
    for model in ["test001a", "ex-gwt/mf6gwf", "ex-gwt/mf6gwt"] {
        manager
            .pull(&address(&format!("mf6/test@develop/{model}")), &options)
            .unwrap();
    }
    publisher.rack.assert_files(
        "mf6/test/test001a develop",
        &[
            ("flow.nam", "flow"),
            ("grösse 2.txt", "10 × 10\n"),
            ("input.lst/kept.txt", "a folder of that name"),
            ("mfsim.nam", "test001a"),
        ],
    );
    // With the registry committed, making it again gives the same.
    let again = publisher.output();
    publisher.make(&of_mf6(&publisher)).unwrap();
    assert_eq!(publisher.made(), expected());
    assert_eq!(names_in(&again), ["models.toml"]);
}

#[test]
fn files_that_the_archive_has_in_another_form_are_indexed_as_they_are_served() {
    let attributes = "*.dat text eol=crlf\n/m/id.txt ident\nm/left.dat export-ignore\n";
    let served = [
        (".gitattributes", attributes),
        ("m/.gitattributes", "version export-subst\n"),
        ("m/a.dat", "1\n2\n"),
        ("m/id.txt", "$Id$\n"),
        ("m/left.dat", "left out"),
        ("m/mfsim.nam", "m"),
        ("m/version", "$Format:%H$\n"),
    ];
    let packed = [
        ("models-develop/.gitattributes", attributes),
        ("models-develop/m/.gitattributes", "version export-subst\n"),
        ("models-develop/m/a.dat", "1\r\n2\r\n"),
        ("models-develop/m/id.txt", "$Id: 0123 $\n"),
        ("models-develop/m/mfsim.nam", "m"),
        ("models-develop/m/version", "0123\n"),
    ];
    for has_attributes in [true, false] {
        let publisher = Publisher::new();
        publisher.repo.commit("develop", served);
        let packed = &packed[usize::from(!has_attributes)..];
        let archive = Rule::path_contains("/archive/").body(zip(packed));
        publisher.forge.server().rule(archive);
        let options = publisher.of_archive("develop", "").name("mf6/test");
        let report = publisher.make(&options).unwrap();
        let note = report.notes.concat();
        assert!(note.contains("'m/left.dat export-ignore'"), "{note}");
        let raw = publisher.forge.server().count("/o/models/raw/");
        assert_eq!(raw, 3 + usize::from(!has_attributes));
        let manager = round_trip(&publisher, publisher.made().into());
        let options = PullOptions::default().require_hashes(true);
        let model = address("mf6/test@develop/m");
        manager.pull(&model, &options).unwrap();
        publisher.rack.assert_files(
            "mf6/test/m develop",
            &[
                (".gitattributes", "version export-subst\n"),
                ("a.dat", "1\n2\n"),
                ("id.txt", "$Id$\n"),
                ("mfsim.nam", "m"),
                ("version", "$Format:%H$\n"),
            ],
        );
    }
}

#[test]
fn real_models_are_indexed_and_pulled() {
    let Some(files) = real_models() else { return };
    let publisher = Publisher::new();
    publisher.repo.commit("develop", files.clone());
    let options = of_mf6(&publisher);
    let remote = publisher.make(&options).unwrap();
    assert!(remote.models > 50 && remote.files > 1000, "{remote:?}");
    let made = publisher.made();
    publisher.write("work", &files);
    fs::create_dir(publisher.rack.temp.path().join("work/.git")).unwrap();
    let local = publisher.of_folder("work/mf6").name("mf6/test");
    publisher.make(&local).unwrap();
    assert!(publisher.made() == made, "local and remote differ");
    let manager = round_trip(&publisher, made.into());
    let remote = manager.list_remote(&RemoteOptions::default()).unwrap();
    let first = &remote.models[0].model;
    let pulled = manager.pull(&first.into(), &PullOptions::default());
    pulled.unwrap();
    let folder = first.to_string();
    let folder = folder.strip_prefix("mf6/test/").unwrap();
    let prefix = format!("mf6/{}/", folder.strip_suffix(" develop").unwrap());
    let expected: Vec<_> = files
        .iter()
        .filter_map(|(path, bytes)| Some((path.strip_prefix(&prefix)?, bytes)))
        .collect();
    publisher.rack.assert_files(&first.to_string(), &expected);
}
