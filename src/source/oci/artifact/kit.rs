//! Where the layers of a ModelKit belong.

use std::collections::HashMap;

use serde_json::Value;

use super::name;
use crate::oci::Descriptor;
use crate::relpath::{RelPath, shown};

/// What the media types of its layers begin with.
const PREFIX: &str = "application/vnd.kitops.modelkit.";

/// The folders that the tars of a ModelKit belong to.
///
/// In the first versions of Kit, the names in a tar are relative to the folder of what was packed, as the Kitfile has it.
/// Since then, they are relative to the Kitfile, and its entries have the digest of their layer.
pub(super) struct KitFolders<'a> {
    config: Option<&'a Value>,
    /// How many layers of each sort have been seen: those of a sort are in the order of the Kitfile.
    seen: HashMap<&'a str, usize>,
}

impl<'a> KitFolders<'a> {
    pub(super) fn new(config: Option<&'a Value>) -> Self {
        Self {
            config,
            seen: HashMap::new(),
        }
    }

    /// Returns the folder of a layer; empty for the top.
    pub(super) fn of_layer(&mut self, layer: &'a Descriptor) -> Result<String, String> {
        // Only the newer versions annotate layers.
        if name(layer).is_some() {
            return Ok(String::new());
        }
        let missing = "the configuration cannot be read, which says where the layers belong";
        let config = self.config.ok_or(missing)?;
        let sort = layer.media_type.strip_prefix(PREFIX);
        let sort = sort.and_then(|sort| sort.split('.').next());
        let sort = sort.unwrap_or_default();
        let number = self.seen.entry(sort).or_default();
        let entry = match sort {
            "model" => config.pointer("/model"),
            "modelpart" => config.pointer(&format!("/model/parts/{number}")),
            "dataset" => config.pointer(&format!("/datasets/{number}")),
            "code" | "docs" => config.pointer(&format!("/{sort}/{number}")),
            _ => None,
        };
        *number += 1;
        let is_relative_to_kitfile = entry.is_none_or(|entry| entry["digest"].is_string());
        let path = entry.and_then(|entry| entry["path"].as_str());
        match path.filter(|_| !is_relative_to_kitfile) {
            None => Ok(String::new()),
            Some(path) => parent(path),
        }
    }
}

/// The folder that a path of a Kitfile is in; empty for the top.
fn parent(path: &str) -> Result<String, String> {
    let components = path.split('/').filter(|it| !it.is_empty() && *it != ".");
    let components: Vec<&str> = components.collect();
    let [folder @ .., _] = components.as_slice() else {
        return Ok(String::new());
    };
    let folder = folder.join("/");
    if !folder.is_empty() {
        let refuse = |reason| format!("the path '{}' of a layer {reason}", shown(path));
        RelPath::parse(&folder).map_err(|error| refuse(error.reason()))?;
    }
    Ok(folder)
}
