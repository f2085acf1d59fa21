//! What files that are published say of their model.

use crate::catalog::Metadata;
use crate::error::Result;
use crate::project::scan::formats::{self, ModelFile};
use crate::publish::chunked::Stream;

/// Reads what is known of the model from its files, by the names that registered models have for it. A file that no format can
/// read says nothing: it is published as it is.
pub(super) fn describe(stream: &Stream) -> Result<Metadata> {
    let known = formats::builtin();
    let mut described = Vec::new();
    for part in &stream.parts {
        let file = ModelFile::open(&part.path, part.name.clone())?;
        if let Ok(Some(read)) = formats::read(&known, &file) {
            described.push(read);
        }
    }
    described.sort_by_key(|(_, description)| description.precedence());
    let mut described = described.into_iter();
    let Some((format, mut description)) = described.next() else {
        return Ok(Metadata::new());
    };
    for (_, other) in described {
        description.complete(other);
    }
    let mut metadata = description.metadata;
    let stated = [
        ("format", Some(format.to_owned())),
        ("name", description.name),
        ("description", description.description),
        ("version", description.version),
        ("type", description.model_type),
    ];
    for (key, text) in stated {
        if let Some(text) = text {
            metadata.insert(key.to_owned(), text.into());
        }
    }
    if !description.tags.is_empty() {
        metadata.insert("tags".to_owned(), description.tags.into());
    }
    Ok(metadata)
}
