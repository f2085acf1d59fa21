//! What files say about their models: a small reader for each format, behind one trait.
//!
//! | format | files | read from |
//! |---|---|---|
//! | `gnn` | `.md`, `.gnn` | the sections of Generalized Notation Notation |
//! | `safetensors` | `.safetensors` | the header |
//! | `gguf` | `.gguf`, and files that start like one | the table of keys and the list of tensors |
//! | `hub` | `config.json` | the keys that the Hub's libraries write |
//! | `modflow` | `.nam` | the blocks of MODFLOW 6, the lines of earlier versions |
//!
//! Files may be hostile: no length that one announces is trusted, no large file is read whole, and what is kept is limited.
//! A file that is not of a format is passed to the next one; a file that is, but is damaged, is an error.
//!
//! # A custom format
//!
//! ```
//! use modelrack::project::formats::{Description, ModelFile, ModelFormat};
//! use modelrack::manifest::RelPath;
//! use modelrack::Result;
//!
//! /// Weights after a line of text.
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
//!         let first = file.head()?.split(|byte| *byte == b'\n').next();
//!         let title = first.and_then(|line| std::str::from_utf8(line).ok());
//!         let title = title.ok_or_else(|| file.malformed("the first line is no text"))?;
//!         let mut description = Description::default();
//!         description.name = Some(title.to_owned());
//!         Ok(Some(description))
//!     }
//! }
//!
//! # let path = std::env::temp_dir().join("modelrack-doc.weights");
//! # std::fs::write(&path, "Tiny\n\x01\x02")?;
//! let file = ModelFile::open(&path, RelPath::parse("models/tiny.weights")?)?;
//! let description = Weights.read(&file)?.expect("it is of this format");
//! assert_eq!(description.name.as_deref(), Some("Tiny"));
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod description;
mod file;
mod gguf;
mod gnn;
mod hub_config;
mod json;
mod modflow;
mod safetensors;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use description::{Description, Extent};
pub use file::{MAX_HEAD_BYTES, ModelFile};

use crate::error::Result;

/// Reads what a file says about its model: the file itself, or its folder.
pub trait ModelFormat: fmt::Debug + Send + Sync {
    /// Returns the name of the format, such as `gguf`, in lower case. Registries record it.
    fn name(&self) -> &'static str;

    /// Reads a file; `None` if it is not of this format.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`](crate::ErrorKind::Registry) that names the file if it is of this format but malformed, too large
    /// or hostile; the storage errors.
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

/// Returns the formats that this crate reads, in the order in which they are tried.
#[must_use]
pub fn builtin() -> Vec<Arc<dyn ModelFormat>> {
    vec![
        Arc::new(safetensors::FORMAT),
        Arc::new(gguf::FORMAT),
        Arc::new(hub_config::FORMAT),
        Arc::new(modflow::FORMAT),
        Arc::new(gnn::FORMAT),
    ]
}

/// Tries one format after the other; returns the name of the first that recognizes the file, and what it read.
///
/// # Errors
/// As [`ModelFormat::read`], of the first format that fails; those after it are not tried.
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
