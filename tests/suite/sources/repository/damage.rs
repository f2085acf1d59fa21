//! Cached registries that somebody damaged, or that another version wrote.

use std::fs;
use std::path::PathBuf;

use modelrack::{Manager, ModelManager, RemoteOptions, SyncOptions};

use super::{Host, assets, models_at, offered, offered_with, state, sync, sync_with};
use crate::support::address;

/// With one branch and one release, both synced.
fn synced() -> (Host, ModelManager) {
    let host = Host::new();
    host.repo.release("current", assets());
    let manager = host.manager(&["current", "develop"]);
    assert_eq!(sync(&manager).matches("synced").count(), 2);
    (host, manager)
}

fn file(host: &Host, reference: &str, name: &str) -> PathBuf {
    let cache = host.rack.index_cache().join("registries");
    cache.join("testmodels").join(reference).join(name)
}

fn everything() -> Vec<String> {
    let mut all = models_at("mf6/test", "current");
    all.extend(models_at("mf6/test", "develop"));
    all.sort();
    all
}

#[test]
fn a_damaged_index_is_missing_or_says_so_and_a_sync_mends_it() {
    type Spoil = fn(&mut Vec<u8>);
    let damages: [(&str, Spoil); 9] = [
        ("empty", Vec::clear),
        ("half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("one byte short", |bytes| bytes.truncate(bytes.len() - 1)),
        ("one byte more", |bytes| bytes.push(b' ')),
        ("zeros", |bytes| bytes.fill(0)),
        ("no text", |bytes| bytes[3] = 0xff),
        ("a flipped bit in the first line", |bytes| bytes[2] ^= 1),
        ("a flipped bit in the middle", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x80;
        }),
        ("another format", |bytes| {
            replace(bytes, b"\"format\":2", b"\"format\":3");
        }),
    ];
    for (what, spoil) in damages {
        let (host, manager) = synced();
        for reference in ["current", "develop"] {
            let index = file(&host, reference, "models.index");
            let mut bytes = fs::read(&index).unwrap();
            spoil(&mut bytes);
            fs::write(&index, bytes).unwrap();
        }
        host.paths();
        let model = address("mf6/test@develop/ex-gwf-twri01");
        for error in [
            offered_with(&manager, &RemoteOptions::default()).err(),
            manager
                .remote_detail(&model, &RemoteOptions::default())
                .err(),
        ]
        .into_iter()
        .flatten()
        {
            assert!(
                matches!(error.code(), "NOT_SYNCED" | "REGISTRY_ERROR"),
                "{what}: {error:?}"
            );
        }
        manager.sources().unwrap();
        assert_eq!(host.paths(), Vec::<String>::new());
        assert_eq!(sync(&manager).matches("synced").count(), 2, "{what}");
        assert_eq!(offered(&manager), everything(), "{what}");
        assert_eq!(sync(&manager).matches("skipped").count(), 2, "{what}");
    }
}

/// Replaces a text by another of the same length, wherever it is.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + from.len()].copy_from_slice(to);
        }
    }
}

#[test]
fn damage_in_the_list_of_a_model_s_files_is_seen_when_it_is_read() {
    let (host, manager) = synced();
    let index = file(&host, "develop", "models.index");
    let mut bytes = fs::read(&index).unwrap();
    replace(&mut bytes, b"twri.nam", b"TWRI.nam");
    fs::write(&index, bytes).unwrap();
    let model = address("mf6/test@develop/ex-gwf-twri01");
    let error = manager
        .remote_detail(&model, &RemoteOptions::default())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the cached registry is damaged ({})", index.display())
    );
    assert!(sync(&manager).contains("synced mf6/test@develop"));
    manager
        .remote_detail(&model, &RemoteOptions::default())
        .unwrap();
}

#[test]
fn a_copy_without_its_facts_is_fetched_again() {
    for name in ["models.meta.json", "models.toml"] {
        for damage in [None, Some("{\"url\": 1}"), Some("")] {
            let (host, manager) = synced();
            for reference in ["current", "develop"] {
                let path = file(&host, reference, name);
                match damage {
                    None => fs::remove_file(path).unwrap(),
                    Some(text) => fs::write(path, text).unwrap(),
                }
            }
            // What is offered is known from the index alone.
            assert_eq!(offered(&manager), everything());
            let told = sync(&manager);
            if name == "models.meta.json" || damage.is_none() {
                assert_eq!(
                    told.matches("synced").count(),
                    2,
                    "{name} {damage:?}: {told}"
                );
            }
            let info = &manager.sources().unwrap()[0];
            assert!(info.refs.iter().all(|reference| reference.cached.is_some()));
        }
    }
}

#[test]
fn a_folder_in_the_way_is_an_error_that_names_it() {
    let (host, manager) = synced();
    let index = file(&host, "develop", "models.index");
    fs::remove_file(&index).unwrap();
    fs::create_dir(&index).unwrap();
    fs::write(index.join("x"), "x").unwrap();
    let told = sync_with(&manager, &SyncOptions::default().force(true));
    assert!(told.starts_with("synced mf6/test@current"), "{told}");
    assert!(told.contains("failed mf6/test@develop"), "{told}");
    assert!(told.contains(&index.display().to_string()), "{told}");
    // Foreign things in the folders of the cache are nobody's registry.
    let folder = index.parent().unwrap().parent().unwrap();
    fs::create_dir(folder.join("%zz")).unwrap();
    fs::write(folder.join("file"), "x").unwrap();
    assert_eq!(state(&manager.sources().unwrap()[0]).len(), 2);
}
