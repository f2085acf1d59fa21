//! Names, addresses and URLs are refused or read back as they were shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelrack::manifest::RelPath;
use modelrack::transport::Url;
use modelrack::{ModelAddress, ModelName};

fuzz_target!(|text: &str| {
    if let Ok(path) = RelPath::parse(text) {
        assert!(
            path.components()
                .all(|part| !part.is_empty() && part != "." && part != "..")
        );
        assert!(!path.as_str().contains(['\\', '\0', ':']));
    }
    if let Ok(name) = ModelName::parse(text) {
        assert_eq!(ModelName::parse(&name.to_string()).as_ref(), Ok(&name));
    }
    if let Ok(address) = text.parse::<ModelAddress>() {
        let _ = address.to_string();
    }
    if let Ok(url) = Url::parse(text) {
        assert_eq!(
            Url::parse(&url.expose()).map(|again| again.expose()),
            Ok(url.expose())
        );
        let _ = (
            url.redirect(text),
            url.join(text),
            url.to_file_path(),
            url.is_loopback(),
        );
    }
});
