use serde_json::{Value, json};

use super::super::tests::ModelFolder;
use super::*;

fn read(text: &str) -> Option<Description> {
    ModelFolder::new()
        .read(&FORMAT, "m/config.json", text.as_bytes())
        .unwrap()
}

#[test]
fn the_facts_of_a_language_model_are_read() {
    let config = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "_name_or_path": "meta-llama/Llama-3.2-1B",
        "vocab_size": 128256, "max_position_embeddings": 131072, "hidden_size": 2048, "num_hidden_layers": 16,
        "torch_dtype": "bfloat16", "quantization_config": {"quant_method": "gptq", "bits": 4}, "rope_theta": 5e5,
        "eos_token_id": [1, 2], "id2label": {"0": "A"}}"#;
    for text in [
        config.to_owned(),
        format!("\u{feff}{}", config.replace('\n', "\r\n")),
    ] {
        let model = read(&text).unwrap();
        assert_eq!(model.name.as_deref(), Some("meta-llama/Llama-3.2-1B"));
        assert_eq!(model.model_type.as_deref(), Some("text-generation"));
        assert_eq!(model.extent, Extent::Folder);
        let expected = json!({
            "architecture": "LlamaForCausalLM", "hub_model_type": "llama", "vocab_size": 128256, "hidden_size": 2048,
            "context_length": 131072, "layers": 16, "dtype": "bfloat16", "quantization": "gptq",
        });
        assert_eq!(Value::from(model.metadata), expected);
    }
}

#[test]
fn the_text_part_supplies_missing_values() {
    let model = read(
        r#"{"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "vocab_size": 7, "vision_config": {},
            "text_config": {"n_positions": 2048, "vocab_size": 8, "dtype": "float16", "text_config": {"n_layer": 1}}}"#,
    );
    let model = model.unwrap();
    assert_eq!(model.model_type.as_deref(), Some("image-to-text"));
    assert_eq!(model.metadata["vocab_size"], 7);
    assert_eq!(model.metadata["context_length"], 2048);
    assert_eq!(model.metadata["dtype"], "float16");
    assert!(!model.metadata.contains_key("layers"));
}

#[test]
fn values_of_another_form_are_omitted() {
    let model = read(
        r#"{"model_type": "x", "architectures": null, "vocab_size": "9", "n_ctx": -1, "dtype": {}}"#,
    );
    let model = model.unwrap();
    assert_eq!(Value::from(model.metadata), json!({"hub_model_type": "x"}));
    assert_eq!(model.model_type, None);
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/digits/v1/config.json");
    let own = read(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(
        own.metadata["architecture"],
        "MultinomialLogisticRegression"
    );
}

#[test]
fn other_files_of_that_name_are_not_models() {
    for text in [
        "",
        "[]",
        "[\"model_type\"]",
        "{",
        "{}",
        "{\"debug\": true, \"debug\": false}",
        "{\"model_type\": 3}",
        "{\"architectures\": []}",
        "{\"architectures\": \"x86\"}",
        "{\"nested\": {\"model_type\": \"x\"}}",
        "{\"model_type\": \"\\u0000\"}",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    let folder = ModelFolder::new();
    let config = b"{\"model_type\": \"llama\"}";
    assert!(
        folder
            .read(&FORMAT, "a/my_config.json", config)
            .unwrap()
            .is_none()
    );
    assert!(
        folder
            .read(&FORMAT, "a/config.json", b"caf\xe9")
            .unwrap()
            .is_none()
    );
    let other = " ".repeat(MAX_CONFIG_BYTES as usize + 1);
    assert!(
        folder
            .read(&FORMAT, "b/config.json", other.as_bytes())
            .unwrap()
            .is_none()
    );
}

#[test]
fn damaged_configurations_are_refused() {
    let folder = ModelFolder::new();
    let refusal = |bytes: &[u8]| folder.refusal(&FORMAT, "m/config.json", bytes);
    let deep = format!(
        "{{\"model_type\": \"a\", \"architectures\": {}",
        "[".repeat(100_000)
    );
    for text in [
        "{\"model_type\": \"llama\"",
        "{\"model_type\": \"a\", \"model_type\": \"b\"}",
        "{\"model_type\": \"a\"} {}",
        &deep,
    ] {
        let refusal = refusal(text.as_bytes());
        assert!(
            refusal.starts_with("the configuration is not JSON, or has a key twice"),
            "{refusal}"
        );
    }
    assert!(refusal(b"{\"model_type\": \"caf\xe9\"}").starts_with("the file is not UTF-8 text"));
    let large = format!(
        "{{\"model_type\": \"a\"{}}}",
        " ".repeat(MAX_CONFIG_BYTES as usize)
    );
    assert!(refusal(large.as_bytes()).starts_with("more than 33.6 MB"));
}

#[test]
fn each_library_is_known_by_what_it_writes() {
    let folder = ModelFolder::new();
    let cases: [(&str, &str, Value); 9] = [
        (
            "model_index.json",
            r#"{"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.42.1", "vae": ["diffusers", "AutoencoderKL"]}"#,
            json!({"type": "text-to-image", "tags": ["diffusers"], "architecture": "StableDiffusionPipeline"}),
        ),
        (
            "model_index.json",
            r#"{"_class_name": "StableAudioPipeline"}"#,
            json!({"type": "text-to-audio", "tags": ["diffusers"], "architecture": "StableAudioPipeline"}),
        ),
        (
            "vae/config.json",
            r#"{"_class_name": "AutoencoderKL", "_diffusers_version": "0.42.1", "act_fn": "silu"}"#,
            json!({"type": null, "tags": ["diffusers"], "architecture": "AutoencoderKL"}),
        ),
        (
            "adapter_config.json",
            r#"{"peft_type": "LORA", "base_model_name_or_path": "o/n", "r": 8, "task_type": "CAUSAL_LM"}"#,
            json!({"type": "text-generation", "tags": ["adapter", "peft"], "adapter": "LORA", "adapter_rank": 8, "base_model": "o/n"}),
        ),
        (
            "adapter_config.json",
            r#"{"peft_type": "IA3", "base_model_name_or_path": "/home/me/n", "task_type": null}"#,
            json!({"type": null, "tags": ["adapter", "peft"], "adapter": "IA3"}),
        ),
        (
            "modules.json",
            r#"[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}]"#,
            json!({"type": "embedding", "tags": ["sentence-transformers"]}),
        ),
        (
            "open_clip_config.json",
            r#"{"model_cfg": {"embed_dim": 512}, "preprocess_cfg": {}}"#,
            json!({"type": "embedding", "tags": ["open_clip"]}),
        ),
        (
            "config.json",
            r#"{"architecture": "resnet18", "num_classes": 10, "num_features": 512, "pretrained_cfg": {"crop_pct": 0.95}}"#,
            json!({"type": "classification", "tags": ["timm"], "architecture": "resnet18", "classes": 10, "hidden_size": 512}),
        ),
        (
            "pytorch_model.bin.index.json",
            r#"{"metadata": {"total_size": 8}, "weight_map": {"a": "pytorch_model-1-of-2.bin"}}"#,
            json!({"type": null, "tags": []}),
        ),
    ];
    for (name, text, expected) in cases {
        let model = folder.model(&FORMAT, name, text.as_bytes());
        assert_eq!(model.extent, Extent::Folder, "{name}");
        let mut found = model.metadata;
        found.insert("type".into(), model.model_type.into());
        found.insert("tags".into(), model.tags.into());
        assert_eq!(Value::from(found), expected, "{name}");
    }
    for (name, text) in [
        ("modules.json", r#"["sentence-transformers"]"#),
        ("model_index.json", r#"{"models": ["a"]}"#),
        ("adapter_config.json", r#"{"peft_type": 1}"#),
        ("site.index.json", r#"{"pages": []}"#),
    ] {
        assert_eq!(
            folder.read(&FORMAT, name, text.as_bytes()).unwrap(),
            None,
            "{name}"
        );
    }
    assert!(
        folder
            .refusal(&FORMAT, "modules.json", b"[\"sentence_transformers.x\"")
            .contains("not JSON")
    );
}

#[test]
fn numbers_that_python_writes_are_read() {
    let model = read(
        r#"{"model_type": "nemotron_h", "vocab_size": 8, "time_step_limit": [0.0, Infinity], "a": -Infinity, "n_ctx": NaN}"#,
    );
    let expected = json!({"hub_model_type": "nemotron_h", "vocab_size": 8});
    assert_eq!(Value::from(model.unwrap().metadata), expected);
}

#[test]
fn the_model_type_follows_from_the_class() {
    let cases = [
        ("GPT2LMHeadModel gpt2", Some("text-generation")),
        ("T5ForConditionalGeneration t5", Some("text-generation")),
        (
            "WhisperForConditionalGeneration whisper",
            Some("audio-to-text"),
        ),
        ("Wav2Vec2ForCTC wav2vec2", Some("audio-to-text")),
        (
            "MusicgenForConditionalGeneration musicgen",
            Some("text-to-audio"),
        ),
        ("SpeechT5ForTextToSpeech speecht5", Some("text-to-audio")),
        ("BertForSequenceClassification bert", Some("classification")),
        ("ViTForImageClassification vit", Some("classification")),
        ("BertModel bert", Some("embedding")),
        ("XLMRobertaModel xlm-roberta", Some("embedding")),
        ("T5EncoderModel t5", Some("embedding")),
        ("BertForMaskedLM bert", Some("embedding")),
        ("DetrForObjectDetection detr", Some("other")),
        ("MultinomialLogisticRegression logistic_regression", None),
        (" llama", None),
        ("For ", None),
    ];
    for (names, expected) in cases {
        let (architecture, hub_type) = names.split_once(' ').unwrap();
        assert_eq!(
            transformers::model_type(architecture, hub_type, false),
            expected,
            "{names}"
        );
    }
    let with_vision = transformers::model_type("Qwen2VLForConditionalGeneration", "qwen2_vl", true);
    assert_eq!(with_vision, Some("image-to-text"));
    assert_eq!(
        transformers::model_type("CLIPModel", "clip", true),
        Some("embedding")
    );
}

#[test]
fn ids_on_the_hub_are_told_from_paths() {
    for name in ["gpt2", "google/flan-t5-base", "a.b/c_d-e"] {
        assert!(is_id(name), "{name}");
    }
    for name in [
        "",
        ".",
        "./out",
        "/data/out",
        "a/b/c",
        "~/x",
        "C:\\x",
        "a b",
        "../a",
        "a/",
        "/a",
    ] {
        assert!(!is_id(name), "{name}");
    }
}

#[test]
fn damaged_files_cause_no_panic() {
    let config =
        r#"{"architectures":["AForCausalLM"],"_name_or_path":"π","text_config":{"n_ctx":1}}"#;
    ModelFolder::new().damage(&FORMAT, "config.json", config.as_bytes());
}
