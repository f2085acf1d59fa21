use serde_json::json;

use super::*;
use crate::digest::Digest;
use crate::manifest::ArchiveFormat;
use crate::oci::Document;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A layer whose digest is that of a text.
fn layer(media_type: &str, content: &str, annotations: Value) -> Value {
    let digest = format!("sha256:{}", digest(content));
    let mut layer = json!({"mediaType": media_type, "digest": digest, "size": content.len()});
    layer["annotations"] = annotations;
    layer
}

fn digest(content: &str) -> Digest {
    Digest::of(content.as_bytes())
}

/// Reads an artifact that is written with these documents.
fn artifact(manifest: Value, config_type: &str, config: &Value) -> Result<Artifact> {
    read(manifest, config_type, config.to_string().as_bytes())
}

fn read(mut manifest: Value, config_type: &str, config: &[u8]) -> Result<Artifact> {
    manifest["schemaVersion"] = json!(2);
    manifest["config"] = json!({
        "mediaType": config_type, "size": config.len(), "digest": format!("sha256:{}", Digest::of(config)),
    });
    let manifest =
        Document::parse(manifest.to_string().as_bytes(), "here")?.into_manifest("here")?;
    let config = manifest.config_to_fetch().map(|_| config);
    Artifact::read(&manifest, config, "here")
}

/// The files with their sizes, and the tars with their folders.
fn shown(artifact: &Artifact) -> Vec<String> {
    let files = artifact.files.iter().map(|file| {
        assert!(file.digest.is_some());
        let (path, size) = (file.path.as_str(), file.size_bytes.unwrap());
        match file.archive.filter(|format| format.is_tar()) {
            Some(format) => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{format} {size} in '{folder}'")
            }
            None => format!("{path} {size}"),
        }
    });
    files.collect()
}

fn keys(artifact: &Artifact, keys: &[&str]) -> Vec<String> {
    let value = |key: &&str| match &artifact.metadata.get(*key) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    keys.iter().map(value).collect()
}

#[test]
fn a_model_pack_names_its_files() {
    let raw = "application/vnd.cncf.model.weight.v1.raw";
    let named = |path: &str| json!({FILE_PATH: path, "org.cncf.model.file.metadata+json": "{\"name\": \"x\"}"});
    let manifest = json!({
        "mediaType": OCI, "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "layers": [
            layer(raw, "weights", named("model-00001-of-00002.safetensors")),
            layer(raw, "more", json!({FILE_PATH: "onnx/model.onnx", TITLE: "model.onnx"})),
            layer("application/vnd.cncf.model.weight.config.v1.raw", "{}", json!({TITLE: "./config.json"})),
            layer("application/vnd.cncf.model.doc.v1.tar", "docs", named("docs")),
            layer("application/vnd.cncf.model.code.v1.tar+gzip", "code.", named("code")),
            layer("application/vnd.cncf.model.dataset.v1.tar+zstd", "data..", named("data")),
        ],
        "annotations": {"org.opencontainers.image.licenses": "GPL-3.0", "org.opencontainers.image.source": "https://x.example"},
    });
    let config = json!({
        "descriptor": {
            "createdAt": "2026-05-02T10:00:00Z", "authors": ["A", "B"], "family": "llama3", "name": "llama3-8b-instruct",
            "version": "1.1", "licenses": ["MIT", "Apache-2.0"], "title": "Llama", "description": "A\nmodel",
        },
        "config": {
            "architecture": "transformer", "format": "safetensors", "paramSize": "8b", "precision": "bf16",
            "quantization": "awq", "capabilities": {"inputTypes": ["text", "image"], "outputTypes": ["text"], "languages": ["en"]},
            "architecture_config": {"type": "transformer", "numLayers": 32, "hiddenSize": 4096, "numAttentionHeads": 32},
        },
        "modelfs": {"type": "layers", "diffIds": []},
    });
    let artifact = artifact(
        manifest,
        "application/vnd.cncf.model.config.v1+json",
        &config,
    )
    .unwrap();
    assert_eq!(artifact.kind, ArtifactKind::ModelPack);
    assert_eq!(
        shown(&artifact),
        [
            "model-00001-of-00002.safetensors 7",
            "onnx/model.onnx 4",
            "config.json 2",
            "tar 4 in ''",
            "tar+gzip 5 in ''",
            "tar+zstd 6 in ''",
        ]
    );
    assert_eq!(artifact.files[0].digest, Some(digest("weights").into()));
    // An archive is listed as the file that it is until it is unpacked.
    assert_eq!(artifact.listing("here").unwrap().total_bytes(), Some(28));
    let asked = [
        "artifact",
        "name",
        "version",
        "description",
        "type",
        "family",
        "license",
        "author",
        "created",
        "architecture",
        "format",
        "size_label",
        "precision",
        "quantization",
        "layers",
        "hidden_size",
        "languages",
        "source_url",
    ];
    let expected = [
        "modelpack",
        "llama3-8b-instruct",
        "1.1",
        "A model",
        "image-to-text",
        "llama3",
        "MIT, Apache-2.0",
        "A, B",
        "2026-05-02T10:00:00Z",
        "transformer",
        "safetensors",
        "8b",
        "bf16",
        "awq",
        "32",
        "4096",
        "en",
        "https://x.example",
    ];
    assert_eq!(keys(&artifact, &asked), expected);
    let annotations = &artifact.metadata["annotations"];
    assert_eq!(annotations["org.opencontainers.image.licenses"], "GPL-3.0");
}

#[test]
fn a_model_of_docker_is_named_by_position_unless_it_names_its_files() {
    let types = |types: &[&str]| {
        let layers = types.iter().enumerate();
        let layers = layers.map(|(at, it)| {
            layer(
                &format!("application/vnd.docker.ai.{it}"),
                &"x".repeat(at + 1),
                Value::Null,
            )
        });
        json!({"mediaType": OCI, "layers": layers.collect::<Vec<_>>()})
    };
    let config = json!({
        "descriptor": {"created": "2025-03-25T10:00:00Z"}, "rootfs": {"type": "rootfs", "diff_ids": []},
        "config": {
            "format": "gguf", "quantization": "IQ2_XXS/Q4_K_M", "parameters": "361.82 M", "architecture": "llama",
            "size": "256.35 MiB", "context_size": 8192, "gguf": {"general.license": "apache-2.0", "general.name": "Smol"},
        },
    });
    let v1 = "application/vnd.docker.ai.model.config.v0.1+json";
    let model = artifact(
        types(&[
            "gguf.v3",
            "license",
            "mmproj",
            "chat.template.jinja",
            "gguf.v3.lora",
        ]),
        v1,
        &config,
    );
    let model = model.unwrap();
    assert_eq!(
        shown(&model),
        [
            "model.gguf 1",
            "LICENSE 2",
            "model.mmproj 3",
            "template.jinja 4",
            "adapter.gguf 5"
        ]
    );
    let asked = [
        "artifact",
        "name",
        "architecture",
        "size_label",
        "quantization",
        "context_length",
        "license",
    ];
    let expected = [
        "docker-ai",
        "Smol",
        "llama",
        "361.82 M",
        "IQ2_XXS/Q4_K_M",
        "8192",
        "apache-2.0",
    ];
    assert_eq!(keys(&model, &asked), expected);

    let manifest = types(&[
        "safetensors",
        "license",
        "safetensors",
        "vllm.config.tar",
        "dir.tar",
        "license",
    ]);
    let documented =
        json!({"config": {"safetensors": {"architecture": "qwen2", "parameter_count": "3.09 B"}}});
    let shards = artifact(manifest, v1, &documented).unwrap();
    assert_eq!(
        shown(&shards),
        [
            "model-00001-of-00002.safetensors 1",
            "LICENSE-00001-of-00002 2",
            "model-00002-of-00002.safetensors 3",
            "LICENSE-00002-of-00002 6",
            "tar 4 in ''",
            "tar 5 in ''",
        ]
    );
    assert_eq!(
        keys(&shards, &["architecture", "size_label"]),
        ["qwen2", "3.09 B"]
    );

    let mut manifest = types(&["safetensors", "model.file", "safetensors"]);
    for (at, path) in [
        "text_encoder/model.safetensors",
        "a/config.json",
        "vae/model.safetensors",
    ]
    .iter()
    .enumerate()
    {
        manifest["layers"][at]["annotations"] = json!({FILE_PATH: path});
    }
    let nested = artifact(
        manifest,
        "application/vnd.docker.ai.model.config.v0.2+json",
        &config,
    )
    .unwrap();
    assert_eq!(
        shown(&nested),
        [
            "text_encoder/model.safetensors 1",
            "a/config.json 2",
            "vae/model.safetensors 3"
        ]
    );
    let error = artifact(types(&["gguf.v3", "model.file"]), v1, &config).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("vnd.docker.ai.model.file) has no file name"),
        "{error}"
    );
}

#[test]
fn the_same_tar_twice_is_one_file() {
    let tar = |sort: &str, content: &str| {
        let media_type = format!("application/vnd.cncf.model.{sort}");
        layer(&media_type, content, Value::Null)
    };
    let manifest = json!({
        "mediaType": OCI,
        "layers": [
            tar("weight.v1.tar", "weights"), tar("doc.v1.tar+gzip", "docs"), tar("code.v1.tar+zstd", "code"),
            tar("weight.v1.tar", "weights"),
        ],
    });
    let config_type = "application/vnd.cncf.model.config.v1+json";
    let artifact = artifact(manifest, config_type, &json!({})).unwrap();
    let files = artifact.files.iter();
    let names: Vec<_> = files.map(|file| file.path.as_str()).collect();
    let expected = [
        "layer-9a129038d9a0.tar",
        "layer-46b42b4229cd.tar.gz",
        "layer-5694d08a2e53.tar.zst",
    ];
    assert_eq!(names, expected);
}

#[test]
fn an_old_modelkit_says_where_its_tars_belong() {
    let kit = |sort: &str, content: &str| {
        layer(
            &format!("application/vnd.kitops.modelkit.{sort}"),
            content,
            Value::Null,
        )
    };
    let config_type = "application/vnd.kitops.modelkit.config.v1+json";
    let manifest = json!({
        "mediaType": OCI, "artifactType": "application/vnd.kitops.modelkit.manifest.v1+json",
        "layers": [
            kit("model.v1.tar+gzip", "m"), kit("modelpart.v1.tar", "p1"), kit("modelpart.v1.tar", "p2_"),
            kit("dataset.v1.tar+zstd", "data"), kit("code.v1.tar", "code_"), kit("docs.v1.tar", "docs__"),
        ],
    });
    let mut kitfile = json!({
        "manifestVersion": "1.0.0",
        "package": {"name": "kit", "version": "2", "description": "a kit", "authors": ["A"], "license": "MIT"},
        "model": {
            "name": "m", "path": "./models/x/", "license": "Apache-2.0", "framework": "GGUF", "parameters": {"a": 1},
            "parts": [{"path": "models/lora/a.bin"}, {"path": "b.bin"}],
        },
        "code": [{"path": "."}], "datasets": [{"name": "d", "path": "data/train/x.csv"}], "docs": [{"path": "/README.md"}],
    });
    let old = artifact(manifest.clone(), config_type, &kitfile).unwrap();
    assert_eq!(
        shown(&old),
        [
            "tar+gzip 1 in 'models'",
            "tar 2 in 'models/lora'",
            "tar 3 in ''",
            "tar+zstd 4 in 'data/train'",
            "tar 5 in ''",
            "tar 6 in ''",
        ]
    );
    let asked = [
        "artifact",
        "name",
        "version",
        "description",
        "license",
        "framework",
        "author",
    ];
    assert_eq!(
        keys(&old, &asked),
        ["kit", "kit", "2", "a kit", "Apache-2.0", "GGUF", "A"]
    );

    // The newer ones have paths in their tars, and may have files as they are.
    kitfile["model"]["digest"] = json!("sha256:aa");
    kitfile["datasets"][0]["digest"] = json!("sha256:bb");
    let mut newer = manifest.clone();
    newer["layers"][4] = layer(
        "application/vnd.kitops.modelkit.code.v1.raw",
        "code_",
        json!({FILE_PATH: "run.py"}),
    );
    newer["layers"][1]["annotations"] = json!({FILE_PATH: "models/lora/a.bin"});
    let newer = artifact(newer, config_type, &kitfile).unwrap();
    assert_eq!(
        shown(&newer)[..5],
        [
            "run.py 5",
            "tar+gzip 1 in ''",
            "tar 2 in ''",
            "tar 3 in 'models/lora'",
            "tar+zstd 4 in ''"
        ]
    );
    kitfile["model"]["path"] = json!("../x/y");
    let refuse = |manifest: Value, config: &[u8]| {
        read(manifest, config_type, config).unwrap_err().to_string()
    };
    kitfile["model"].as_object_mut().unwrap().remove("digest");
    let outside = refuse(manifest.clone(), kitfile.to_string().as_bytes());
    assert!(
        outside.contains("'../x/y' of a layer has a '.' or '..' component"),
        "{outside}"
    );
    let broken = refuse(manifest, b"Kitfile");
    assert!(
        broken.contains("the configuration of the artifact is not JSON"),
        "{broken}"
    );
}

#[test]
fn kit_compresses_single_files_and_nobody_else_does() {
    for (media_type, expected) in [
        ("kitops.modelkit.model.v1.raw", Ok(None)),
        (
            "kitops.modelkit.model.v1.raw+gzip",
            Ok(Some(ArchiveFormat::Gzip)),
        ),
        (
            "kitops.modelkit.modelpart.v1.raw+zstd",
            Ok(Some(ArchiveFormat::Zstd)),
        ),
        ("cncf.model.weight.v1.raw", Ok(None)),
        ("cncf.model.weight.v1.raw+gzip", Err(())),
        ("docker.ai.gguf.v3+zstd", Err(())),
    ] {
        let media_type = format!("application/vnd.{media_type}");
        let layer = layer(&media_type, "packed", json!({FILE_PATH: "model.gguf"}));
        let artifact = artifact(json!({"layers": [layer]}), EMPTY, &json!({}));
        let archive = artifact.map(|artifact| artifact.files[0].archive);
        let archive = archive.map_err(|error| {
            let text = error.to_string();
            assert!(
                text.contains("is a compressed file, which its format does not have"),
                "{text}"
            );
        });
        assert_eq!(archive, expected, "{media_type}");
    }
}

#[test]
fn ollama_keeps_its_layers_without_names() {
    let ollama = |sort: &str, content: &str| {
        layer(
            &format!("application/vnd.ollama.image.{sort}"),
            content,
            Value::Null,
        )
    };
    let config_type = "application/vnd.docker.container.image.v1+json";
    let manifest = json!({"mediaType": DOCKER, "layers": [
        ollama("model", "m"), ollama("projector", "pr"), ollama("adapter", "ad_"), ollama("draft", "drft"),
        ollama("template", "templ"), ollama("system", "system"), ollama("params", "params_"),
        ollama("messages", "messages"), ollama("license", "license_1"), ollama("license", "license__2"),
    ]});
    let config = json!({
        "model_format": "gguf", "model_family": "llama", "model_families": ["llama"], "model_type": "8.0B",
        "file_type": "Q4_K_M", "context_length": 0, "embedding_length": 4096, "architecture": "amd64", "os": "linux",
        "capabilities": ["completion", "tools"], "rootfs": {"type": "layers", "diff_ids": []},
    });
    let model = artifact(manifest, config_type, &config).unwrap();
    assert_eq!(
        shown(&model),
        [
            "model.gguf 1",
            "mmproj.gguf 2",
            "adapter.gguf 3",
            "draft.gguf 4",
            "template 5",
            "system 6",
            "params.json 7",
            "messages.json 8",
            "LICENSE-00001-of-00002 9",
            "LICENSE-00002-of-00002 10",
        ]
    );
    let asked = [
        "artifact",
        "architecture",
        "size_label",
        "quantization",
        "context_length",
        "hidden_size",
        "type",
        "tags",
    ];
    let expected = [
        "ollama",
        "llama",
        "8.0B",
        "Q4_K_M",
        "",
        "4096",
        "text-generation",
        r#"["completion","tools"]"#,
    ];
    assert_eq!(keys(&model, &asked), expected);

    // Models for MLX have a layer for each tensor.
    let mut tensors = json!({"mediaType": DOCKER, "layers": [
        ollama("tensor", "t"), ollama("tensor", "te"), ollama("json", "{_}"), ollama("json", "some"),
    ]});
    for (at, name) in [
        "text_encoder/norm.weight",
        "head",
        "text_encoder/config.json",
    ]
    .iter()
    .enumerate()
    {
        tensors["layers"][at]["name"] = json!(name);
    }
    assert_eq!(
        shown(&artifact(tensors, config_type, &json!({})).unwrap()),
        [
            "text_encoder/norm.weight.safetensors 1",
            "head.safetensors 2",
            "text_encoder/config.json 3",
            "config.json 4"
        ]
    );
}

#[test]
fn what_oras_pushes_is_a_file_unless_it_says_otherwise() {
    let tar = "application/vnd.oci.image.layer.v1.tar";
    let manifest = json!({
        "mediaType": OCI, "artifactType": "application/vnd.acme.weights",
        "layers": [
            layer(tar, "weights", json!({TITLE: "digits/model.npz"})),
            layer(&format!("{tar}+gzip"), "packed", json!({TITLE: "kept.tar.gz"})),
            layer(&format!("{tar}+gzip"), "folder..", json!({
                TITLE: "details", "io.deis.oras.content.unpack": "true", "io.deis.oras.content.digest": "sha256:aa",
            })),
            layer("application/custom", "folder...", json!({TITLE: "b", "io.deis.oras.content.unpack": "true"})),
            layer(tar, "", json!({TITLE: "empty"})),
            layer(EMPTY, "{}", json!({TITLE: "nothing"})),
        ],
        "annotations": {"org.opencontainers.image.title": "Digits", "org.opencontainers.image.description": "d"},
    });
    let artifact = artifact(manifest, EMPTY, &json!({})).unwrap();
    assert_eq!(
        shown(&artifact),
        [
            "digits/model.npz 7",
            "kept.tar.gz 6",
            "empty 0",
            "tar+gzip 8 in ''",
            "tar+gzip 9 in ''"
        ]
    );
    assert_eq!(
        keys(&artifact, &["artifact", "name", "description"]),
        ["oras", "Digits", "d"]
    );
}

#[test]
fn only_what_says_something_is_fetched() {
    let cases = [
        ("application/vnd.cncf.model.config.v1+json", 2, true),
        ("application/vnd.docker.ai.model.config.v0.2+json", 2, true),
        ("application/vnd.kitops.modelkit.config.v1+json", 2, true),
        (
            "application/vnd.kitops.modelkit.config.v1+json",
            MAX_CONFIG_BYTES + 1,
            false,
        ),
        (EMPTY, 2, false),
        ("application/vnd.acme.config", 2, false),
    ];
    for (config_type, size, expected) in cases {
        let mut config = layer(config_type, "{}", Value::Null);
        config["size"] = json!(size);
        let manifest =
            json!({"config": config, "layers": [layer("application/x", "x", json!({TITLE: "x"}))]});
        let manifest = Document::parse(manifest.to_string().as_bytes(), "here").unwrap();
        let manifest = manifest.into_manifest("here").unwrap();
        assert_eq!(
            manifest.config_to_fetch().is_some(),
            expected,
            "{config_type} {size}"
        );
    }
}

#[test]
fn a_configuration_that_is_not_json_is_refused_and_one_of_another_form_says_nothing() {
    let config_type = "application/vnd.cncf.model.config.v1+json";
    let manifest = json!({"layers": [layer("application/vnd.cncf.model.weight.v1.raw", "x", json!({FILE_PATH: "x"}))]});
    let hostile = format!(
        r#"{{"descriptor": {{"name": "{}\u001b[2J", "family": 7.5}}}}"#,
        "n".repeat(500)
    );
    for config in [&b"no json"[..], b"\xff", b"{", b""] {
        let error = read(manifest.clone(), config_type, config).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the configuration of the artifact is not JSON (here)"
        );
    }
    for (config, name) in [
        (&b"[]"[..], ""),
        (
            br#"{"descriptor": [], "config": {"capabilities": "text"}, "capabilities": {"a": 1}}"#,
            "",
        ),
        (hostile.as_bytes(), &"n".repeat(200)),
    ] {
        let artifact = read(manifest.clone(), config_type, config).unwrap();
        assert_eq!(
            keys(&artifact, &["name", "family", "type", "tags"]),
            [name, "", "", ""]
        );
        assert_eq!(shown(&artifact), ["x 1"]);
    }
}

#[test]
fn hostile_names_are_kept_apart_and_those_that_meet_are_refused() {
    let raw = "application/vnd.cncf.model.weight.v1.raw";
    let config_type = "application/vnd.cncf.model.config.v1+json";
    let of = |names: &[&str]| {
        let layers = names.iter().enumerate();
        let layers =
            layers.map(|(at, name)| layer(raw, &"x".repeat(at + 1), json!({FILE_PATH: name})));
        artifact(
            json!({"layers": layers.collect::<Vec<_>>()}),
            config_type,
            &json!({}),
        )
        .unwrap()
    };
    for name in [
        "../x", "/x", "a\\b", "con", "C:x", "a//b", "x\u{1b}", "././x",
    ] {
        let artifact = of(&[name, "good"]);
        assert_eq!(shown(&artifact), ["good 2"]);
        let listing = artifact.listing("here").unwrap();
        assert!(listing.faults().keys().eq([name]));
    }
    for names in [["x", "x"], ["a/x", "A/x"], ["a", "a/b"]] {
        let listing = of(&names).listing("here").unwrap();
        assert!(listing.faults().keys().eq([names[1]]), "{names:?}");
    }
}

#[test]
fn what_is_no_artifact_of_files_is_refused() {
    let image = "application/vnd.oci.image.layer.v1.tar+gzip";
    let rootfs = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let config_type = "application/vnd.oci.image.config.v1+json";
    for (layers, expected) in [
        (json!([]), "the artifact has no files"),
        (
            json!([layer(EMPTY, "{}", Value::Null)]),
            "the artifact has no files",
        ),
        (
            json!([layer(image, "x", Value::Null)]),
            "it is a container image",
        ),
        (
            json!([layer(rootfs, "x", Value::Null)]),
            "it is a container image",
        ),
        (
            json!([layer("application/x", "x", json!({TITLE: ""}))]),
            "(application/x) has no file name",
        ),
    ] {
        let error = artifact(json!({"layers": layers}), config_type, &json!({})).unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR");
        assert!(error.to_string().contains(expected), "{error}");
    }
}
