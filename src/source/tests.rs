//! What holds for every kind of source, shown by one that is made for it.

pub(super) mod listing;

use std::fs;

use crate::config::Config;
use crate::engine::pull::PullOptions;
use crate::env::Environment;
use crate::error::ErrorKind;
use crate::manager::{Manager, ModelManager};
use crate::platform::System;

#[test]
fn a_kind_of_source_is_one_module() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("models");
    fs::create_dir_all(folder.join("tiny")).unwrap();
    fs::write(folder.join("tiny/weights.bin"), b"weights").unwrap();
    let listing = toml::Value::String(folder.display().to_string());
    let config = Config::new("app")
        .bootstrap(format!("[sources.local]\nlisting = {listing}\n"))
        .data_dir(temp.path().join("store"))
        .cache_dir(temp.path().join("cache"));
    let environment = Environment::empty(System::Linux, temp.path());
    let manager = ModelManager::builder(config)
        .environment(environment)
        .build();
    let pulled = manager
        .pull(&"local/tiny".parse().unwrap(), &PullOptions::default())
        .unwrap();
    assert_eq!(pulled.model.to_string(), "local/tiny current");
    assert_eq!(
        fs::read(pulled.path.join("weights.bin")).unwrap(),
        b"weights"
    );
    assert_eq!(manager.sources().unwrap()[0].kind.as_str(), "listing");
    let error = manager
        .pull(&"local/tine".parse().unwrap(), &PullOptions::default())
        .unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::ModelNotFound { near, .. } if near == &["local/tiny"])
    );
}
