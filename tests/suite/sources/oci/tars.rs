//! Layers that are tars: fetched whole, verified, unpacked, and gone.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use modelrack::config::System;
use modelrack::installed::Freshness;
use modelrack::progress::{Phase, ProgressEvent};
use modelrack::{ErrorKind, Manager, PullOptions, UpdateOptions, VerifyOptions};
use serde_json::json;

use super::{LLAMA, Machine};
use crate::support::oci::{Artifact, sha256};
use crate::support::platform::SYSTEM;
use crate::support::recorder::Recorder;
use crate::support::server::Rule;
use crate::support::{address, bytes, chain};

const TAR: &str = "application/vnd.cncf.model.weight.v1.tar";
const TAR_GZIP: &str = "application/vnd.cncf.model.doc.v1.tar+gzip";
const MODEL: &str = "oci/acme/llama q4";

/// A tar with these files; the type of an entry is in front of its name where it is none.
pub(super) fn tar<B: AsRef<[u8]>>(entries: &[(&str, B)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, content) in entries {
        let content = content.as_ref();
        let (kind, name) = match name.split_once(':') {
            Some(("link", name)) => (b'2', name),
            Some(("folder", name)) => (b'5', name),
            _ => (b'0', *name),
        };
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend(header);
        tar.extend(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A frame of Zstandard whose blocks are stored as they are ([format]).
///
/// [format]: https://www.rfc-editor.org/rfc/rfc8878
fn zstd(bytes: &[u8]) -> Vec<u8> {
    // One segment, whose size takes four bytes.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000];
    frame.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    let mut blocks = bytes.chunks(100_000).peekable();
    while let Some(block) = blocks.next() {
        let is_last = u32::from(blocks.peek().is_none());
        let header = u32::try_from(block.len()).unwrap() << 3 | is_last;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

/// A raw configuration, weights in a plain tar, and documents in a compressed one.
pub(super) fn packed() -> (Artifact, Vec<(&'static str, Vec<u8>)>) {
    let files = vec![
        ("config.json", b"{}".to_vec()),
        ("weights/a.bin", bytes(40_000, 1)),
        ("weights/b.bin", bytes(30_000, 2)),
        ("README.md", b"# Llama\n".to_vec()),
    ];
    let artifact = Artifact::model_pack(&files[..1])
        .with_layer(TAR, tar(&files[1..3]))
        .with_layer(TAR_GZIP, gzip(&tar(&files[3..])));
    (artifact, files)
}

fn machine_with_packed() -> (Machine, Vec<(&'static str, Vec<u8>)>) {
    let machine = Machine::new();
    let (artifact, files) = packed();
    machine.registry.push(LLAMA, "q4", &artifact);
    (machine, files)
}

/// The digests of the layers that were fetched since the last reset, without the configuration.
fn blobs_fetched(machine: &Machine, artifact: &Artifact) -> Vec<String> {
    let config = sha256(artifact.config.to_string().as_bytes());
    let requests = machine.requests().into_iter();
    let mut blobs: Vec<String> = requests
        .filter_map(|request| Some(request.split_once("/blobs/")?.1.to_owned()))
        .filter(|digest| *digest != config)
        .collect();
    blobs.dedup();
    blobs
}

#[test]
fn what_is_in_tars_is_installed_and_the_tars_are_gone() {
    let (machine, files) = machine_with_packed();
    let (artifact, _) = packed();
    let layers: Vec<Vec<u8>> = artifact.blobs()[..3].to_vec();
    let layer_bytes: usize = layers.iter().map(Vec::len).sum();

    let manager = machine.manager();
    let plan = manager.plan_pull(&address(MODEL), &PullOptions::default());
    assert_eq!(plan.unwrap().bytes_to_fetch, layer_bytes as u64);
    assert_eq!(blobs_fetched(&machine, &artifact), Vec::<String>::new());

    let report = machine.pull(MODEL).unwrap();
    let total_bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
    assert_eq!(report.bytes_fetched, layer_bytes as u64);
    assert_eq!((report.files, report.total_bytes), (4, total_bytes as u64));
    machine.rack.assert_files(MODEL, &files);
    assert_eq!(machine.rack.cache(), Vec::<String>::new());

    let verified = manager.verify(&VerifyOptions::default()).unwrap();
    let verified = &verified.models[0];
    assert_eq!(
        (verified.bytes, verified.is_whole()),
        (total_bytes as u64, true)
    );
    assert!(verified.unchecked.is_empty());
    let update = manager.update(&UpdateOptions::default()).unwrap();
    assert!(matches!(update.entries[0].freshness, Freshness::UpToDate));
    machine.requests();
    let again = machine.pull(MODEL).unwrap();
    assert_eq!(
        (again.bytes_fetched, again.total_bytes),
        (0, total_bytes as u64)
    );
    assert_eq!(blobs_fetched(&machine, &artifact), Vec::<String>::new());
}

#[test]
fn unpacking_is_a_phase_of_its_own() {
    let (machine, _) = machine_with_packed();
    let plain = Artifact::model_pack(&[("config.json", b"{}")]);
    machine.registry.push(LLAMA, "plain", &plain);
    for (tag, expected) in [("q4", true), ("plain", false)] {
        let recorder = Arc::new(Recorder::default());
        let options = PullOptions::default().progress(recorder.clone());
        let model = address(&format!("oci/acme/llama {tag}"));
        machine.manager().pull(&model, &options).unwrap();
        let phases = recorder
            .events()
            .into_iter()
            .filter_map(|event| match event {
                ProgressEvent::Phase(state) => Some(state.phase),
                _ => None,
            });
        let phases: Vec<Phase> = phases.collect();
        let end = match expected {
            true => &[Phase::Chunks, Phase::Unpacking, Phase::Extracting][..],
            false => &[Phase::Chunks, Phase::Extracting],
        };
        assert!(phases.ends_with(end), "{tag}: {phases:?}");
        assert_eq!(phases.contains(&Phase::Unpacking), expected);
    }
}

#[test]
fn a_repair_fetches_the_tar_again_and_takes_the_rest_from_the_model() {
    let (machine, files) = machine_with_packed();
    let (artifact, _) = packed();
    let report = machine.pull(MODEL).unwrap();
    fs::write(report.path.join("weights").join("b.bin"), "damaged").unwrap();
    machine.requests();
    let repair = VerifyOptions::default().repair(true);
    let verified = machine.manager().verify(&repair).unwrap();
    let verified = &verified.models[0];
    assert_eq!(verified.damaged[0].path, "weights/b.bin");
    assert!(verified.is_whole());
    machine.rack.assert_files(MODEL, &files);
    let raw = sha256(&artifact.blobs()[0]);
    let fetched = blobs_fetched(&machine, &artifact);
    assert!(
        fetched.contains(&sha256(&artifact.blobs()[1])),
        "{fetched:?}"
    );
    assert!(!fetched.contains(&raw), "{fetched:?}");
    assert_eq!(machine.rack.cache(), Vec::<String>::new());
}

#[test]
fn an_update_unpacks_the_new_tar_and_drops_what_it_no_longer_has() {
    let (machine, mut files) = machine_with_packed();
    machine.pull(MODEL).unwrap();
    files[1].1 = bytes(10_000, 3);
    files.remove(2);
    let artifact = Artifact::model_pack(&files[..1])
        .with_layer(TAR, tar(&files[1..2]))
        .with_layer(TAR_GZIP, gzip(&tar(&files[2..])));
    machine.registry.push(LLAMA, "q4", &artifact);
    let report = machine.manager().update(&UpdateOptions::default()).unwrap();
    let Freshness::Changed(change) = &report.entries[0].freshness else {
        panic!("{report:?}");
    };
    assert_eq!((change.added.len(), change.removed.len()), (1, 1));
    assert!(change.removed[0].starts_with("layer-"), "{change:?}");
    machine.rack.assert_files(MODEL, &files);
}

#[test]
fn an_update_fetches_no_tar_that_has_not_changed() {
    let machine = Machine::new();
    let kitfile = json!({"manifestVersion": "1.0.0", "package": {"name": "llama"}});
    let model = (
        "application/vnd.kitops.modelkit.model.v1.tar",
        tar(&[
            ("model/a.bin", bytes(400_000, 1)),
            ("model/b.bin", bytes(30_000, 2)),
        ]),
    );
    let kit = |page: &str| {
        let docs = gzip(&tar(&[("docs/page.md", page)]));
        let docs = ("application/vnd.kitops.modelkit.docs.v1.tar+gzip", docs);
        let kit = Artifact::kit(kitfile.clone());
        let kit = kit.with_layer(model.0, model.1.clone());
        (kit.with_layer(docs.0, docs.1.clone()), docs.1.len() as u64)
    };
    let files = |page: &str| {
        [
            ("model/a.bin", bytes(400_000, 1)),
            ("model/b.bin", bytes(30_000, 2)),
            ("docs/page.md", page.as_bytes().to_vec()),
        ]
    };
    machine.registry.push(LLAMA, "q4", &kit("one").0);
    machine.pull(MODEL).unwrap();

    let (moved, moved_bytes) = kit("another");
    machine.registry.push(LLAMA, "q4", &moved);
    let manager = machine.manager();
    let plan = manager.plan_pull(&address(MODEL), &PullOptions::default());
    assert_eq!(plan.unwrap().bytes_to_fetch, moved_bytes);
    machine.requests();
    let report = machine.pull(MODEL).unwrap();
    assert_eq!(
        (report.bytes_fetched, report.bytes_reused),
        (moved_bytes, 430_000)
    );
    assert_eq!(blobs_fetched(&machine, &moved), [sha256(&moved.blobs()[1])]);
    machine.rack.assert_files(MODEL, &files("another"));
    assert_eq!(machine.rack.cache(), Vec::<String>::new());

    // It is the same state as one that was fetched as a whole: nothing is left to update, and it is unchanged again.
    let update = manager.update(&UpdateOptions::default()).unwrap();
    assert!(matches!(update.entries[0].freshness, Freshness::UpToDate));
    let other = Machine::new();
    other.registry.push(LLAMA, "q4", &moved);
    let whole = other.pull(MODEL).unwrap();
    assert_eq!(report.total_bytes, whole.total_bytes);
    let (third, third_bytes) = kit("a third");
    machine.registry.push(LLAMA, "q4", &third);
    assert_eq!(machine.pull(MODEL).unwrap().bytes_fetched, third_bytes);
    machine.rack.assert_files(MODEL, &files("a third"));

    // What is installed is not what it was: of another size, and of the same.
    for damaged in [b"damaged".to_vec(), vec![0; 30_000]] {
        let path = machine.rack.dir_of(MODEL).join("model").join("b.bin");
        fs::write(&path, &damaged).unwrap();
        let page = format!("after {} bytes", damaged.len());
        let (fourth, fourth_bytes) = kit(&page);
        machine.registry.push(LLAMA, "q4", &fourth);
        let report = machine.pull(MODEL).unwrap();
        assert!(report.bytes_fetched >= fourth_bytes + model.1.len() as u64);
        machine.rack.assert_files(MODEL, &files(&page));
    }
}

#[test]
fn a_tar_that_is_cut_goes_on_where_it_was_whatever_packs_it() {
    let files = [
        ("weights/a.bin", bytes(600_000, 1)),
        ("weights/b", b"b".to_vec()),
    ];
    let plain = tar(&files);
    for (ending, layer) in [
        ("tar", plain.clone()),
        ("tar+gzip", gzip(&plain)),
        ("tar+zstd", zstd(&plain)),
    ] {
        let machine = Machine::new();
        let media_type = format!("application/vnd.cncf.model.weight.v1.{ending}");
        let artifact = Artifact::model_pack::<&[u8]>(&[]).with_layer(&media_type, layer.clone());
        machine.registry.push(LLAMA, "q4", &artifact);
        let blob = format!("/blobs/{}", sha256(&layer));
        let cut = Rule::path_ends(blob).nth(1).cut_after(200_000);
        machine.registry.server().rule(cut);
        let report = machine.pull(MODEL).unwrap();
        assert_eq!(report.bytes_fetched, layer.len() as u64, "{ending}");
        machine.rack.assert_files(MODEL, &files);
        let requests = machine.requests().into_iter();
        let of_blob = requests.filter(|it| it.ends_with(&sha256(&layer)));
        assert_eq!(of_blob.count(), 2, "{ending}");
    }
}

#[test]
fn patterns_select_files_in_tars() {
    let (machine, files) = machine_with_packed();
    let options = PullOptions::default().include(["weights/a.bin"]);
    let report = machine.manager().pull(&address(MODEL), &options).unwrap();
    assert_eq!(report.files, 1);
    machine.rack.assert_files(MODEL, &files[1..2]);
    let repair = VerifyOptions::default().repair(true);
    fs::write(report.path.join("weights").join("a.bin"), "damaged").unwrap();
    let verified = machine.manager().verify(&repair).unwrap();
    assert!(verified.models[0].is_whole());
    machine.rack.assert_files(MODEL, &files[1..2]);
    // Everything is another state of the model.
    machine.pull(MODEL).unwrap();
    machine.rack.assert_files(MODEL, &files);

    let nothing = PullOptions::default().include(["*.onnx"]).force(true);
    let error = machine.manager().pull(&address(MODEL), &nothing);
    assert!(chain(&error.unwrap_err()).contains("no file of"));
    machine.rack.assert_files(MODEL, &files);
}

#[test]
fn a_tar_that_cannot_be_unpacked_installs_nothing_and_leaves_nothing() {
    let good = bytes(20_000, 1);
    for (expected, layer) in [
        ("it is a link", tar(&[("a", &good[..]), ("link:b", b"")])),
        ("'.' or '..'", tar(&[("a", &good[..]), ("../../b", b"x")])),
        ("absolute", tar(&[("/etc/b", &good[..])])),
        ("only in case", tar(&[("a/x", &good[..]), ("A/y", b"x")])),
        ("occurs twice", tar(&[("config.json", b"x")])),
        ("has a place", tar(&[(".rack/manifest.json", b"{}")])),
        ("truncated", tar(&[("a", &good[..])])[..9_000].to_vec()),
        ("not a tar", good.clone()),
    ] {
        let machine = Machine::new();
        let artifact = Artifact::model_pack(&[("config.json", b"{}")]).with_layer(TAR, layer);
        machine.registry.push(LLAMA, "q4", &artifact);
        let error = machine.pull(MODEL).unwrap_err();
        assert!(chain(&error).contains(expected), "{}", chain(&error));
        let is_of_source = matches!(
            error.kind(),
            ErrorKind::Registry { .. } | ErrorKind::UnusableFiles { .. }
        );
        assert!(is_of_source, "{error:?}");
        assert!(!machine.rack.dir_of(MODEL).exists());
        let left = fs::read_dir(machine.rack.partial().unwrap()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.contains(&"unpacked".into()), "{left:?}");
    }
}

#[test]
fn tars_without_files_are_no_model_and_beside_files_they_are_nothing() {
    let folders = tar::<&[u8]>(&[("folder:docs/", b""), ("folder:docs/en/", b"")]);
    for (format, empty) in [
        (TAR, tar::<&[u8]>(&[])),
        (TAR, folders.clone()),
        (TAR_GZIP, gzip(&folders)),
    ] {
        let machine = Machine::new();
        let nothing = Artifact::model_pack::<&[u8]>(&[]).with_layer(format, empty.clone());
        machine.registry.push(LLAMA, "q4", &nothing);
        let error = machine.pull(MODEL).unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR");
        assert!(
            error.to_string().contains("acme/llama q4 have no files"),
            "{error}"
        );
        assert_eq!(machine.rack.listed().0, Vec::<String>::new());
        assert!(!machine.rack.dir_of(MODEL).exists());

        let files = [("config.json", b"{}")];
        let some = Artifact::model_pack(&files).with_layer(format, empty);
        machine.registry.push(LLAMA, "q4", &some);
        assert_eq!(machine.pull(MODEL).unwrap().files, 1);
        machine.rack.assert_files(MODEL, &files);
    }
}

/// A ModelKit with one layer, which is a file of this name.
fn kit_of(name: &str, media_type: &str, layer: &[u8]) -> Artifact {
    let kit = Artifact::kit(json!({"manifestVersion": "1.0.0", "package": {"name": "llama"}}));
    let media_type = format!("application/vnd.kitops.modelkit.{media_type}");
    let kit = kit.with_layer(&media_type, layer.to_vec());
    kit.layer(0, |layer| {
        layer["annotations"] = json!({"org.cncf.model.filepath": name});
    })
}

#[test]
fn a_file_that_is_compressed_is_installed_as_it_was() {
    let content = bytes(300_000, 1);
    let files = [("model/weights.bin", content.clone())];
    for (media_type, layer) in [
        ("model.v1.raw+gzip", gzip(&content)),
        ("model.v1.raw+zstd", zstd(&content)),
    ] {
        let machine = Machine::new();
        let kit = kit_of("model/weights.bin", media_type, &layer);
        machine.registry.push(LLAMA, "q4", &kit);
        let report = machine.pull(MODEL).unwrap();
        assert_eq!(
            (report.bytes_fetched, report.total_bytes),
            (layer.len() as u64, 300_000)
        );
        machine.rack.assert_files(MODEL, &files);
        assert_eq!(machine.rack.cache(), Vec::<String>::new());
        let manager = machine.manager();
        let update = manager.update(&UpdateOptions::default()).unwrap();
        assert!(matches!(update.entries[0].freshness, Freshness::UpToDate));
        fs::write(report.path.join("model").join("weights.bin"), "damaged").unwrap();
        let repair = VerifyOptions::default().repair(true);
        let verified = manager.verify(&repair).unwrap();
        assert!(verified.models[0].is_whole(), "{media_type}");
        machine.rack.assert_files(MODEL, &files);
        // Its name is known before it is here.
        machine.requests();
        let other = PullOptions::default().force(true).include(["*.md"]);
        let error = manager.pull(&address(MODEL), &other).unwrap_err();
        assert!(chain(&error).contains("no file of"), "{}", chain(&error));
        assert_eq!(blobs_fetched(&machine, &kit), Vec::<String>::new());
    }
}

#[test]
fn a_compressed_file_that_cannot_be_read_installs_nothing() {
    let content = bytes(300_000, 1);
    let mut damaged = gzip(&content);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![0; 300 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    for (what, media_type, layer) in [
        (
            "cut",
            "model.v1.raw+gzip",
            gzip(&content)[..50_000].to_vec(),
        ),
        ("damaged", "model.v1.raw+gzip", damaged),
        ("not compressed", "model.v1.raw+gzip", content.clone()),
        (
            "cut",
            "model.v1.raw+zstd",
            zstd(&content)[..50_000].to_vec(),
        ),
        ("not compressed", "model.v1.raw+zstd", content.clone()),
        ("a bomb", "model.v1.raw+gzip", bomb),
    ] {
        let machine = Machine::new();
        let kit = kit_of("model.gguf", media_type, &layer);
        machine.registry.push(LLAMA, "q4", &kit);
        let error = machine.pull(MODEL).unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{what}: {error:?}");
        let text = chain(&error);
        assert!(
            text.contains("the compressed file cannot be read"),
            "{what}: {text}"
        );
        assert_eq!(text.contains("bomb"), what == "a bomb", "{what}: {text}");
        assert_eq!(machine.rack.listed().0, Vec::<String>::new(), "{what}");
        assert!(!machine.rack.dir_of(MODEL).exists(), "{what}");
    }
}

/// What a program writes to its output; it has to be there.
fn output(program: &mut Command, input: &[u8]) -> Vec<u8> {
    program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program:?}");
    output.stdout
}

/// A ModelKit as Kit makes it: a tar for the model, one for the documents, with names relative to the Kitfile. The tars are
/// those of the real program, in each of its formats.
#[test]
fn a_model_kit_is_pulled_whatever_format_its_tars_have() {
    if SYSTEM != System::Linux {
        return;
    }
    let long = format!(
        "docs/{}/page.md",
        ["a-folder-with-a-long-name"; 6].join("/")
    );
    let files = [
        ("model/weights.bin", bytes(70_000, 1)),
        ("docs/größe.md", b"# Size\n".to_vec()),
        (&*long, b"# Page\n".to_vec()),
    ];
    let kitfile = json!({
        "manifestVersion": "1.0.0",
        "package": {"name": "llama"},
        "model": {"path": "model", "digest": "sha256:0"},
        "docs": [{"path": "docs", "digest": "sha256:0"}],
    });
    for format in ["gnu", "posix", "ustar", "oldgnu"] {
        let machine = Machine::new();
        let folder = machine.rack.temp.path().join("kit");
        for (name, content) in &files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let pack = |compression: &[&str], name: &str| {
            let mut tar = Command::new("tar");
            tar.args(["-c", "--format", format, "-C"]).arg(&folder);
            output(tar.args(compression).args(["-f", "-", name]), b"")
        };
        let model = pack(&[], "./model");
        let docs = pack(&["-z"], "docs");
        let artifact = Artifact::kit(kitfile.clone())
            .with_layer("application/vnd.kitops.modelkit.model.v1.tar", model)
            .with_layer("application/vnd.kitops.modelkit.docs.v1.tar+gzip", docs);
        machine.registry.push(LLAMA, "q4", &artifact);
        machine.pull(MODEL).unwrap();
        machine.rack.assert_files(MODEL, &files);
    }
}
