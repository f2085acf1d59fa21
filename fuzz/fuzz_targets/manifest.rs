//! A manifest is refused or adds up, whatever its bytes are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelrack::Manifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes.to_vec(), "fuzz") {
        let files = manifest.files().iter().map(|file| file.size_bytes).sum();
        assert_eq!(manifest.total_bytes(), files);
        let parts: u64 = manifest.parts().iter().map(|part| part.size_bytes).sum();
        assert_eq!(parts, files.unwrap_or(0));
        assert!(
            manifest
                .files()
                .iter()
                .all(|file| !file.path.as_str().contains("..")
                    || !file.path.components().any(|part| part == ".."))
        );
    }
});
