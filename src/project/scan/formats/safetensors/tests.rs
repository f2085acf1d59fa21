use serde_json::json;

use super::super::description::Extent;
use super::super::tests::ModelFolder;
use super::*;

/// A file with a header and `data_bytes` bytes after it.
fn bytes(header: &str, data_bytes: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + data_bytes, 0);
    bytes
}

fn tensor(name: &str, dtype: &str, shape: &[u64], from: u64, to: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{from},{to}]}}"#)
}

fn read(header: &str, data_bytes: usize) -> Description {
    ModelFolder::new().model(&FORMAT, "a.safetensors", &bytes(header, data_bytes))
}

fn refusal(header: &str, data_bytes: usize) -> String {
    ModelFolder::new().refusal(&FORMAT, "a.safetensors", &bytes(header, data_bytes))
}

#[test]
fn the_example_classifier_is_read() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/digits/v1/model.safetensors"
    );
    let name = crate::relpath::RelPath::parse("v1/model.safetensors").unwrap();
    let file = ModelFile::open(path.as_ref(), name).unwrap();
    let model = super::read(&file).unwrap().unwrap();
    let expected = json!({
        "parameters": 650, "tensors": 2, "dtypes": ["F32"], "safetensors": {"format": "np"},
    });
    assert_eq!(Value::from(model.metadata), expected);
    assert_eq!((model.name, model.extent), (None, Extent::File));
}

#[test]
fn tensors_may_be_in_any_order() {
    let header = format!(
        "{{{},{},{},{},{}}}   ",
        tensor("b", "BF16", &[2, 3], 12, 24),
        tensor("a", "F4", &[24], 0, 12),
        tensor("scalar", "I64", &[], 24, 32),
        tensor("empty", "F32", &[0, 9], 12, 12),
        tensor("of tomorrow", "X7", &[5], 32, 33),
    );
    let model = read(&header, 33);
    let expected =
        json!({"parameters": 36, "tensors": 5, "dtypes": ["BF16", "F32", "F4", "I64", "X7"]});
    assert_eq!(Value::from(model.metadata), expected);
    assert_eq!(read("{}", 0).metadata["tensors"], 0);
}

#[test]
fn metadata_with_a_known_meaning_describes_the_model() {
    let long = "x".repeat(100_000);
    let header = format!(
        r#"{{"__metadata__":{{"format":"pt","modelspec.title":"Lake","title":"other","modelspec.architecture":"stable-diffusion-v1",
        "description":"Paints\nlakes.","version":"1.2","modelspec.tags":"a, b","modelspec.thumbnail":"{long}","license":""}}}}"#
    );
    let model = read(&header, 0);
    assert_eq!(model.name.as_deref(), Some("Lake"));
    assert_eq!(model.description.as_deref(), Some("Paints lakes."));
    assert_eq!(model.version.as_deref(), Some("1.2"));
    assert_eq!(model.model_type.as_deref(), Some("text-to-image"));
    assert_eq!(model.tags, ["a", "b"]);
    assert_eq!(model.metadata["architecture"], "stable-diffusion-v1");
    assert_eq!(model.metadata["safetensors"], json!({"format": "pt"}));
    assert_eq!(read(r#"{"__metadata__":null}"#, 0).name, None);
}

#[test]
fn the_model_of_a_part_is_its_folder() {
    let header = format!("{{{}}}", tensor("a", "F32", &[1], 0, 4));
    let name = "model-00001-of-00002.safetensors";
    let model = ModelFolder::new().model(&FORMAT, name, &bytes(&header, 4));
    assert_eq!(model.extent, Extent::Folder);
    assert_eq!(Value::from(model.metadata), json!({"dtypes": ["F32"]}));
}

#[test]
fn announced_lengths_are_not_trusted() {
    let folder = ModelFolder::new();
    let refusal = |bytes: &[u8]| folder.refusal(&FORMAT, "a.safetensors", bytes);
    assert_eq!(
        refusal(b""),
        "the file is shorter than the length of a header (a.safetensors)"
    );
    assert_eq!(
        refusal(&u64::MAX.to_le_bytes()),
        "the header would have 18446744073709551615 bytes, of which the file has 0 (a.safetensors)"
    );
    let file = folder.file("large.safetensors", &(MAX_HEADER_BYTES + 1).to_le_bytes());
    drop(file);
    let path = folder.path().join("large.safetensors");
    let grown = std::fs::File::options().write(true).open(&path).unwrap();
    grown.set_len(MAX_HEADER_BYTES * 2).unwrap();
    let name = crate::relpath::RelPath::parse("large.safetensors").unwrap();
    let file = ModelFile::open(&path, name).unwrap();
    let error = super::read(&file).unwrap_err().to_string();
    assert_eq!(
        error,
        "the header has 16777217 bytes, and more than 16777216 are not read (large.safetensors)"
    );
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 1\n",
        "0".repeat(64)
    );
    assert_eq!(
        refusal(pointer.as_bytes()),
        "the file is a pointer of Git LFS: the file that it stands for was not fetched, which 'git lfs pull' does (a.safetensors)"
    );
}

#[test]
fn tensors_must_cover_the_data() {
    let two = |second: (u64, u64)| {
        let first = tensor("a", "U8", &[4], 0, 4);
        let second = tensor("b", "U8", &[second.1 - second.0], second.0, second.1);
        format!("{{{first},{second}}}")
    };
    read(&two((4, 8)), 8);
    assert!(refusal(&two((3, 8)), 8).starts_with("two tensors share the byte 3 of the data"));
    assert!(refusal(&two((0, 4)), 4).starts_with("two tensors share the byte 0 of the data"));
    assert!(refusal(&two((5, 8)), 8).starts_with("no tensor has the byte 4 of the data"));
    assert!(refusal(&two((4, 9)), 8).starts_with("the tensors have 9 bytes, and 8 follow"));
    assert!(refusal(&two((4, 8)), 9).starts_with("the tensors have 8 bytes, and 9 follow"));
}

#[test]
fn headers_of_another_form_are_refused() {
    let most = u64::MAX;
    let cases = [
        (String::new(), "EOF while parsing"),
        ("[]".into(), "expected an object of tensors"),
        ("{} {}".into(), "trailing characters"),
        (r#"{"a":{}}"#.into(), "missing field"),
        (
            r#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}}"#.into(),
            "invalid value",
        ),
        (
            r#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}}"#.into(),
            "trailing characters",
        ),
        (
            r#"{"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#.into(),
            "duplicate field",
        ),
        (r#"{"__metadata__":{"a":1}}"#.into(), "expected a string"),
        (
            r#"{"__metadata__":{"a":"","a":""}}"#.into(),
            "the key 'a' stands twice",
        ),
        (
            r#"{"__metadata__":{},"__metadata__":{}}"#.into(),
            "stands twice",
        ),
        (
            format!("{{{0},{0}}}", tensor("a", "U8", &[0], 0, 0)),
            "the key 'a' stands twice",
        ),
        (
            format!("{{{}}}", tensor("a", "U8", &[1], 1, 0)),
            "the tensor 'a' ends before it begins",
        ),
        (
            format!("{{{}}}", tensor("a", "F4", &[1], 0, 1)),
            "not what its shape needs",
        ),
        (
            format!("{{{}}}", tensor("a", "U16", &[1], 0, 1)),
            "not what its shape needs",
        ),
        (
            format!("{{{}}}", tensor("a", "U8", &[most, 2], 0, 1)),
            "too many elements",
        ),
        (
            format!("{{{}}}", tensor("a", "U16", &[most], 0, most)),
            "not what its shape needs",
        ),
        (format!("{{\"a\":{}", "[".repeat(100_000)), "invalid type"),
        (
            format!("{{\"a\":{{\"x\":{}", "[".repeat(100_000)),
            "EOF while parsing",
        ),
    ];
    for (header, why) in cases {
        let refusal = refusal(&header, 0);
        assert!(
            refusal.starts_with("the header is not of the form"),
            "{refusal}"
        );
        assert!(refusal.contains(why), "{refusal}");
    }
    let many = [
        tensor("a", "X", &[most], 0, 0),
        tensor("b", "X", &[most], 0, 0),
    ]
    .join(",");
    assert!(refusal(&format!("{{{many}}}"), 0).starts_with("the tensors have too many elements"));
    let mut latin = bytes(r#"{"\u00e9?":1}"#, 0);
    let at = latin.len() - 4;
    latin[at - 1] = 0xe9;
    let refused = ModelFolder::new().refusal(&FORMAT, "a.safetensors", &latin);
    assert!(
        refused.contains("the header is not of the form"),
        "{refused}"
    );
}

#[test]
fn damaged_files_cause_no_panic() {
    let header = format!(
        r#"{{"__metadata__":{{"format":"pt","title":"\u03c0"}},{},{}}}"#,
        tensor("a", "F32", &[2, 1], 0, 8),
        tensor("b", "U8", &[3], 8, 11)
    );
    ModelFolder::new().damage(&FORMAT, "a.safetensors", &bytes(&header, 11));
}
