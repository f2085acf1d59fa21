//! What bad input gets at the command line: an exit code, an error that says what is wrong, and nothing that is installed.

use std::io::Write;
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{LLAMA, Machine, llama};
use crate::cli::{Ran, run_line};
use crate::support::bytes;
use crate::support::oci::{Artifact, INDEX_TYPE, MANIFEST_TYPE, sha256};
use crate::support::server::{Gate, Rule};

const PULL: &str = "pull oci/acme/llama:q4";
const MODEL: &str = "oci/acme/llama q4";

/// A thing that may come from a registry, how a pull of it ends, and what is said.
struct Case {
    what: &'static str,
    prepare: fn(&Machine),
    code: u8,
    error: &'static str,
    says: &'static str,
}

/// Pushes the model with a manifest that was changed.
fn push_changed(machine: &Machine, change: impl FnOnce(&mut Value)) {
    let artifact = Artifact::model_pack(&llama());
    machine.registry.blobs(LLAMA, &artifact);
    let mut manifest = artifact.manifest();
    change(&mut manifest);
    put(machine, "q4", MANIFEST_TYPE, &manifest);
}

fn put(machine: &Machine, tag: &str, media_type: &str, json: &Value) -> String {
    let json = json.to_string();
    machine.registry.put_manifest(LLAMA, tag, media_type, json)
}

fn index_of(digest: &str, media_type: &str) -> Value {
    let entry = json!({"mediaType": media_type, "digest": digest, "size": 9});
    json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]})
}

/// A tar of zeros in gzip: a thousandth of what it unpacks to.
fn bomb() -> Vec<u8> {
    let size = 400 << 20;
    let mut header = [0; 512];
    header[0] = b'a';
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&header).unwrap();
    gzip.write_all(&vec![0; 1 << 20]).unwrap();
    gzip.finish().unwrap()
}

fn cases() -> Vec<Case> {
    let case = |what, prepare, (code, error), says| Case {
        what,
        prepare,
        code,
        error,
        says,
    };
    let malformed = (1, "REGISTRY_ERROR");
    vec![
        case(
            "a manifest that is not what its digest says",
            |machine| {
                let artifact = Artifact::model_pack(&llama());
                let digest = machine.registry.push(LLAMA, "q4", &artifact);
                let other = Artifact::model_pack(&[("x", "y")]).manifest();
                machine
                    .registry
                    .forge_manifest(LLAMA, &digest, &other.to_string());
            },
            (6, "HASH_MISMATCH"),
            "has digest",
        ),
        case(
            "a manifest of more than 4 MiB",
            |machine| {
                push_changed(machine, |manifest| {
                    manifest["annotations"]["x"] = "x".repeat(4 << 20).into();
                });
            },
            malformed,
            "is larger than 4.2 MB",
        ),
        case(
            "a manifest that is none",
            |machine| {
                put(machine, "q4", MANIFEST_TYPE, &json!({"layers": 7}));
            },
            malformed,
            "the manifest is malformed",
        ),
        case(
            "an index of an index",
            |machine| {
                let inner = index_of(&sha256(b"x"), MANIFEST_TYPE);
                let inner = put(machine, "inner", INDEX_TYPE, &inner);
                put(machine, "q4", INDEX_TYPE, &index_of(&inner, INDEX_TYPE));
            },
            malformed,
            "index",
        ),
        case(
            "an index of an index that says it is a manifest",
            |machine| {
                let inner = index_of(&sha256(b"x"), MANIFEST_TYPE);
                let inner = put(machine, "inner", INDEX_TYPE, &inner);
                put(machine, "q4", INDEX_TYPE, &index_of(&inner, MANIFEST_TYPE));
            },
            malformed,
            "the index names another index",
        ),
        case(
            "an index of what is not there",
            |machine| {
                let gone = index_of(&sha256(b"gone"), MANIFEST_TYPE);
                put(machine, "q4", INDEX_TYPE, &gone);
            },
            malformed,
            "the index names a manifest that is not there",
        ),
        case(
            "10,000 layers",
            |machine| {
                push_changed(machine, |manifest| {
                    let layer = manifest["layers"][0].clone();
                    manifest["layers"] = vec![layer; 10_000].into();
                });
            },
            malformed,
            "more than 8192 entries",
        ),
        case(
            "two files of one name",
            |machine| {
                push_changed(machine, |manifest| {
                    let name = manifest["layers"][1]["annotations"].clone();
                    manifest["layers"][2]["annotations"] = name;
                });
            },
            malformed,
            "model.gguf",
        ),
        case(
            "two files whose names differ in case",
            |machine| {
                push_changed(machine, |manifest| {
                    manifest["layers"][2]["annotations"] =
                        json!({"org.cncf.model.filepath": "MODEL.gguf"});
                });
            },
            malformed,
            "only in case",
        ),
        case(
            "a name that leads out of the model",
            |machine| {
                push_changed(machine, |manifest| {
                    manifest["layers"][2]["annotations"] =
                        json!({"org.cncf.model.filepath": "../../up"});
                });
            },
            malformed,
            "'.' or '..'",
        ),
        case(
            "a size that is too small",
            |machine| {
                push_changed(machine, |manifest| {
                    manifest["layers"][1]["size"] = 29_999.into()
                })
            },
            (6, "HASH_MISMATCH"),
            "model.gguf",
        ),
        case(
            "a size that is too large",
            |machine| {
                push_changed(machine, |manifest| {
                    manifest["layers"][1]["size"] = 30_001.into()
                })
            },
            (6, "HASH_MISMATCH"),
            "model.gguf",
        ),
        case(
            "a size that no disk has",
            |machine| {
                push_changed(machine, |manifest| {
                    manifest["layers"][1]["size"] = (1_u64 << 60).into()
                });
            },
            (7, "INSUFFICIENT_SPACE"),
            "space",
        ),
        case(
            "a layer that is not what its digest says",
            |machine| {
                push_changed(machine, |_| {});
                let layer = format!("/blobs/{}", sha256(&llama()[1].1));
                machine
                    .registry
                    .server()
                    .rule(Rule::path_ends(layer).body(bytes(30_000, 9)));
            },
            (6, "HASH_MISMATCH"),
            "has digest",
        ),
        case(
            "a layer that is a bomb",
            |machine| {
                let artifact = Artifact::model_pack(&[("config.json", "{}")]);
                let tar = "application/vnd.cncf.model.weight.v1.tar+gzip";
                machine
                    .registry
                    .push(LLAMA, "q4", &artifact.with_layer(tar, bomb()));
            },
            malformed,
            "bomb",
        ),
        case(
            "a configuration that is no JSON",
            |machine| {
                push_changed(machine, |manifest| {
                    // A text, which a layer has.
                    let text = &llama()[0].1;
                    manifest["config"]["digest"] = sha256(text).into();
                    manifest["config"]["size"] = text.len().into();
                });
            },
            malformed,
            "the configuration of the artifact is not JSON",
        ),
    ]
}

#[test]
fn bad_input_is_refused_and_nothing_is_installed() {
    for case in cases() {
        let machine = Machine::new();
        (case.prepare)(&machine);
        let text = run(&machine, PULL);
        let json = run(&machine, &format!("{PULL} --json"));
        let what = case.what;
        assert_eq!(
            (text.code, json.code),
            (case.code, case.code),
            "{what}: {text:?}"
        );
        assert_eq!(json.json()["error"]["code"], case.error, "{what}: {json:?}");
        assert!(text.err.contains(case.says), "{what}: {}", text.err);
        assert_eq!(machine.rack.listed().0, Vec::<String>::new(), "{what}");
        assert!(!machine.rack.dir_of(MODEL).exists(), "{what}");
    }
}

fn run(machine: &Machine, line: &str) -> Ran {
    run_line(&machine.mount(), line)
}

#[test]
fn a_tag_that_moves_while_it_is_pulled_leaves_one_state() {
    let (machine, first) = Machine::with_llama();
    let gate = Gate::new();
    let blobs = format!("/v2/{LLAMA}/blobs/");
    let server = machine.registry.server();
    server.rule(Rule::path_starts(&*blobs).hold(&gate));
    let other = [
        ("model.gguf", bytes(30_000, 4)),
        ("new.txt", b"new".to_vec()),
    ];
    let moved = thread::scope(|scope| {
        let pull = scope.spawn(|| run(&machine, PULL));
        assert!(server.wait_for(&blobs, 1, crate::support::PATIENCE));
        let moved = machine
            .registry
            .push(LLAMA, "q4", &Artifact::model_pack(&other));
        gate.open();
        pull.join().unwrap().success();
        moved
    });
    machine.assert_llama_installed(MODEL);
    let listed = || run(&machine, "list --json").json().to_string();
    assert!(listed().contains(&first), "{}", listed());
    run(&machine, "update --apply").success();
    machine.rack.assert_files(MODEL, &other);
    assert!(listed().contains(&moved), "{}", listed());
}
