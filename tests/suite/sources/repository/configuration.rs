//! What a source may say, and what is refused.

use modelrack::{Manager, ModelManager};

use super::{Host, refs_key, sync, tree};
use crate::support::chain;

/// The error of a bootstrap, without what all of them begin with.
fn refused(host: &Host, toml: &str) -> String {
    let error = host.manager_of(toml).sources().unwrap_err();
    assert_eq!(error.code(), "CONFIG_ERROR", "{toml}");
    let told = chain(&error);
    let origin = "the configuration of rack";
    assert!(told.starts_with(origin) && !told.contains('\n'), "{told}");
    told[origin.len()..].to_owned()
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let host = Host::empty();
    for (keys, expected) in [
        (
            "repo = \"models\"",
            ": sources.s.repo: 'models' is not OWNER/NAME",
        ),
        ("repo = \"\"", ": sources.s.repo: '' is not OWNER/NAME"),
        (
            "repo = \"../models\"",
            ": sources.s.repo: '../models' is not OWNER/NAME",
        ),
        (
            "repo = \"https://github.com/o/n\"",
            ": sources.s.repo: 'https://github.com/o/n' is not OWNER/NAME",
        ),
        (
            "repo = \"o/n\\u001b\"",
            ": sources.s.repo: 'o/n\\u{1b}' is not OWNER/NAME",
        ),
        (
            "repo = \"o/n\"\nrefs = [\"a/../b\"]",
            ": sources.s.refs: 'a/../b' has a '.' or '..' component",
        ),
        (
            "repo = \"o/n\"\nrefs = [\"ok\", \"\"]",
            ": sources.s.refs: '' has an empty component",
        ),
        (
            "repo = \"o/n\"\nrefs = [\"a\\nb\"]",
            ": sources.s.refs: 'a\\nb' has a control character",
        ),
        (
            "repo = \"o/n\"\nregistry_path = \"../x\"",
            ": sources.s.registry_path: '../x' has a '.' or '..' component",
        ),
        (
            "repo = \"o/n\"\nregistry_path = \"a\\\\b\"",
            ": sources.s.registry_path: 'a\\\\b' has a backslash",
        ),
        (
            "repo = \"o/n\"\nasset = \"a/b.zip\"",
            ": sources.s.asset: 'a/b.zip' has a slash",
        ),
        (
            "repo = \"o/n\"\nasset = \"..\"",
            ": sources.s.asset: '..' has a '.' or '..' component",
        ),
        (
            "repo = \"o/n\"\nserver = \"git.example.com\"",
            ": sources.s.server is not a usable URL: a URL must start with https://, http://, file:// or s3://",
        ),
        (
            "repo = \"o/n\"\napi = \"https://\"",
            ": sources.s.api is not a usable URL: the URL has no host",
        ),
        (
            "repo = \"o/n\"\nraw = \"https://h/{repo}/{branch}/{path}\"",
            ": sources.s.raw is not a usable URL: a template may contain only {repo}, {ref} and {path}",
        ),
        (
            "repo = \"o/n\"\nraw = \"{repo}/{ref}/{path}\"",
            ": sources.s.raw is not a usable URL: a URL must start with https://, http://, file:// or s3://",
        ),
        (
            "repo = \"o/n\"\nraw = \"https://h/{repo}/{ref}\"",
            ": sources.s.raw lacks {path}",
        ),
        (
            "repo = \"o/n\"\nraw = \"https://h/{repo}/{path}\"",
            ": sources.s.raw lacks {ref}",
        ),
        (
            "repo = \"o/n\"\narchive = \"https://h/{repo}.zip\"",
            ": sources.s.archive lacks {ref}",
        ),
        (
            "repo = \"o/n\"\nmirrors = [\"https://h\"]",
            ": sources.s.mirrors does not apply to a source of this kind",
        ),
        (
            "repo = \"o/n\"\npublic_key = \"x\"",
            ": sources.s.public_key does not apply to a source of this kind",
        ),
        (
            "url = \"https://h\"\nregistry_path = \"x\"",
            ": sources.s.registry_path does not apply to a source of this kind",
        ),
        (
            "url = \"https://h\"\nrefs = [\"main\"]",
            ": sources.s.refs does not apply to a source of this kind",
        ),
        (
            "hub = \"https://h\"\nasset = \"x.zip\"",
            ": sources.s.asset does not apply to a source of this kind",
        ),
        (
            "repo = \"o/n\"\nurl = \"https://h\"",
            ": sources.s has more than one of 'url', 'repo', 'hub' and 'oci'",
        ),
        (
            "repo = \"o/n\"\nregistry-path = \"x\"",
            ": sources.s has the unknown key 'registry-path', did you mean 'registry_path'?",
        ),
        (
            "repo = \"o/n\"\nref = [\"main\"]",
            ": sources.s has the unknown key 'ref', did you mean 'refs'?",
        ),
        (
            "repo = \"o/n\"\nbranch = \"main\"",
            ": sources.s has the unknown key 'branch'",
        ),
        (
            "repo = \"o/n\"\nname = \"\"",
            ": sources.s.name: the name '' has an empty component",
        ),
        (
            "repo = \"o/n\"\nname = \"a@b\"",
            ": sources.s.name: the name 'a@b' has an '@'",
        ),
    ] {
        assert_eq!(refused(&host, &format!("[sources.s]\n{keys}\n")), expected);
    }
    for keys in [
        "refs = \"main\"",
        "refs = [1]",
        "server = 7",
        "registry_path = []",
        "asset = false",
        "raw = {}",
    ] {
        let told = refused(&host, &format!("[sources.s]\nrepo = \"o/n\"\n{keys}\n"));
        assert!(told.starts_with(": sources.s is invalid: "), "{told}");
    }
    assert_eq!(
        refused(&host, "[sources]\ns = \"o/n\"\n"),
        ": sources.s is not a table"
    );
    assert_eq!(
        refused(&host, "[sources.s]\nrepo = \"o/n\"\nname = 1\n"),
        ": sources.s.name is not a string"
    );
    assert_eq!(
        refused(&host, "sources = 1\n"),
        ": 'sources' is not a table"
    );
    assert_eq!(host.paths(), Vec::<String>::new());
}

#[test]
fn no_refs_turn_a_source_off_and_the_same_ref_twice_is_one() {
    let host = Host::new();
    host.repo.commit("master", tree());
    let off = host.source_of("off", "off", "o/off", "refs = []");
    let twice = host.source(&refs_key(&["master", "develop", "master"]));
    let manager = host.manager_of(&(off + &twice));
    let sources = manager.sources().unwrap();
    assert_eq!(sources.len(), 1);
    let refs = sources[0].refs.iter().map(|info| info.reference.as_str());
    assert_eq!(refs.collect::<Vec<_>>(), ["develop", "master"]);
    assert_eq!(sync(&manager).lines().count(), 2);
    assert_eq!(host.paths().len(), 5);
}

#[test]
fn the_overlay_replaces_a_source_whole() {
    let host = Host::new();
    host.forge.repo("me/models").commit("fix", tree());
    let overlay = host.rack.temp.path().join("models.toml");
    let manager = |text: &str| {
        std::fs::write(&overlay, text).unwrap();
        let bootstrap = host.source("refs = [\"develop\"]\nregistry_path = \"nowhere\"");
        let config = host.rack.bare_config().bootstrap(bootstrap);
        ModelManager::builder(config.config_file(&overlay))
            .environment(host.environment())
            .build()
    };
    // Neither name, nor refs, nor path, nor server are those of the bootstrap.
    let fork = manager("[sources.testmodels]\nrepo = \"me/models\"\n");
    assert_eq!(sync(&fork), "synced testmodels@fix version_controlled 3\n");
    // Turned off, and another beside it.
    let other = manager("[sources.testmodels]\nrefs = []\n[sources.z]\nrepo = \"o/models\"\n");
    let sources = other.sources().unwrap();
    let keys: Vec<_> = sources.iter().map(|source| source.key.as_str()).collect();
    assert_eq!(keys, ["z"]);
    let error = manager("[sources.testmodels]\nrepo = \"models\"\n")
        .sources()
        .unwrap_err();
    let expected = format!(
        "{}: sources.testmodels.repo: 'models' is not OWNER/NAME",
        overlay.display()
    );
    assert_eq!(error.to_string(), expected);
    let error = manager("[sources.z]\nrepo = \"o/n\"\nname = \"mf6/test\"\n")
        .sources()
        .unwrap_err();
    let expected = format!(
        "{}: the sources 'testmodels' and 'z' have the same name 'mf6/test'",
        overlay.display()
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn building_it_reads_nothing_and_asks_nobody() {
    let host = Host::new();
    let manager = host.manager(&["develop"]);
    drop(format!("{manager:?}"));
    assert!(!host.rack.index_cache().exists());
    manager.sources().unwrap();
    manager.list_remote(&Default::default()).unwrap_err();
    assert_eq!(host.forge.server().connections(), 0);
    assert!(!host.rack.index_cache().exists());
}
