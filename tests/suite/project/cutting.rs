//! Cutting where the content says, and an index in shards: what a change costs those who publish and those who pull.

use std::collections::BTreeSet;
use std::fs;

use modelrack::project::{Chunking, Project, PublishOptions, PublishReport};
use modelrack::{Manager, ModelRef, UpdateOptions};
use serde_json::{Value, json};

use crate::support::disk::{files_below, names_in, write_files};
use crate::support::rack::{CHUNK, Rack, model_ref, sample};
use crate::support::registry::{prefix, shard};
use crate::support::{bytes, chain};

fn by(chunking: Chunking) -> PublishOptions {
    PublishOptions::default()
        .chunk_bytes(CHUNK as u64)
        .chunking(chunking)
}

fn publish(
    rack: &Rack,
    model: &str,
    files: &[(&str, Vec<u8>)],
    options: &PublishOptions,
) -> modelrack::Result<PublishReport> {
    let folder = tempfile::tempdir_in(&rack.temp).unwrap();
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (*name, &bytes[..]))
        .collect();
    write_files(folder.path(), &files);
    let paths = [folder.path().to_owned()];
    Project::publish_files(&paths, &model_ref(model), rack.registry(), options)
}

/// How many chunks an update fetches after something was inserted at the front of 200.
fn chunks_after_an_insertion(chunking: Chunking) -> usize {
    let rack = Rack::new();
    let before = bytes(200 * CHUNK, 5);
    let small = ("config.json", b"{}".to_vec());
    let first = [("model.bin", before.clone()), small.clone()];
    publish(&rack, "g/m v1", &first, &by(chunking)).unwrap();
    rack.pull("g/m v1").unwrap();
    let after = [bytes(1000, 6), before].concat();
    let second = [("model.bin", after), small];
    let report = publish(&rack, "g/m v1", &second, &by(chunking)).unwrap();
    assert!(report.replaced.is_some());
    rack.server.reset_counts();
    rack.manager().update(&UpdateOptions::default()).unwrap();
    rack.assert_files("g/m v1", &second);
    let requests = rack.data_requests().len() - 1;
    assert_eq!(requests, report.chunks_written, "without the manifest");
    requests
}

#[test]
fn an_update_after_an_insertion_fetches_a_few_chunks_where_the_content_says_the_cuts() {
    assert!((1..=4).contains(&chunks_after_an_insertion(Chunking::Content)));
    assert_eq!(chunks_after_an_insertion(Chunking::Fixed), 201);
}

/// Publishing in chunks of the size of tests, cut as nobody says.
fn unsaid() -> PublishOptions {
    PublishOptions::default().chunk_bytes(CHUNK as u64)
}

#[test]
fn a_model_is_cut_as_it_was_before_and_a_new_one_by_its_content() {
    let [fixed, content] = [Chunking::Fixed, Chunking::Content].map(by);
    let whole = bytes(100 * CHUNK, 5);
    let at_front = [&bytes(10, 6)[..], &whole].concat();
    let small: Vec<_> = (0..9).map(|number| bytes(200, 10 + number)).collect();
    let files = |large: &[u8]| {
        let mut files = vec![("model.bin", large.to_vec())];
        let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8"].into_iter();
        files.extend(names.zip(small.clone()));
        files
    };
    for (first, inserted) in [(&fixed, 101), (&content, 4), (&unsaid(), 4)] {
        let rack = Rack::new();
        publish(&rack, "g/m v9", &files(&whole), first).unwrap();
        // What has not changed keeps its chunks, also the small files that share some.
        let mut changed = whole.clone();
        changed[50 * CHUNK + 7] ^= 1;
        for model in ["g/m v10", "g/m v9"] {
            let report = publish(&rack, model, &files(&changed), &unsaid()).unwrap();
            assert!(report.chunks_written <= 3, "{model}: {report:?}");
        }
        let report = publish(&rack, "g/m v11", &files(&at_front), &unsaid()).unwrap();
        let written = report.chunks_written;
        assert!(
            (inserted.min(100) / 4..=inserted).contains(&written),
            "{report:?}"
        );
        // Another model is cut anew.
        publish(&rack, "g/other v1", &files(&whole), &content).unwrap();
        let report = publish(&rack, "g/another v1", &files(&whole), &unsaid()).unwrap();
        assert_eq!(report.chunks_written, 0, "{report:?}");
        // If it is said, it counts; and of several versions, the highest tells.
        publish(&rack, "g/m v12", &files(&whole), &content).unwrap();
        let report = publish(&rack, "g/m v13", &files(&at_front), &unsaid()).unwrap();
        assert!(report.chunks_written <= 4, "{report:?}");
        let names = ["g/m v10", "g/m v11", "g/m v13", "g/another v1"];
        for (model, large) in names
            .into_iter()
            .zip([&changed, &at_front, &at_front, &whole])
        {
            rack.pull(model).unwrap();
            rack.assert_files(model, &files(large));
        }
    }
}

#[test]
fn changes_in_place_cost_no_more_than_two_hundredths_where_they_are_one() {
    let rack = Rack::new();
    let mut content = bytes(512 * CHUNK, 1);
    publish(
        &rack,
        "g/m v1",
        &[("model.bin", content.clone())],
        &unsaid(),
    )
    .unwrap();
    // In one place, and here and there; of a version that is replaced, and of a new one.
    let all = content.len();
    for (model, places, length) in [
        ("g/m v1", 1, all / 100),
        ("g/m v2", 3, 50),
        ("g/m v2", 1, all / 100),
    ] {
        for place in 0..places {
            let at = all / (places + 2) * (place + 1) + 333 * places;
            let new = bytes(
                length,
                20 + (places * 7 + place) as u64 + content[at] as u64,
            );
            content[at..at + new.len()].copy_from_slice(&new);
        }
        let report = publish(&rack, model, &[("model.bin", content.clone())], &unsaid()).unwrap();
        assert!(report.bytes_written > 0);
        assert!(
            report.bytes_written <= all as u64 / 50,
            "{places}: {report:?}"
        );
    }
}

#[test]
fn chunks_cut_by_content_are_within_bounds_and_the_same_each_time() {
    let (one, other) = (Rack::new(), Rack::new());
    let files = [
        ("a.bin", bytes(50 * CHUNK, 7)),
        ("b/empty", vec![]),
        ("b/small", bytes(100, 8)),
        ("b/small too", bytes(120, 9)),
        ("c.bin", bytes(CHUNK / 4, 10)),
        ("zeros", vec![0; 20 * CHUNK]),
    ];
    let report = publish(&one, "g/m v1", &files, &by(Chunking::Content)).unwrap();
    publish(&other, "g/m v1", &files, &by(Chunking::Content)).unwrap();
    assert_eq!(files_below(&one.registry()), files_below(&other.registry()));
    let path = format!("data/{}", report.manifest_digest);
    let manifest: Value =
        serde_json::from_slice(&fs::read(one.registry().join(path)).unwrap()).unwrap();
    assert_eq!(manifest["chunk_size"], CHUNK);
    let sizes = manifest["chunk_sizes"].as_array().unwrap().iter();
    let sizes: Vec<u64> = sizes.map(|size| size.as_u64().unwrap()).collect();
    assert_eq!(
        sizes.iter().sum::<u64>(),
        manifest["total_size"].as_u64().unwrap()
    );
    assert!(
        sizes
            .iter()
            .all(|size| (1..=4 * CHUNK as u64).contains(size))
    );
    // The two small files share one, and files of a quarter of a chunk and more have their own.
    assert!(sizes.contains(&220) && sizes.contains(&256), "{sizes:?}");
    assert_eq!(
        sizes[sizes.len() - 5..],
        [4096; 5],
        "zeros are cut at the longest"
    );
    one.pull("g/m v1").unwrap();
    one.assert_files("g/m v1", &files);
}

#[test]
fn a_version_with_the_same_files_keeps_its_manifest_however_it_would_be_cut_now() {
    let rack = Rack::new();
    let files = sample();
    let large = by(Chunking::Fixed).chunk_bytes(2 * CHUNK as u64);
    let all = [by(Chunking::Fixed), by(Chunking::Content), large];
    for (number, first) in all.iter().enumerate() {
        let model = format!("g/m v{number}");
        let before = publish(&rack, &model, &files, first).unwrap();
        let index = rack.index();
        for other in &all {
            let again = publish(&rack, &model, &files, other).unwrap();
            assert_eq!(again.manifest_digest, before.manifest_digest);
            assert_eq!((again.replaced, again.chunks_written), (None, 0));
            assert_eq!(rack.index(), index);
        }
        // With other bytes of the same sizes, it is another state, cut as it is asked for.
        let mut changed = files.clone();
        changed[0].1[number] ^= 1;
        let other = publish(&rack, &model, &changed, first).unwrap();
        assert_eq!(other.replaced, Some(before.manifest_digest));
        assert!((1..=2).contains(&other.chunks_written), "{other:?}");
        // And it returns.
        let back = publish(&rack, &model, &files, first).unwrap();
        assert_eq!(back.manifest_digest, before.manifest_digest);
    }
    // What is missing of a kept manifest's chunks is written again, where it was cut.
    let data = rack.registry().join("data");
    let before = names_in(&data);
    publish(&rack, "g/m v0", &files, &by(Chunking::Fixed)).unwrap();
    let whole = files_below(&data);
    for name in &before {
        fs::remove_file(data.join(name)).unwrap();
        publish(&rack, "g/m v0", &files, &by(Chunking::Fixed)).unwrap();
        publish(&rack, "g/m v1", &files, &by(Chunking::Content)).unwrap();
    }
    rack.pull("g/m v0").unwrap();
    rack.pull("g/m v1").unwrap();
    let now = files_below(&data);
    assert!(
        now.iter()
            .all(|(name, bytes)| whole.get(name) == Some(bytes))
    );
}

/// The announcement of a registry in shards.
fn announced(rack: &Rack) -> Vec<(String, String)> {
    let index = rack.index();
    assert_eq!(index.as_object().unwrap().len(), 1);
    let shards = index["/shards"].as_object().unwrap();
    let digest = |digest: &Value| digest.as_str().unwrap().to_owned();
    shards
        .iter()
        .map(|(prefix, it)| (prefix.clone(), digest(it)))
        .collect()
}

#[test]
fn an_index_in_shards_changes_where_it_is_touched() {
    let rack = Rack::new();
    let files = sample();
    let plain = by(Chunking::Fixed);
    let first = publish(&rack, "g/m v1", &files, &plain).unwrap();
    assert!(
        rack.index()["g"]["m"]["v1"].is_object(),
        "in one document unless asked for"
    );
    // A large description each, so that a few models fill a shard.
    let description = "d".repeat(20_000);
    let metadata = json!({"description": description});
    let described = plain
        .clone()
        .metadata(metadata.as_object().unwrap().clone());
    publish(&rack, "g/m v2", &files, &plain.clone().shards(true)).unwrap();
    assert_eq!(announced(&rack).len(), 1);
    assert_eq!(announced(&rack)[0].0, "");
    let mut before: BTreeSet<(String, String)> = announced(&rack).into_iter().collect();
    for number in 0..24 {
        let model = format!("group{}/model{number:02} v1", number % 2);
        publish(&rack, &model, &files, &described).unwrap();
        let now: BTreeSet<_> = announced(&rack).into_iter().collect();
        let changed: Vec<_> = now.difference(&before).collect();
        let name = model.split(' ').next().unwrap();
        let is_of_model = |prefix_now: &str| prefix(name, prefix_now.len()) == prefix_now;
        let touched = changed
            .iter()
            .filter(|(prefix, _)| is_of_model(prefix))
            .count();
        assert_eq!(touched, 1, "{model}: {changed:?}");
        let gone: Vec<_> = before.difference(&now).collect();
        assert!(gone.len() <= 1, "only the one that was touched: {gone:?}");
        before = now;
    }
    let shards = announced(&rack);
    assert!(shards.len() >= 4, "{shards:?}");
    for (_, digest) in &shards {
        let path = rack.registry().join(format!("models/{digest}.json"));
        assert!(fs::metadata(path).unwrap().len() <= 128 << 10);
    }
    // Nothing is lost, and what was there before has its digest.
    rack.server.reset_counts();
    let listed = rack
        .manager()
        .list_remote(&modelrack::RemoteOptions::default())
        .unwrap();
    assert_eq!(listed.models.len(), 26);
    assert_eq!(rack.server.count("/models/"), shards.len());
    let again = publish(&rack, "g/m v1", &files, &plain).unwrap();
    assert_eq!(
        (again.manifest_digest, again.replaced),
        (first.manifest_digest, None)
    );
    let aliased = plain.clone().aliases(["latest"]);
    publish(&rack, "g/m v2", &files, &aliased).unwrap();
    rack.pull("g/m latest").unwrap();
    rack.assert_files("g/m latest", &files);
    let error = publish(&rack, "g/m v1", &files, &plain.clone().aliases(["v2"])).unwrap_err();
    assert!(chain(&error).contains("is a version"), "{}", chain(&error));
    let mut changed = files.clone();
    changed[0].1.push(1);
    let replaced = publish(&rack, "g/m v1", &changed, &plain).unwrap();
    assert_eq!(replaced.replaced, Some(first.manifest_digest));
}

#[test]
fn an_index_in_shards_of_another_writer_is_gone_on_with() {
    let rack = Rack::new();
    let files = sample();
    for number in 0..9 {
        publish(
            &rack,
            &format!("g/m{number} v1"),
            &files,
            &by(Chunking::Fixed),
        )
        .unwrap();
    }
    let theirs = shard(&rack.registry(), 5);
    // One that belongs to none of their shards gets its own.
    let numbers = (0..).map(|number| format!("other/m{number}"));
    let mut outside = numbers.filter(|name| !theirs.contains_key(&prefix(name, 5)));
    for _ in 0..3 {
        let model = format!("{} v1", outside.next().unwrap());
        publish(&rack, &model, &files, &by(Chunking::Fixed)).unwrap();
        rack.pull(&model).unwrap();
    }
    publish(&rack, "g/m3 v2", &files, &by(Chunking::Fixed)).unwrap();
    let listed = rack
        .manager()
        .list_remote(&modelrack::RemoteOptions::default())
        .unwrap();
    let models: BTreeSet<ModelRef> = listed.models.into_iter().map(|it| it.model).collect();
    assert_eq!(models.len(), 13);
    // One that lost a shard is not written over.
    let digest = &announced(&rack)[0];
    let path = rack.registry().join(format!("models/{}.json", digest.1));
    let shard = fs::read(&path).unwrap();
    let index = rack.index();
    let in_it = models
        .iter()
        .find(|model| prefix(&model.name().to_string(), digest.0.len()) == digest.0);
    let model = in_it.unwrap().to_string();
    for damage in [None, Some(&shard[1..])] {
        match damage {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let error = publish(&rack, &model, &files, &by(Chunking::Fixed)).unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR");
        assert!(chain(&error).contains(&digest.1), "{}", chain(&error));
        assert_eq!(rack.index(), index);
    }
}
