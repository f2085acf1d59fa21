//! What a file says of its model is read or refused, whatever its bytes are.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use modelrack::manifest::RelPath;
use modelrack::project::formats::{ModelFile, builtin};

/// The names by which the formats know their files.
const NAMES: [&str; 6] = [
    "model.safetensors",
    "model.gguf",
    "model.md",
    "model/config.json",
    "model/mfsim.nam",
    "model/model.nam",
];

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("modelrack-fuzz-{}", std::process::id()));
    fs::write(&path, bytes).expect("the temporary folder is writable");
    for name in NAMES {
        let name = RelPath::parse(name).expect("it is a name");
        let file = ModelFile::open(&path, name).expect("the file is there");
        for format in builtin() {
            let Ok(Some(description)) = format.read(&file) else {
                continue;
            };
            let about = description.description.unwrap_or_default();
            assert!(about.chars().count() <= 2_000 && !about.contains(char::is_control));
            assert!(description.tags.len() <= 100);
        }
    }
});
