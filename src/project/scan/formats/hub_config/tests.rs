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
    assert!(refusal(large.as_bytes()).starts_with("more than 4194304 bytes"));
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
            model_type(architecture, hub_type, false),
            expected,
            "{names}"
        );
    }
    let with_vision = model_type("Qwen2VLForConditionalGeneration", "qwen2_vl", true);
    assert_eq!(with_vision, Some("image-to-text"));
    assert_eq!(model_type("CLIPModel", "clip", true), Some("embedding"));
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
