//! What files state about the models that they contain: one small reader for each format, behind one trait.
//!
//! | format | files | read from |
//! |---|---|---|
//! | `gnn` | `.md`, `.gnn` | the sections of Generalized Notation Notation |
//! | `safetensors` | `.safetensors` | the header |
//! | `gguf` | `.gguf`, and files that begin like one | the table of keys and the list of tensors |
//! | `hub` | `config.json`, `model_index.json`, `adapter_config.json` and others | the keys that the Hub's libraries write |
//! | `modflow` | `.nam` | the blocks of MODFLOW 6, the lines of earlier versions |
//!
//! Files may be hostile: no length that a file announces is trusted, no file that may be large is read as a whole, and what
//! is kept of each is limited. A file that is not of a format is left to the next one; a damaged file of a format is an error.
//!
//! # A format of your own
//!
//! ```
//! use modelrack::Result;
//! use modelrack::manifest::RelPath;
//! use modelrack::project::formats::{self, Description, Extent, ModelFile, ModelFormat};
//!
//! /// Files of weights: a title, a line of tags, and numbers.
//! #[derive(Debug)]
//! struct Weights;
//!
//! impl ModelFormat for Weights {
//!     fn name(&self) -> &'static str {
//!         "weights"
//!     }
//!
//!     fn read(&self, file: &ModelFile) -> Result<Option<Description>> {
//!         if file.extension() != "weights" {
//!             return Ok(None);
//!         }
//!         let text = file.text(1 << 20)?;
//!         let mut lines = text.lines();
//!         let (Some(title), Some(tags)) = (lines.next(), lines.next()) else {
//!             return Err(file.malformed("the title or the tags are missing"));
//!         };
//!         let mut description = Description::default();
//!         description.name = Some(title.into());
//!         description.description = Some(format!("The weights in {}", file.file_name()));
//!         description.version = Some("2.1".into());
//!         description.model_type = Some("embedding".into());
//!         description.tags = tags.split_whitespace().map(str::to_owned).collect();
//!         description.metadata.insert("parameters".to_owned(), lines.count().into());
//!         description.extent = Extent::File;
//!         Ok(Some(description))
//!     }
//! }
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("tiny.weights");
//! std::fs::write(&path, "Tiny\nspeech english\n0.25\n0.5\n")?;
//! let file = ModelFile::open(&path, RelPath::parse("models/tiny.weights")?)?;
//! let mut all = formats::builtin();
//! all.push(std::sync::Arc::new(Weights));
//! let (format, description) = formats::read(&all, &file)?.expect("a format knows the file");
//! assert_eq!((format, description.name.as_deref()), ("weights", Some("Tiny")));
//! assert_eq!(description.tags, ["speech", "english"]);
//! assert_eq!(description.metadata["parameters"], 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`ProjectOptions::formats`](crate::project::ProjectOptions::formats) adds it to the formats of a project.

mod description;
mod file;
mod gguf;
mod gnn;
mod hub;
pub(crate) mod json;
mod lines;
mod modflow;
mod part;
mod safetensors;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use description::{Description, Extent};
pub use file::{MAX_HEAD_BYTES, ModelFile};
pub(crate) use file::{decode, text_of_bytes};
pub(crate) use hub::{is_companion, is_configuration, is_weights};
pub(crate) use modflow::outputs_of_run;
pub(crate) use part::PartName;

use crate::error::Result;

/// Reads what a file states about the model that it is, or that its folder is. The [module documentation](self) has an
/// example.
pub trait ModelFormat: fmt::Debug + Send + Sync {
    /// Returns the name of the format, such as `gguf`: in lower case, since registries record it. The [module
    /// documentation](self) has an example.
    fn name(&self) -> &'static str;

    /// Reads a file; `None` if it is not of this format. The [module documentation](self) has an example.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`](crate::ErrorKind::Registry) if the file is of this format, but malformed, too large or hostile:
    /// [`ModelFile::malformed`] creates it; the storage errors.
    fn read(&self, file: &ModelFile) -> Result<Option<Description>>;
}

/// A format that this crate reads: its name, and the function that reads it.
#[derive(Debug)]
struct BuiltIn(&'static str, fn(&ModelFile) -> Result<Option<Description>>);

impl ModelFormat for BuiltIn {
    fn name(&self) -> &'static str {
        self.0
    }

    fn read(&self, file: &ModelFile) -> Result<Option<Description>> {
        self.1(file)
    }
}

/// Returns the formats that this crate reads, in the order in which they are tried. The [module documentation](self) has an
/// example.
#[must_use]
pub fn builtin() -> Vec<Arc<dyn ModelFormat>> {
    vec![
        Arc::new(safetensors::FORMAT),
        Arc::new(gguf::FORMAT),
        Arc::new(hub::FORMAT),
        Arc::new(modflow::FORMAT),
        Arc::new(gnn::FORMAT),
    ]
}

/// Tries one format after the other, and returns the name of the first that knows the file, with what it read. The [module
/// documentation](self) has an example.
///
/// # Errors
/// Those of [`ModelFormat::read`]; the first format that fails is the last that is tried.
pub fn read(
    formats: &[Arc<dyn ModelFormat>],
    file: &ModelFile,
) -> Result<Option<(&'static str, Description)>> {
    for format in formats {
        if let Some(description) = format.read(file)? {
            return Ok(Some((format.name(), description)));
        }
    }
    Ok(None)
}
