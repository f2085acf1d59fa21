//! A manifest is refused or adds up, whatever its bytes are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelrack::Manifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes.to_vec(), "fuzz") {
        let files: u64 = manifest.files().iter().map(|file| file.size_bytes).sum();
        let parts: u64 = manifest.parts().iter().map(|part| part.size_bytes).sum();
        assert_eq!(
            (files, parts),
            (manifest.total_bytes(), manifest.total_bytes())
        );
        assert!(
            manifest
                .files()
                .iter()
                .all(|file| !file.path.as_str().contains("..")
                    || !file.path.components().any(|part| part == ".."))
        );
    }
});
