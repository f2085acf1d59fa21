use serde_json::{Value, json};

use super::super::description::Extent;
use super::super::tests::ModelFolder;
use super::*;
use crate::text::MAX_DESCRIPTION_CHARS;

/// Builds a file.
#[derive(Debug, Default, Clone)]
struct File {
    keys: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    data_bytes: usize,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn list(kind: u32, count: u64, values: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &count.to_le_bytes(), values].concat()
}

impl File {
    fn key(mut self, name: &str, kind: u32, value: &[u8]) -> Self {
        self.keys
            .push([&text(name)[..], &kind.to_le_bytes(), value].concat());
        self
    }

    fn text(self, name: &str, value: &str) -> Self {
        self.key(name, 8, &text(value))
    }

    fn tensor(self, name: &str, shape: &[u64], offset: u64) -> Self {
        self.typed_tensor(name, shape, offset, 0)
    }

    fn typed_tensor(mut self, name: &str, shape: &[u64], offset: u64, kind: u32) -> Self {
        let mut bytes = text(name);
        bytes.extend((shape.len() as u32).to_le_bytes());
        bytes.extend(shape.iter().flat_map(|dimension| dimension.to_le_bytes()));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        self.tensors.push(bytes);
        self
    }

    fn data(mut self, bytes: usize) -> Self {
        self.data_bytes = bytes;
        self
    }

    fn counted(&self, version: u32, tensors: u64, keys: u64) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(version.to_le_bytes());
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(keys.to_le_bytes());
        bytes.extend(self.keys.concat());
        bytes.extend(self.tensors.concat());
        let data = bytes.len().next_multiple_of(32);
        bytes.resize(data + self.data_bytes, 0);
        bytes
    }

    fn bytes(&self) -> Vec<u8> {
        self.counted(3, self.tensors.len() as u64, self.keys.len() as u64)
    }

    fn read(&self) -> Description {
        ModelFolder::new().model(&FORMAT, "a.gguf", &self.bytes())
    }
}

fn refusal(bytes: &[u8]) -> String {
    ModelFolder::new().refusal(&FORMAT, "a.gguf", bytes)
}

/// A small version of a language model as people publish them.
fn language_model() -> File {
    let words: Vec<u8> = (0..40_000)
        .flat_map(|word| text(&format!("word{word}")))
        .collect();
    let tags = [text("chat"), text("en"), text("chat")].concat();
    File::default()
        .key("llama.context_length", 4, &4096_u32.to_le_bytes())
        .text("general.architecture", "llama")
        .text("general.name", "Tiny\tLlama π")
        .text("general.description", "Says little.")
        .text("general.version", "v1.1")
        .text("general.license", "apache-2.0")
        .key("general.tags", 9, &list(8, 3, &tags))
        .key("general.file_type", 4, &15_u32.to_le_bytes())
        .key("llama.embedding_length", 10, &64_u64.to_le_bytes())
        .key("llama.block_count", 5, &2_i32.to_le_bytes())
        .key("other.block_count", 5, &(-2_i32).to_le_bytes())
        .key("llama.rope.scale", 6, &1_f32.to_le_bytes())
        .key("tokenizer.ggml.tokens", 9, &list(8, 40_000, &words))
        .key("tokenizer.ggml.scores", 9, &list(6, 40_000, &[0; 160_000]))
        .key("tokenizer.nested", 9, &list(9, 1, &list(7, 2, &[0, 1])))
        .key("tokenizer.ggml.add_bos", 7, &[1])
        .tensor("token_embd.weight", &[64, 4096], 0)
        .tensor("output_norm.weight", &[64], 1 << 10)
        .tensor("empty", &[0, 3], 1 << 40)
        .data(1100)
}

#[test]
fn the_facts_of_a_language_model_are_read() {
    let model = language_model().read();
    assert_eq!(model.name.as_deref(), Some("Tiny Llama π"));
    assert_eq!(model.description.as_deref(), Some("Says little."));
    assert_eq!(model.version.as_deref(), Some("v1.1"));
    assert_eq!(model.model_type.as_deref(), Some("text-generation"));
    assert_eq!(model.tags, ["chat", "en"]);
    assert_eq!(model.extent, Extent::File);
    let expected = json!({
        "parameters": 64 * 4096 + 64, "tensors": 3, "gguf_version": 3, "context_length": 4096, "hidden_size": 64,
        "layers": 2, "architecture": "llama", "quantization": "Q4_K_M", "license": "apache-2.0",
    });
    assert_eq!(Value::from(model.metadata), expected);
}

#[test]
fn format_and_version_are_told_by_the_first_bytes() {
    let folder = ModelFolder::new();
    let bytes = File::default().counted(2, 0, 0);
    let model = folder.model(&FORMAT, "weights.bin", &bytes);
    assert_eq!(
        Value::from(model.metadata),
        json!({"parameters": 0, "tensors": 0, "gguf_version": 2})
    );
    assert_eq!(model.model_type, None);
    assert!(folder.read(&FORMAT, "a.bin", b"GGU").unwrap().is_none());
    assert!(folder.read(&FORMAT, "a.bin", b"").unwrap().is_none());
    for (bytes, why) in [
        (&b""[..], "does not begin with 'GGUF'"),
        (b"GGML\0\0\0\0", "does not begin with 'GGUF'"),
        (b"GGUF", "the file ends within its tables"),
        (b"GGUF\x01\0\0\0", "the file ends within its tables"),
        (b"GGUF\0\0\0\x03", "the file ends within its tables"),
        (b"GGUF\0\0\0\x04", "version 4 of GGUF is not known"),
        (b"GGUF\0\0\0\0", "version 0 of GGUF is not known"),
        (b"GGUF\x04\0\0\0", "version 4 of GGUF is not known"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0000000000000000000000000000000000000000000000000000000000000000\nsize 1\n", "Git LFS"),
    ] {
        let refusal = refusal(bytes);
        assert!(refusal.contains(why), "{refusal}");
    }
}

#[test]
fn the_model_of_a_part_is_its_folder() {
    let file = File::default().tensor("a", &[2], 0).data(8);
    let model = ModelFolder::new().model(&FORMAT, "a-00001-of-00002.gguf", &file.bytes());
    assert_eq!(model.extent, Extent::Folder);
    let split = file.key("split.count", 2, &2_u16.to_le_bytes()).read();
    assert_eq!(split.extent, Extent::Folder);
    assert_eq!(
        Value::from(split.metadata),
        json!({"gguf_version": 3, "quantization": "F32"})
    );
}

/// What gguf 0.19.0 writes: `GGUFWriter("big.gguf", "llama", endianess=GGUFEndian.BIG)`, with two layers, a context of 64, and
/// tensors of 16-bit and of 32-bit numbers.
#[test]
fn big_endian_files_are_read() {
    let bytes = include_bytes!("big-endian.gguf");
    let model = ModelFolder::new().model(&FORMAT, "a.gguf", bytes);
    let expected = json!({
        "parameters": 32 * 64 + 64, "tensors": 2, "gguf_version": 3, "context_length": 64, "layers": 2,
        "architecture": "llama", "quantization": "F16",
    });
    assert_eq!(Value::from(model.metadata), expected);
    ModelFolder::new().damage(&FORMAT, "a.gguf", &bytes[..300]);
}

#[test]
fn version_1_has_shorter_counts_and_lengths() {
    let text = |text: &str| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let number = u32::to_le_bytes;
    let bytes = [
        &b"GGUF\x01\0\0\0"[..],
        &[number(1), number(2)].concat(),
        &[text("general.name"), number(8).into(), text("Old")].concat(),
        &[
            text("x"),
            number(9).into(),
            number(8).into(),
            number(2).into(),
            text(""),
            text(""),
        ]
        .concat(),
        &[
            text("a"),
            number(1).into(),
            number(4).into(),
            number(2).into(),
            vec![0; 8],
        ]
        .concat(),
        &[0; 64],
    ]
    .concat();
    let model = ModelFolder::new().model(&FORMAT, "a.gguf", &bytes);
    assert_eq!(model.name.as_deref(), Some("Old"));
    let expected =
        json!({"parameters": 4, "tensors": 1, "gguf_version": 1, "quantization": "Q4_0"});
    assert_eq!(Value::from(model.metadata), expected);
}

#[test]
fn the_quantization_is_that_of_most_elements_unless_the_file_states_it() {
    let of = |file_type: Option<u32>, types: &[(u32, u64)]| {
        let mut file = File::default().data(1 << 10);
        for (number, (kind, elements)) in types.iter().enumerate() {
            file = file.typed_tensor(&number.to_string(), &[*elements], 0, *kind);
        }
        if let Some(file_type) = file_type {
            file = file.key("general.file_type", 4, &file_type.to_le_bytes());
        }
        let quantization = file.read().metadata.remove("quantization");
        quantization.map(|name| name.as_str().unwrap().to_owned())
    };
    for (file_type, types, expected) in [
        (None, &[(0, 10), (0, 10), (12, 90)][..], Some("Q4_K")),
        (None, &[(41, 90)], Some("Q1_0")),
        (None, &[(99, 90)], None),
        (None, &[], None),
        (Some(15), &[(12, 90)], Some("Q4_K_M")),
        (Some(39), &[(40, 90)], Some("NVFP4")),
        (Some(40), &[(41, 90)], Some("Q1_0")),
        (Some(1024 + 7), &[(8, 90)], Some("Q8_0")),
        (Some(77), &[(8, 90)], Some("Q8_0")),
    ] {
        assert_eq!(
            of(file_type, types).as_deref(),
            expected,
            "{file_type:?} {types:?}"
        );
    }
}

#[test]
fn files_that_are_no_models_by_themselves_say_what_they_are() {
    let of = |file: File| {
        let model = file.read();
        let fact = |key| model.metadata.get(key).cloned().unwrap_or_default();
        (
            json!([fact("gguf_type"), fact("adapter"), fact("base_model")]),
            model.tags.join(","),
            model.model_type,
        )
    };
    let llama = || {
        File::default()
            .text("general.architecture", "llama")
            .tensor("a", &[2], 0)
            .data(8)
    };
    let vocabulary = File::default().key("tokenizer.ggml.tokens", 9, &list(8, 1, &text("a")));
    let adapter = llama()
        .text("general.type", "adapter")
        .text("adapter.type", "lora")
        .text("general.base_model.0.name", "N")
        .text(
            "general.base_model.0.repo_url",
            "https://huggingface.co/o/n",
        );
    let named = llama()
        .text("adapter.type", "lora")
        .text("general.base_model.0.name", "N");
    let imatrix = File::default()
        .text("general.type", "imatrix")
        .text("imatrix.datasets", "x");
    let mmproj = || File::default().text("general.architecture", "clip");
    for (file, facts, tag, model_type) in [
        (
            llama().text("general.type", "model"),
            json!([null, null, null]),
            "",
            Some("text-generation"),
        ),
        (
            adapter,
            json!(["adapter", "lora", "o/n"]),
            "adapter",
            Some("text-generation"),
        ),
        (
            named,
            json!(["adapter", "lora", "N"]),
            "adapter",
            Some("text-generation"),
        ),
        (
            imatrix,
            json!(["imatrix", null, null]),
            "imatrix",
            Some("other"),
        ),
        (
            mmproj(),
            json!(["mmproj", null, null]),
            "mmproj",
            Some("image-to-text"),
        ),
        (
            mmproj().text("general.type", "mmproj"),
            json!(["mmproj", null, null]),
            "mmproj",
            Some("image-to-text"),
        ),
        (
            vocabulary,
            json!(["vocabulary", null, null]),
            "vocabulary",
            Some("other"),
        ),
    ] {
        assert_eq!(
            of(file),
            (facts, tag.to_owned(), model_type.map(str::to_owned))
        );
    }
}

#[test]
fn announced_counts_and_lengths_are_not_trusted() {
    let most = u64::MAX;
    let none = File::default();
    let key = |kind, value: &[u8]| none.clone().key("general.name", kind, value).bytes();
    let other = |kind, value: &[u8]| none.clone().key("x", kind, value).bytes();
    let nested = (0..100).fold(list(0, 0, &[]), |inner, _| list(9, 1, &inner));
    let cases = [
        (
            none.counted(3, 0, most),
            "announces 18446744073709551615 keys",
        ),
        (
            none.counted(3, most, 0),
            "announces 18446744073709551615 tensors",
        ),
        (none.counted(3, 0, 1), "no room"),
        (
            key(8, &most.to_le_bytes()),
            "the file ends within its tables",
        ),
        (
            key(9, &list(8, most, &[])),
            "the file ends within its tables",
        ),
        (
            other(9, &list(8, most, &[])),
            "announces 18446744073709551615 values",
        ),
        (
            other(9, &list(10, most / 8 + 1, &[])),
            "values, for which it has no room",
        ),
        (
            other(9, &list(9, most, &[])),
            "announces 18446744073709551615 values",
        ),
        (other(9, &nested), "lists lie in more than 4 lists"),
        (key(9, &nested), "lists lie in more than 4 lists"),
        (other(13, &[0; 8]), "no value is of the kind 13"),
        (key(99, &[0; 8]), "no value is of the kind 99"),
        (key(8, &[1, 0, 0, 0, 0, 0, 0, 0, 0xff]), "not UTF-8"),
        (
            none.clone().text("x", "").text("x", "").bytes(),
            "the key 'x' stands twice",
        ),
        (
            none.clone().text(&"x".repeat(70_000), "").bytes(),
            "too long",
        ),
        (
            none.clone().tensor("a", &[1; 9], 0).bytes(),
            "a tensor has 9 dimensions",
        ),
        (
            none.clone().tensor("a", &[most, 2], 0).bytes(),
            "the tensor 'a' has too many elements",
        ),
        (
            none.clone()
                .tensor("a", &[most], 0)
                .tensor("b", &[1], 0)
                .bytes(),
            "'b' has too many",
        ),
        (
            none.clone()
                .tensor("a", &[0], 0)
                .tensor("a", &[0], 0)
                .bytes(),
            "the tensor 'a' stands twice",
        ),
        (
            none.clone().tensor("a", &[1], 0).bytes(),
            "ends before its last tensor begins",
        ),
        (
            none.clone().tensor("a", &[1], most).data(9).bytes(),
            "ends before its last tensor",
        ),
        (
            none.clone().key("general.alignment", 4, &[0; 4]).bytes(),
            "aligned to nothing",
        ),
    ];
    for (bytes, why) in cases {
        let refusal = refusal(&bytes);
        assert!(refusal.contains(why), "{refusal}");
    }
}

#[test]
fn tables_and_counts_are_limited() {
    let folder = ModelFolder::new();
    let refusal = |bytes: &[u8], size: u64| {
        let file = folder.file("a.gguf", bytes);
        let path = folder.path().join("a.gguf");
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(size)
            .unwrap();
        let file = ModelFile::open(&path, file.name().clone()).unwrap();
        super::read(&file).unwrap_err().to_string()
    };
    let key = File::default()
        .key("x", 8, &(80_u64 << 20).to_le_bytes())
        .bytes();
    assert!(refusal(&key, 100 << 20).contains("the tables have more than 67108864 bytes"));
    let keys = File::default().counted(3, 0, 70_000);
    assert!(refusal(&keys, 10 << 20).contains("70000 keys are more than are read"));
    let tensors = File::default().counted(3, 200_000, 0);
    assert!(refusal(&tensors, 10 << 20).contains("200000 tensors are more than are read"));
}

#[test]
fn long_texts_and_lists_of_tags_are_cut() {
    let tags: Vec<u8> = (0..500).flat_map(|tag| text(&tag.to_string())).collect();
    let model = File::default()
        .key("general.tags", 9, &list(8, 500, &tags))
        .text("general.description", &format!("x{}", "π".repeat(50_000)))
        .text("general.architecture", "nomic-bert")
        .text("general.license", "mit")
        .read();
    assert_eq!(model.tags.len(), 100);
    assert_eq!(
        model.description.unwrap().chars().count(),
        MAX_DESCRIPTION_CHARS
    );
    assert_eq!(model.model_type.as_deref(), Some("embedding"));
    assert_eq!(model.metadata["license"], "mit");
    assert_eq!(words::model_type("Whisper"), "audio-to-text");
    assert_eq!(words::quantization(5), None);
}

#[test]
fn damaged_files_cause_no_panic() {
    let file = File::default()
        .text("general.architecture", "π")
        .key("general.tags", 9, &list(8, 1, &text("a")))
        .key("x", 9, &list(9, 1, &list(2, 2, &[0; 4])))
        .key("general.alignment", 4, &32_u32.to_le_bytes())
        .tensor("a", &[2, 2], 0)
        .data(16);
    ModelFolder::new().damage(&FORMAT, "a.gguf", &file.bytes());
}
