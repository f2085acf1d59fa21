//! Files as git and its large file storage know them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Files larger than this must be in the large file storage.
const MOST_IN_GIT: usize = 10_000_000;
/// What the `.gitattributes` of a new repository put there whatever the size, for the most part.
const LARGE: [&str; 18] = [
    ".bin",
    ".ckpt",
    ".gguf",
    ".gz",
    ".h5",
    ".model",
    ".msgpack",
    ".npy",
    ".npz",
    ".onnx",
    ".parquet",
    ".pb",
    ".pkl",
    ".pt",
    ".pth",
    ".safetensors",
    ".tflite",
    ".zip",
];

#[derive(Clone)]
pub(super) struct File {
    pub(super) bytes: Arc<[u8]>,
    /// The id of the blob that git has: the file, or the pointer to it.
    pub(super) blob: String,
    pub(super) large: Option<Large>,
}

/// What git has in place of a file in the large file storage.
#[derive(Clone)]
pub(super) struct Large {
    pub(super) sha256: String,
    pub(super) pointer_bytes: usize,
}

/// Files by name.
pub(super) type Tree = BTreeMap<String, File>;

impl File {
    pub(super) fn new(name: &str, bytes: Vec<u8>, tracked: &[String]) -> Self {
        let mut suffixes = LARGE.into_iter().chain(tracked.iter().map(String::as_str));
        let is_large = bytes.len() > MOST_IN_GIT || suffixes.any(|suffix| name.ends_with(suffix));
        let (blob, large) = if is_large {
            let sha256 = hex(&Sha256::digest(&bytes));
            let size = bytes.len();
            let pointer = format!(
                "version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
            );
            let large = Large {
                sha256,
                pointer_bytes: pointer.len(),
            };
            (object("blob", pointer.as_bytes()), Some(large))
        } else {
            (object("blob", &bytes), None)
        };
        Self {
            bytes: bytes.into(),
            blob,
            large,
        }
    }
}

/// The id that git gives to an object.
pub(super) fn object(kind: &str, content: &[u8]) -> String {
    let mut hasher = Sha1::new();
    hasher.update(format!("{kind} {}\0", content.len()));
    hasher.update(content);
    hex(&hasher.finalize())
}

/// 64 hexadecimal digits by which the storage knows a file, which are not its digest.
pub(super) fn storage_key(sha256: &str) -> String {
    hex(&Sha256::digest(sha256))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
