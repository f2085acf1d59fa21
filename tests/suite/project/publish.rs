//! Publishing a chunked registry: the same files give the same bytes, and nothing published is lost.

use std::fs;
use std::path::PathBuf;
use std::thread;

use modelrack::project::{Chunking, Project, PublishOptions, PublishReport};
use modelrack::{CopyOptions, Manager, ManagerExt};
use serde_json::json;

use crate::support::disk::{age, files_below, make_pipe, names_in, write_files};
use crate::support::rack::{CHUNK, Rack, model_ref, sample};
use crate::support::registry::Publication;
use crate::support::{address, bytes, chain};

/// Cut where it is easily foreseen.
fn options() -> PublishOptions {
    PublishOptions::default()
        .chunk_bytes(CHUNK as u64)
        .chunking(Chunking::Fixed)
}

/// Publishes into the registry of a rack.
fn publish_files<B: AsRef<[u8]>>(rack: &Rack, model: &str, files: &[(&str, B)]) -> PublishReport {
    publish_with(rack, model, files, &options())
}

fn publish_with<B: AsRef<[u8]>>(
    rack: &Rack,
    model: &str,
    files: &[(&str, B)],
    options: &PublishOptions,
) -> PublishReport {
    let folder = tempfile::tempdir_in(&rack.temp).unwrap();
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (*name, bytes.as_ref()))
        .collect();
    write_files(folder.path(), &files);
    let paths = [folder.path().to_owned()];
    Project::publish_files(&paths, &model_ref(model), rack.registry(), options).unwrap()
}

#[test]
fn the_format_matches_that_of_an_independent_writer() {
    let (rack, other) = (Rack::new(), Rack::new());
    let metadata = json!({"description": "d", "tags": ["t"]});
    let mut files = sample();
    files.push(("exact", bytes(2 * CHUNK, 3)));
    files.push(("x/empty", vec![]));
    let with = options().metadata(metadata.as_object().unwrap().clone());
    publish_with(&rack, "a/b/m v1", &files, &with.aliases(["latest"]));
    let how = Publication {
        metadata,
        aliases: &["latest"],
        ..Publication::default()
    };
    other.publish_as("a/b/m v1", &files, &how);
    assert_eq!(rack.index(), other.index());
    let data = |rack: &Rack| files_below(&rack.registry().join("data"));
    assert_eq!(data(&rack), data(&other));
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let (one, other) = (Rack::new(), Rack::new());
    let first = publish_files(&one, "g/m v1", &sample());
    let mut second = publish_files(&other, "g/m v1", &sample());
    assert_eq!(second.registry, other.registry().into());
    second.registry.clone_from(&first.registry);
    assert_eq!(first, second);
    assert_eq!(files_below(&one.registry()), files_below(&other.registry()));
    let again = publish_files(&one, "g/m v1", &sample());
    assert_eq!(
        (again.chunks_written, again.bytes_written, again.replaced),
        (0, 0, None)
    );
    assert_eq!(files_below(&one.registry()), files_below(&other.registry()));
    // The index, the manifest and eleven chunks; nothing temporary.
    assert_eq!(names_in(&one.registry()), ["data", "models.json"]);
    assert_eq!(names_in(&one.registry().join("data")).len(), 12);
}

#[test]
fn documents_are_named_by_their_digests() {
    let rack = Rack::new();
    publish_files(&rack, "g/m v1", &sample());
    for (name, bytes) in files_below(&rack.registry().join("data")) {
        assert_eq!(name, crate::support::registry::digest(&bytes));
    }
}

#[test]
fn versions_share_common_chunks() {
    let rack = Rack::new();
    let first = publish_files(&rack, "g/m v1", &sample());
    let mut files = sample();
    files[2].1[5 * CHUNK] ^= 1;
    files.push(("zz", bytes(10, 3)));
    let second = publish_files(&rack, "g/m v2", &files);
    assert_eq!(first.chunks_written, 11);
    // The changed and the new file; the larger file does not shift the others.
    assert!(second.chunks_written <= 3, "{second:?}");
    files[2].1.extend(bytes(3 * CHUNK, 4));
    let third = publish_files(&rack, "g/m v3", &files);
    assert!(third.chunks_written <= 5, "{third:?}");
    for version in ["g/m v1", "g/m v2", "g/m v3"] {
        rack.pull(version).unwrap();
    }
    rack.assert_files("g/m v3", &files);
}

#[test]
fn replacing_a_version_keeps_its_old_documents() {
    let rack = Rack::new();
    let first = publish_files(&rack, "g/m v1", &sample());
    let second = publish_files(&rack, "g/m v1", &[("a", "new")]);
    assert_eq!(second.replaced, Some(first.manifest_digest));
    let old = rack
        .registry()
        .join("data")
        .join(first.manifest_digest.to_string());
    assert!(old.exists(), "somebody may be pulling it");
    assert_eq!(
        rack.index()["g"]["m"]["v1"]["hash"],
        second.manifest_digest.to_string()
    );
}

#[test]
fn what_killed_publishers_left_goes_a_day_later() {
    let (rack, digest) = (Rack::new(), "0a".repeat(32));
    let sharded = options().shards(true);
    publish_with(&rack, "g/m v1", &sample(), &sharded);
    let left = [
        "models.json.41-7.tmp".to_owned(),
        format!("data/{digest}.41-0.tmp"),
        format!("models/{digest}.json.41-3.tmp"),
    ];
    // The files of others are left alone, whatever they are called.
    let others = ["notes.txt.41-7.tmp", "data/part.41-7.tmp", "models/x.tmp"];
    let young = format!("data/{digest}.42-0.tmp");
    let all = left
        .iter()
        .map(String::as_str)
        .chain(others)
        .chain([&*young]);
    for name in all.clone() {
        write_files(&rack.registry(), &[(name, b"half")]);
        age(&rack.registry().join(name), 25);
    }
    age(&rack.registry().join(&young), 23);
    let before = files_below(&rack.registry());
    publish_with(&rack, "g/m v1", &sample(), &sharded);
    let mut expected = before.clone();
    left.iter().for_each(|name| drop(expected.remove(name)));
    assert_eq!(expected.len(), before.len() - 3);
    assert_eq!(files_below(&rack.registry()), expected);
}

#[test]
fn a_dry_run_says_what_would_be_sent_and_sends_nothing() {
    let rack = Rack::new();
    for (files, target) in [
        (sample(), rack.registry()),
        (sample()[1..].to_vec(), rack.registry()),
        (sample(), rack.registry().join("registry.tar")),
    ] {
        let folder = tempfile::tempdir_in(&rack.temp).unwrap();
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (*name, &**bytes))
            .collect();
        write_files(folder.path(), &files);
        let publish = |options: PublishOptions| {
            let paths = [folder.path().to_owned()];
            Project::publish_files(&paths, &model_ref("g/m v1"), &target, &options).unwrap()
        };
        let before = files_below(&rack.registry());
        let said = publish(options().dry_run(true));
        assert_eq!(files_below(&rack.registry()), before);
        // It is what happens.
        assert_eq!(publish(options()), said);
        let distinct = said.bytes_written + said.bytes_there;
        assert!(
            said.chunks_written > 0 && distinct <= said.total_bytes,
            "{said:?}"
        );
        let again = publish(options().dry_run(true));
        assert_eq!(
            (again.chunks_written, again.bytes_written, again.bytes_there),
            (0, 0, distinct)
        );
    }
}

#[test]
fn the_index_has_the_documented_form() {
    let rack = Rack::new();
    let metadata = json!({"description": "d", "tags": ["t"], "nested": {"x": 1}});
    let with = options()
        .metadata(metadata.as_object().unwrap().clone())
        .aliases(["latest", "stable"]);
    let published = publish_with(&rack, "a/b/m v1", &sample(), &with);
    let hash = published.manifest_digest.to_string();
    assert_eq!(
        rack.index(),
        json!({"a/b": {"m": {
            "v1": {"hash": hash, "metadata": metadata},
            "latest": {"alias_of": "v1"},
            "stable": {"alias_of": "v1"},
        }}})
    );
    // Entries of other programs in the index are kept.
    let mut index = rack.index();
    index["a/b"]["m"]["v1"]["more"] = json!([1, 2]);
    index["other"] = json!({"x": {"y": {"hash": hash, "size": 7}}});
    fs::write(rack.registry().join("models.json"), index.to_string()).unwrap();
    publish_files(&rack, "a/b/m v2", &sample());
    assert_eq!(rack.index()["a/b"]["m"]["v1"]["more"], json!([1, 2]));
    assert_eq!(rack.index()["other"], index["other"]);
}

#[test]
fn an_alias_moves_and_never_hides_a_version() {
    let rack = Rack::new();
    publish_with(&rack, "g/m v1", &sample(), &options().aliases(["latest"]));
    publish_with(
        &rack,
        "g/m v2",
        &[("a", "2")],
        &options().aliases(["latest"]),
    );
    assert_eq!(rack.index()["g"]["m"]["latest"]["alias_of"], "v2");
    let before = files_below(&rack.registry());
    for alias in ["v1", "v2", "", "..", "a\nb", "V1"] {
        let folder = rack.temp.path().join("files");
        write_files(&folder, &[("a", b"2")]);
        let error = Project::publish_files(
            &[folder],
            &model_ref("g/m v2"),
            rack.registry(),
            &options().aliases([alias]),
        )
        .unwrap_err();
        let expected = if alias == "V1" {
            "REGISTRY_ERROR"
        } else {
            "INVALID_ARGUMENT"
        };
        assert_eq!(error.code(), expected, "{alias:?}: {}", chain(&error));
        assert_eq!(files_below(&rack.registry()), before, "{alias:?}");
    }
}

#[test]
fn a_pipe_is_not_waited_for() {
    let rack = Rack::new();
    let (files, pipe) = (
        rack.temp.path().join("files"),
        rack.temp.path().join("pipe"),
    );
    write_files(&files, &[("a", b"1")]);
    make_pipe(&pipe);
    let publish = |path: &PathBuf, to: &PathBuf| {
        let paths = [path.clone()];
        Project::publish_files(&paths, &model_ref("g/m v1"), to, &options()).unwrap_err()
    };
    // Where there are no pipes, it is a folder without files.
    assert_eq!(publish(&pipe, &rack.registry()).code(), "INVALID_ARGUMENT");
    fs::create_dir_all(rack.registry()).unwrap();
    make_pipe(&rack.registry().join("models.json"));
    let refused = |code: &str| ["STORAGE_ERROR", "PERMISSION_ERROR"].contains(&code);
    assert!(refused(publish(&files, &rack.registry()).code()));
    // What is installed may have one, too.
    let rack = Rack::with_model();
    let manager = rack.manager();
    manager.pull_model("g/m v1").unwrap();
    let labels = rack.dir_of("g/m v1").join("labels.txt");
    fs::remove_file(&labels).unwrap();
    make_pipe(&labels);
    let workspace = rack.temp.path().join("workspace");
    let copied = manager.copy(&address("g/m v1"), &workspace, &CopyOptions::default());
    assert!(refused(copied.unwrap_err().code()));
}

#[test]
fn a_malformed_index_is_refused_and_left_alone() {
    let hash = "a".repeat(64);
    for index in [
        "{".to_owned(),
        String::new(),
        "[]".to_owned(),
        r#"{"g":{"m":{"v":[]}}}"#.to_owned(),
        r#"{"g":{"m":{"v":{"hash":"short"}}}}"#.to_owned(),
        format!(r#"{{"../x":{{"m":{{"v":{{"hash":"{hash}"}}}}}}}}"#),
        format!(r#"{{"g":{{"M":{{"v":{{"hash":"{hash}"}}}}}}}}"#),
        r#"{"x":{"m":{"a":{"alias_of":"b"}}}}"#.to_owned(),
    ] {
        let rack = Rack::new();
        let path = rack.registry().join("models.json");
        fs::write(&path, &index).unwrap();
        let folder = rack.temp.path().join("files");
        write_files(&folder, &[("a", b"1")]);
        let error =
            Project::publish_files(&[folder], &model_ref("g/m v1"), rack.registry(), &options())
                .unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{index}");
        assert!(
            error.to_string().contains("models.json"),
            "{index}: {error}"
        );
        assert_eq!(fs::read_to_string(path).unwrap(), index);
    }
}

#[test]
fn concurrent_publishers_lose_nothing() {
    let rack = Rack::new();
    let models: Vec<String> = (0..8).map(|number| format!("g/m v{number}")).collect();
    thread::scope(|scope| {
        for model in &models {
            let rack = &rack;
            scope.spawn(move || {
                publish_files(
                    rack,
                    model,
                    &[("same", bytes(3000, 1)), ("own", model.as_bytes().to_vec())],
                )
            });
        }
    });
    let versions = rack.index()["g"]["m"].as_object().unwrap().len();
    assert_eq!(versions, models.len());
    for model in &models {
        rack.pull(model).unwrap();
        rack.assert_files(
            model,
            &[("same", bytes(3000, 1)), ("own", model.as_bytes().to_vec())],
        );
    }
    assert_eq!(names_in(&rack.registry()), ["data", "models.json"]);
}

#[test]
fn a_damaged_chunk_is_rewritten() {
    let rack = Rack::new();
    publish_files(&rack, "g/m v1", &sample());
    let data = rack.registry().join("data");
    for name in names_in(&data) {
        fs::write(data.join(name), "damaged").unwrap();
    }
    let again = publish_files(&rack, "g/m v1", &sample());
    assert_eq!(again.chunks_written, 11);
    rack.pull("g/m v1").unwrap();
    rack.assert_sample_installed();
}

#[test]
fn files_and_folders_are_published_together() {
    let rack = Rack::new();
    let folder = rack.temp.path().join("input");
    write_files(
        &folder,
        &[
            ("sub/a", b"1"),
            (".rack/own", b"x"),
            (".git/HEAD", b"x"),
            (".DS_Store", b"x"),
        ],
    );
    let file = rack.temp.path().join("single.txt");
    fs::write(&file, "single").unwrap();
    let with = options().skip(".rack");
    let report = Project::publish_files(
        &[folder, file],
        &model_ref("g/m v1"),
        rack.registry(),
        &with,
    )
    .unwrap();
    assert_eq!(report.files, 2);
    rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &[("sub/a", "1"), ("single.txt", "single")]);
}

#[test]
fn files_that_could_not_be_pulled_are_not_published() {
    let rack = Rack::new();
    let temp = rack.temp.path();
    write_files(&temp.join("one"), &[("same", b"1")]);
    write_files(&temp.join("two"), &[("same", b"2")]);
    fs::create_dir(temp.join("empty")).unwrap();
    let in_two: Vec<PathBuf> = vec![temp.join("one"), temp.join("two")];
    let cases: Vec<(&str, Vec<PathBuf>, PublishOptions, &str)> = vec![
        ("nothing", vec![], options(), "INVALID_ARGUMENT"),
        (
            "an empty folder",
            vec![temp.join("empty")],
            options(),
            "INVALID_ARGUMENT",
        ),
        ("one name twice", in_two, options(), "INVALID_ARGUMENT"),
        (
            "what is not there",
            vec![temp.join("none")],
            options(),
            "STORAGE_ERROR",
        ),
        (
            "the registry itself",
            vec![temp.to_owned()],
            options(),
            "INVALID_ARGUMENT",
        ),
        (
            "tiny chunks",
            vec![temp.join("one")],
            PublishOptions::default().chunk_bytes(100),
            "INVALID_ARGUMENT",
        ),
    ];
    for (what, paths, options, code) in cases {
        let error = Project::publish_files(&paths, &model_ref("g/m v1"), rack.registry(), &options)
            .unwrap_err();
        assert_eq!(error.code(), code, "{what}: {}", chain(&error));
        assert!(!rack.registry().join("models.json").exists(), "{what}");
    }
}

#[test]
fn names_that_are_not_portable_are_not_published() {
    // Only on systems that allow such names.
    for name in ["con.txt", "a:b", "trailing.", "back\\slash", "quest?ion"] {
        let rack = Rack::new();
        let folder = rack.temp.path().join("files");
        fs::create_dir(&folder).unwrap();
        if fs::write(folder.join(name), "x").is_err() || names_in(&folder) != [name] {
            continue;
        }
        let error =
            Project::publish_files(&[folder], &model_ref("g/m v1"), rack.registry(), &options())
                .unwrap_err();
        assert_eq!(error.code(), "INVALID_ARGUMENT", "{name}");
    }
}

#[test]
fn a_pull_while_publishing_sees_the_old_or_the_new_state() {
    let rack = Rack::new();
    publish_files(&rack, "g/m v1", &[("a", bytes(5000, 0))]);
    let manager = rack.manager();
    thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            for seed in 1..6 {
                publish_files(&rack, "g/m v1", &[("a", bytes(5000, seed))]);
            }
        });
        while !publisher.is_finished() {
            let report = manager
                .pull(
                    &crate::support::address("g/m v1"),
                    &modelrack::PullOptions::default(),
                )
                .unwrap();
            assert_eq!(report.total_bytes, 5000);
        }
    });
    rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &[("a", bytes(5000, 5))]);
}
