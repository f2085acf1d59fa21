//! Registries as they are in the wild, synced and read.

use modelrack::manifest::ManifestFile;
use modelrack::{Manager, ModelManager, PullOptions, RemoteOptions};

use super::{Host, MODELS, REGISTRY, models_at, offered, refs_key, registry, sync, tree_of};
use crate::sources::repository::models::{Hashes, ModelsToml, NamedFile, small_models};
use crate::support::forge::zip;
use crate::support::{address, chain};

/// Syncs a registry that lies beside the models on `develop`.
fn synced(host: &Host, registry: impl Into<Vec<u8>>) -> ModelManager {
    host.repo.commit("develop", tree_of(registry));
    let manager = host.manager(&["develop"]);
    let told = sync(&manager);
    assert!(
        told.starts_with("synced mf6/test@develop version_controlled"),
        "{told}"
    );
    manager
}

/// The files of a model as they are known before anything is fetched.
fn files(manager: &dyn Manager, model: &str) -> Vec<ManifestFile> {
    let detail = manager
        .remote_detail(&address(model), &RemoteOptions::default())
        .unwrap();
    detail.files
}

/// Asserts that the three models come, whole.
fn assert_pulls(host: &Host, manager: &dyn Manager) {
    assert_eq!(offered(manager), models_at("mf6/test", "develop"));
    for model in MODELS {
        let address = address(&format!("mf6/test@develop/{model}"));
        let pulled = manager.pull(&address, &PullOptions::default());
        pulled.map_err(|error| chain(&error)).unwrap();
        let expected: Vec<NamedFile> = small_models()
            .into_iter()
            .filter_map(|(name, bytes)| {
                let path = name.strip_prefix(model)?.strip_prefix('/')?;
                Some((path.to_owned(), bytes))
            })
            .collect();
        let expected: Vec<(&str, Vec<u8>)> = expected
            .iter()
            .map(|(n, b)| (n.as_str(), b.clone()))
            .collect();
        host.rack
            .assert_files(&format!("mf6/test/{model} develop"), &expected);
    }
}

#[test]
fn hashes_and_sizes_in_every_form() {
    for hashes in [
        Hashes::Prefixed,
        Hashes::Bare,
        Hashes::Capitals,
        Hashes::Missing,
    ] {
        for with_sizes in [true, false] {
            let host = Host::empty();
            let toml = registry().hashes(hashes);
            let toml = if with_sizes {
                toml
            } else {
                toml.without_sizes()
            };
            let manager = synced(&host, toml);
            let files = files(&manager, "mf6/test/ex-gwf-twri01");
            assert_eq!(files.len(), 3);
            for file in files {
                assert_eq!(file.digest.is_some(), hashes != Hashes::Missing);
                assert_eq!(file.size_bytes.is_some(), with_sizes);
            }
            assert_pulls(&host, &manager);
        }
    }
}

#[test]
fn tables_that_nobody_knows_are_passed_over() {
    let toml = registry()
        .line("generated_at = 2026-01-02T03:04:05Z")
        .line("devtools_version = \"1.9.0\"")
        .line("root_url = \"https://example.org\"")
        .tail("\n[_meta]\nschema_version = \"1.3\"\n[entries.twri]\nname = \"x\"\n[[targets]]\nid = 1\n");
    let text = toml.text();
    let windows = text.replace('\n', "\r\n");
    let marked = format!("\u{feff}{text}");
    for text in [text, windows, marked] {
        let host = Host::empty();
        let manager = synced(&host, text);
        assert_pulls(&host, &manager);
    }
}

#[test]
fn names_of_models_with_or_without_the_source_s() {
    for prefix in ["", "mf6/test/"] {
        let host = Host::empty();
        let example = format!("{prefix}ex-gwf");
        let model = format!("{prefix}ex-gwf-twri01");
        let toml = registry()
            .prefix_models(prefix)
            .example(&example, &[&model]);
        let manager = synced(&host, toml);
        assert_pulls(&host, &manager);
        let examples = manager.examples(&RemoteOptions::default()).unwrap();
        assert_eq!(examples.len(), 1);
        assert_eq!(
            (&*examples[0].name, &*examples[0].reference),
            ("mf6/test/ex-gwf", "develop")
        );
        assert_eq!(
            examples[0].models[0].to_string(),
            "mf6/test/ex-gwf-twri01 develop"
        );
    }
    // Another source's name is part of the model's.
    let host = Host::empty();
    let manager = synced(&host, registry().prefix_models("mf6/tests/"));
    assert!(
        offered(&manager)
            .iter()
            .all(|name| name.starts_with("mf6/test/mf6/tests/"))
    );
}

#[test]
fn the_folder_comes_from_root_or_from_the_urls() {
    let models = small_models();
    let upstream = "https://raw.githubusercontent.com/MODFLOW-ORG/models";
    let stated = |root: &str| ModelsToml::of(&models).root(root);
    let by_url = |below: &str| ModelsToml::of(&models).urls_below(&format!("{upstream}/{below}"));
    for toml in [
        stated("mf6"),
        stated("/mf6/"),
        stated("mf6").urls_below(&format!("{upstream}/develop/elsewhere/")),
        by_url("develop/mf6/"),
        by_url("refs/heads/develop/mf6/"),
        by_url("master/mf6/"),
        ModelsToml::of(&models).urls_below("https://git.example.com/o/models/raw/develop/mf6/"),
    ] {
        let host = Host::empty();
        let manager = synced(&host, toml);
        host.paths();
        assert_pulls(&host, &manager);
        assert!(
            host.paths()
                .iter()
                .all(|path| path.starts_with("/o/models/raw/")),
            "a fork serves its own"
        );
    }
    // Without any, names are those in the repository.
    for root in [None, Some(""), Some(".")] {
        let host = Host::empty();
        let toml = ModelsToml::of(&models);
        let toml = root.map_or(toml.clone(), |root| toml.root(root));
        let mut files = models.clone();
        files.push((REGISTRY.to_owned(), toml.into()));
        host.repo.commit("develop", files);
        let manager = host.manager(&["develop"]);
        sync(&manager);
        assert_pulls(&host, &manager);
    }
}

#[test]
fn which_zip_holds_the_files_of_a_release() {
    let models = small_models();
    let packed = zip(&models);
    let download = "https://github.com/o/models/releases/download/current";
    let plain = ModelsToml::of(&models).text();
    let entry = format!("[files]\n\"b.zip\" = {{ url = \"{download}/b.zip\" }}");
    let with_entry = plain.replace("[files]", &entry);
    let each_url = plain.replace(" }", &format!(", url = \"{download}/b.zip\" }}"));
    let two_urls = each_url.replacen("/b.zip", "/c.zip", 1);
    for (toml, key, zip_name) in [
        (
            ModelsToml::of(&models).asset("a.zip").text(),
            "asset = \"c.zip\"",
            "a.zip",
        ),
        (each_url.clone(), "asset = \"c.zip\"", "b.zip"),
        (each_url, "", "b.zip"),
        (two_urls, "", "b.zip"),
        (plain.clone(), "asset = \"c.zip\"", "c.zip"),
        (with_entry, "asset = \"b.zip\"", "b.zip"),
        // The release has no other.
        (plain, "", "d.zip"),
    ] {
        let host = Host::new();
        let mut assets = vec![("models.toml".to_owned(), toml.into_bytes())];
        assets.push((zip_name.to_owned(), packed.clone()));
        host.repo.release("current", assets);
        let keys = format!("{}\n{key}", refs_key(&["current"]));
        let manager = host.manager_of(&host.source(&keys));
        let told = sync(&manager);
        assert_eq!(told, "synced mf6/test@current release 3\n");
        host.paths();
        let pulled = manager.pull(&address("mf6/test/ex-gwf-twri01"), &PullOptions::default());
        pulled.map_err(|error| chain(&error)).unwrap();
        let path = format!("/o/models/releases/download/current/{zip_name}");
        assert!(host.paths().contains(&path));
    }
}

#[test]
fn a_release_with_several_zips_or_none_leaves_a_doubt() {
    for (zips, what) in [
        (&[][..], ", which has none: set 'asset'"),
        (&["a.zip", "b.ZIP"], ", which has a.zip, b.ZIP: set 'asset'"),
    ] {
        let host = Host::new();
        let mut assets = vec![("models.toml".to_owned(), registry().into())];
        assets.extend(zips.iter().map(|name| ((*name).to_owned(), Vec::new())));
        host.repo.release("current", assets);
        let told = sync(&host.manager(&["current"]));
        assert!(
            told.starts_with("failed mf6/test@current REGISTRY_ERROR neither "),
            "{told}"
        );
        assert!(told.contains(what), "{told}");
    }
}

#[test]
fn files_that_several_models_share_or_one_lists_twice() {
    let host = Host::empty();
    let shared = "shared/grid.disv";
    let toml = ModelsToml::new()
        .file(shared, b"grid")
        .file("a/mfsim.nam", b"a")
        .model("a", &["a/mfsim.nam", shared, shared, "a/mfsim.nam"])
        .model("b", &[shared])
        .model("unlisted", &["b/of-nobody.txt"])
        .model("none", &[]);
    let mut tree = vec![(REGISTRY.to_owned(), Vec::from(toml))];
    for (name, bytes) in [
        (shared, "grid"),
        ("a/mfsim.nam", "a"),
        ("b/of-nobody.txt", "free"),
    ] {
        tree.push((name.to_owned(), bytes.into()));
    }
    host.repo.commit("develop", tree);
    let manager = host.manager(&["develop"]);
    assert_eq!(
        sync(&manager),
        "synced mf6/test@develop version_controlled 4\n"
    );
    let paths = |model: &str| -> Vec<String> {
        let files = files(&manager, &format!("mf6/test/{model}"));
        files.iter().map(|file| file.path.to_string()).collect()
    };
    assert_eq!(paths("a"), ["a/mfsim.nam", "shared/grid.disv"]);
    assert_eq!(paths("b"), ["grid.disv"]);
    assert_eq!(paths("unlisted"), ["of-nobody.txt"]);
    assert!(paths("none").is_empty());
    for (model, files) in [("a", 2), ("b", 1), ("unlisted", 1)] {
        let address = address(&format!("mf6/test/{model}"));
        let pulled = manager.pull(&address, &PullOptions::default()).unwrap();
        let name = format!("mf6/test/{model} develop");
        assert_eq!(host.rack.files_of(&name).len(), files, "{pulled:?}");
    }
}

#[test]
fn examples_may_name_what_is_not_there() {
    let host = Host::empty();
    let toml = registry()
        .example("good", &["test001a_Tharmonic", "mf6/test/ex-gwf-twri01"])
        .example("gone", &["nothing-like-it"])
        .example("hostile", &["../../etc", "a@b", "", "con", "\u{1b}[2J"])
        .example("empty", &[]);
    let manager = synced(&host, toml);
    let examples = manager.examples(&RemoteOptions::default()).unwrap();
    let told: Vec<String> = examples
        .iter()
        .map(|example| {
            let models: Vec<_> = example.models.iter().map(ToString::to_string).collect();
            format!("{}: {}", example.name, models.join(", "))
        })
        .collect();
    assert_eq!(
        told,
        [
            "mf6/test/empty: ",
            "mf6/test/gone: mf6/test/nothing-like-it develop",
            "mf6/test/good: mf6/test/test001a_Tharmonic develop, mf6/test/ex-gwf-twri01 develop",
            "mf6/test/hostile: ",
        ]
    );
    assert_pulls(&host, &manager);
}

#[test]
fn a_schema_of_another_major_version_is_refused() {
    for (line, is_known) in [
        ("schema_version = \"1\"", true),
        ("schema_version = \"1.99\"", true),
        ("schema_version = 1", true),
        ("schema_version = 1.5", true),
        ("", true),
        ("schema_version = \"2.0\"", false),
        ("schema_version = 2", false),
        ("schema_version = \"0.9\"", false),
        ("schema_version = \"\"", false),
        ("schema_version = true", false),
    ] {
        let host = Host::empty();
        let text = registry().text().replace("schema_version = \"1.0\"", line);
        host.repo.commit("develop", tree_of(text));
        let told = sync(&host.manager(&["develop"]));
        assert_eq!(told.starts_with("synced"), is_known, "{line}: {told}");
        if !is_known {
            let message = "the registry's schema_version is not supported; only version 1 is";
            assert!(told.contains(message), "{told}");
        }
    }
}
