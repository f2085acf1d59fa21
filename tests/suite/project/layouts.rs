//! What makes one model: the files of libraries, as they write them.

use modelrack::project::{AddOptions, Project};
use serde_json::json;

use super::folder::{Folder, failures, files_of, gguf, gnn, ids, weights};

/// Adds a folder, and returns the ids with the number of their files.
fn added(files: &[(&str, &[u8])], path: &str) -> Vec<(String, usize)> {
    let folder = Folder::with(files);
    let report = folder.add(&[path]);
    assert_eq!(failures(&report.failed), [], "{path}");
    let items = report.registered.into_iter();
    items.map(|item| (item.id, item.files)).collect()
}

fn one(id: &str, files: usize) -> Vec<(String, usize)> {
    vec![(id.to_owned(), files)]
}

#[test]
fn a_configuration_with_numbers_of_python_is_read() {
    let config = br#"{"architectures":["NemotronHForCausalLM"],"model_type":"nemotron_h","vocab_size":8,"time_step_limit":[0.0,Infinity]}"#;
    let folder = Folder::with(&[
        ("m/config.json", &config[..]),
        ("m/model.safetensors", &weights(&[4])),
    ]);
    let report = folder.add(&["m"]);
    assert_eq!((ids(&report), report.registered[0].files), (vec!["m"], 2));
    let project = folder.project();
    let (_, version) = project.registry().current("m").unwrap();
    assert_eq!(version.metadata["architecture"], "NemotronHForCausalLM");
    assert_eq!(version.metadata["vocab_size"], 8);
}

#[test]
fn a_configuration_that_cannot_be_read_keeps_its_weights_from_being_registered_alone() {
    for (name, text) in [
        ("config.json", "{\"model_type\": \"llama\""),
        ("adapter_config.json", "{\"peft_type\": \"LORA\",, }"),
        ("model_index.json", "{\"_class_name\": [}"),
        ("model.safetensors.index.json", "{\"weight_map\": {"),
    ] {
        let folder = Folder::with(&[
            ("p/m/weights.safetensors", weights(&[4])),
            ("p/good/good.safetensors", weights(&[4])),
            (&format!("p/m/{name}"), text.as_bytes().to_vec()),
        ]);
        let report = folder.add(&["p"]);
        assert_eq!(ids(&report), ["good"], "{name}");
        let failed = failures(&report.failed);
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].0, format!("p/m/{name}"));
    }
}

#[test]
fn a_pipeline_of_diffusers_is_one_model() {
    let (weights, config) = (
        weights(&[4]),
        br#"{"architectures": ["CLIPTextModel"], "model_type": "clip_text_model"}"#,
    );
    let component = br#"{"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.42.1"}"#;
    let files: [(&str, &[u8]); 9] = [
        (
            "sd/model_index.json",
            br#"{"_class_name": "StableDiffusionPipeline"}"#,
        ),
        ("sd/unet/config.json", component),
        ("sd/unet/diffusion_pytorch_model.safetensors", &weights),
        ("sd/vae/config.json", component),
        ("sd/vae/diffusion_pytorch_model.safetensors", &weights),
        ("sd/text_encoder/config.json", config),
        ("sd/text_encoder/model.safetensors", &weights),
        ("sd/scheduler/scheduler_config.json", b"{}"),
        ("sd/tokenizer/vocab.json", b"{}"),
    ];
    let folder = Folder::with(&files);
    let report = folder.add(&["sd"]);
    assert_eq!((ids(&report), report.registered[0].files), (vec!["sd"], 9));
    let project = folder.project();
    let entry = &project.registry().entries["sd"];
    assert_eq!(entry.model_type.as_deref(), Some("text-to-image"));
    // A component alone is one, too.
    assert_eq!(added(&files[1..3], "sd/unet"), one("unet", 2));
}

#[test]
fn an_adapter_keeps_its_configuration_and_says_of_what_it_is() {
    let folder = Folder::with(&[
        (
            "l/adapter_config.json",
            &br#"{"peft_type":"LORA","base_model_name_or_path":"o/n","r":8}"#[..],
        ),
        ("l/adapter_model.safetensors", &weights(&[4])),
        ("l/README.md", b"---\nbase_model: o/n\n---\n"),
    ]);
    let report = folder.add(&["l"]);
    assert_eq!((ids(&report), report.registered[0].files), (vec!["l"], 3));
    let project = folder.project();
    let (entry, version) = project.registry().current("l").unwrap();
    assert!(entry.tags.contains("adapter"));
    assert_eq!(version.metadata["adapter"], "LORA");
    assert_eq!(version.metadata["base_model"], "o/n");
}

#[test]
fn the_folders_of_other_libraries_are_one_model_each() {
    let weights = weights(&[4]);
    let modules: &[u8] = br#"[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}]"#;
    // sentence-transformers
    let files: [(&str, &[u8]); 4] = [
        ("m/modules.json", modules),
        (
            "m/config_sentence_transformers.json",
            b"{\"__version__\": {}}",
        ),
        ("m/tokenizer.json", b"{}"),
        ("m/model.safetensors", &weights),
    ];
    assert_eq!(added(&files, "m"), one("m", 4));
    // The same without what says which library it is.
    assert_eq!(added(&files[2..], "m"), one("m", 2));
    // timm and open_clip
    for (name, config) in [
        (
            "config.json",
            &br#"{"architecture": "resnet18", "pretrained_cfg": {}}"#[..],
        ),
        ("open_clip_config.json", br#"{"model_cfg": {}}"#),
    ] {
        let name = format!("m/{name}");
        let files = [(&*name, config), ("m/weights.safetensors", &*weights)];
        assert_eq!(added(&files, "m"), one("m", 2), "{name}");
    }
    // Parts with their index, and parts without.
    let shards: [(&str, &[u8]); 3] = [
        ("m/model.safetensors.index.json", br#"{"weight_map": {}}"#),
        ("m/model-1-of-2.safetensors", &weights),
        ("m/model-2-of-2.safetensors", &weights),
    ];
    assert_eq!(added(&shards, "m"), one("m", 3));
    assert_eq!(added(&shards[1..], "m"), one("m", 2));
    // Whatever library wrote them, and whatever their name is.
    let other: [(&str, &[u8]); 2] = [
        ("m/config.json", b"{\"layers\": [64, 32"),
        ("m/tiny.safetensors", &weights),
    ];
    assert_eq!(added(&other, "m"), one("m", 2));
    // Several weights that have names of their own are models of their own.
    let own: [(&str, &[u8]); 3] = [
        ("m/a.safetensors", &weights),
        ("m/b.safetensors", &weights),
        ("m/tokenizer.json", b"{}"),
    ];
    assert_eq!(added(&own, "m").len(), 2);
}

#[test]
fn what_describes_the_whole_comes_before_what_describes_a_part() {
    let folder = Folder::with(&[
        (
            "m/config.json",
            &br#"{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 5}"#
                [..],
        ),
        (
            "m/modules.json",
            br#"[{"idx": 0, "type": "sentence_transformers.models.Transformer"}]"#,
        ),
    ]);
    folder.add(&["m"]);
    let project: Project = folder.project();
    let (entry, version) = project.registry().current("m").unwrap();
    assert_eq!(entry.model_type.as_deref(), Some("embedding"));
    assert_eq!(version.metadata["vocab_size"], json!(5));
    assert_eq!(files_of(&project, "m").len(), 2);
}

const NAME_FILE: &str = "LIST 2 nwt.list\nBAS6,13,nwt.bas\nDIS 11 nwt.dis\nDATA(BINARY) 51 nwt.heads REPLACE\nDATA 52 wells.txt OLD\n";

fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|c| c as u8).collect()
}

#[test]
fn the_outputs_of_a_run_are_no_part_of_a_model_of_modflow() {
    let folder = Folder::with(&[
        ("nwt/nwt.nam", latin(&format!("# Gelände\n{NAME_FILE}"))),
        ("nwt/nwt.bas", b"x".to_vec()),
        ("nwt/nwt.dis", b"x".to_vec()),
        ("nwt/wells.txt", b"x".to_vec()),
    ]);
    assert_eq!(ids(&folder.add(&["nwt"])), ["nwt"]);
    folder.write(&[
        ("nwt/NWT.LIST", "a run"),
        ("nwt/nwt.heads", "a run"),
        ("nwt/nwt.cbc", "a run"),
    ]);
    let report = folder.add(&["nwt"]);
    assert_eq!((ids(&report).len(), report.unchanged.len()), (0, 1));
    assert_eq!(folder.findings(), [""; 0]);
    assert!(folder.sync(&Default::default()).difference.is_empty());
}

#[test]
fn code_in_another_encoding_is_read_if_it_declares_one() {
    let class =
        "class Fluss:\n    'Größe'\n    outputs = ['a']\n    def simulate(self):\n        pass\n";
    let folder = Folder::with(&[
        (
            "a.py",
            latin(&format!(
                "#!/usr/bin/python\n# -*- coding: latin-1 -*-\n{class}"
            )),
        ),
        ("b.py", latin(&format!("\n\n# coding=latin-1\n{class}"))),
    ]);
    let report = folder.add(&["a.py", "b.py"]);
    let failed = failures(&report.failed);
    assert_eq!((report.registered.len(), failed.len()), (1, 1));
    assert!(failed[0].0.ends_with("b.py"));
    assert!(failed[0].1.contains("UTF-8"), "{}", failed[0].1);
}

#[test]
fn a_model_that_a_program_wrote_may_be_large() {
    let text = format!(
        "## ModelName\nBig\n\n## StateSpaceBlock\ns[3,1]\n\n## Connections\ns-s\n\n## Footer\n{}",
        "x".repeat(2_700_000)
    );
    let folder = Folder::with(&[("big.md", text)]);
    let report = folder.add(&["big.md"]);
    assert_eq!(failures(&report.failed), []);
    assert_eq!(ids(&report), ["big"]);
}

#[test]
fn split_models_in_one_folder_are_as_many_models() {
    for (ending, bytes) in [
        ("gguf", gguf(&[])),
        ("safetensors", weights(&[4])),
        ("fp16.safetensors", weights(&[4])),
    ] {
        let names = [
            "a-00001-of-00002",
            "a-00002-of-00002",
            "b-00001-of-00003",
            "b-00002-of-00003",
            "b-00003-of-00003",
        ];
        let paths = names.map(|name| format!("m/{name}.{ending}"));
        let files = paths.iter().map(|path| (path.as_str(), bytes.clone()));
        let mut files: Vec<_> = files.collect();
        files.push(("m/README.md", b"# Two models".to_vec()));
        let folder = Folder::with(&files);
        let report = folder.add(&["m"]);
        assert_eq!(failures(&report.failed), []);
        let stem = ending
            .strip_suffix("safetensors")
            .unwrap_or_default()
            .trim_end_matches('.');
        let id = |name: &str| format!("{name}.{stem}").trim_end_matches('.').to_owned();
        assert_eq!(ids(&report), [id("a"), id("b")]);
        let project = folder.project();
        assert_eq!(files_of(&project, &id("a")), paths[..2]);
        assert_eq!(files_of(&project, &id("b")), paths[2..]);
        assert_eq!(folder.findings(), [""; 0]);
        assert!(folder.sync(&Default::default()).difference.is_empty());
        // Each part stands for its model.
        let report = folder.add(&[&paths[4], &paths[2], &paths[3]]);
        assert_eq!((report.processed, report.unchanged), (1, vec![id("b")]));
    }
}

#[test]
fn a_part_that_changes_changes_its_model_alone() {
    let folder = Folder::with(&[
        ("m/a-1-of-2.gguf", gguf(&[])),
        ("m/a-2-of-2.gguf", gguf(&[])),
        ("m/b-1-of-2.gguf", gguf(&[])),
        ("m/b-2-of-2.gguf", gguf(&[])),
    ]);
    folder.add(&["m"]);
    folder.write(&[("m/b-2-of-2.gguf", gguf(&[("general.name", "x")]))]);
    let report = folder.sync(&Default::default());
    let changed: Vec<&str> = report
        .difference
        .changed
        .iter()
        .map(|item| item.id.as_str())
        .collect();
    assert_eq!((changed, report.difference.unchanged), (vec!["b"], 1));
    // One that cannot be read is told of, and the others of its model are not registered without it.
    folder.write(&[
        ("m/c-1-of-2.gguf", gguf(&[])),
        ("m/c-2-of-2.gguf", b"GGUF".to_vec()),
    ]);
    let report = folder.add(&["m"]);
    assert_eq!((ids(&report).len(), report.unchanged.len()), (0, 2));
    assert_eq!(failures(&report.failed)[0].0, "m/c-2-of-2.gguf");
}

#[test]
fn parts_are_a_model_of_their_own_only_where_nothing_binds_them() {
    let part = |name: &str| (format!("m/{name}.safetensors"), weights(&[4]));
    let two = ["a-1-of-2", "a-2-of-2", "model-1-of-2", "model-2-of-2"].map(part);
    let named = |files: &'static [usize], more: &[(&'static str, &str)]| {
        let parts = files
            .iter()
            .map(|at| (two[*at].0.clone(), two[*at].1.clone()));
        let more = more
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        let folder = Folder::new();
        for (name, bytes) in parts.chain(more) {
            folder.write(&[(&*name, bytes)]);
        }
        folder
    };
    let count = |more: &[(&'static str, &str)]| {
        let report = named(&[0, 1, 2, 3], more).add(&["m"]);
        assert_eq!(failures(&report.failed), []);
        report.registered.len()
    };
    assert_eq!(count(&[]), 2);
    assert_eq!(count(&[("m/notes.txt", "x")]), 2);
    assert_eq!(
        count(&[("m/model.safetensors.index.json", "{\"weight_map\": {}}")]),
        1
    );
    assert_eq!(
        count(&[("m/config.json", "{\"model_type\": \"llama\"}")]),
        1
    );
    assert_eq!(count(&[("m/tokenizer.json", "{}")]), 1);
    assert_eq!(count(&[("m/agent.md", &gnn("Agent", ""))]), 3);
    // An id makes a folder one model, and a split model is its folder if it is alone there.
    let folder = named(&[0, 1, 2, 3], &[]);
    assert_eq!(
        folder
            .add_with(&["m"], &AddOptions::default().id("x"))
            .registered[0]
            .files,
        4
    );
    let folder = named(&[0, 1], &[("m/README.md", "# One")]);
    assert_eq!(folder.add(&["."]).registered[0].files, 3);
    // What is for a model is none.
    let folder = Folder::with(&[
        ("m/a-1-of-2.gguf", gguf(&[])),
        ("m/a-2-of-2.gguf", gguf(&[])),
        ("m/mmproj.gguf", gguf(&[("general.type", "mmproj")])),
    ]);
    assert_eq!(folder.add(&["m"]).registered[0].files, 3);
}
