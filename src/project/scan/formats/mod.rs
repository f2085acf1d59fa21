//! What files say about the models they are: one small reader a format, behind one trait.
//!
//! | format | files | read from |
//! |---|---|---|
//! | `gnn` | `.md`, `.gnn` | the sections of Generalized Notation Notation |
//! | `safetensors` | `.safetensors` | the header |
//! | `gguf` | `.gguf`, and whatever begins like one | the table of keys and the list of tensors |
//! | `hub` | `config.json` | the keys that the Hub's libraries write |
//! | `modflow` | `.nam` | the blocks of MODFLOW 6, the lines of its elders |
//!
//! Files are hostile until read: no length that one announces is believed, none is read whole that may be large, and
//! what is kept has caps. A file that is not of a format is left to the next; one that is and is damaged is an error.
//!
//! # A format of one's own
//!
//! ```
//! use modelrack::project::formats::{Description, ModelFile, ModelFormat};
//! use modelrack::manifest::RelPath;
//! use modelrack::Result;
//!
//! /// Weights behind a line of text.
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

/// Reads what a file says about the model that it is, or that its folder is.
pub trait ModelFormat: fmt::Debug + Send + Sync {
    /// Returns the name of the format, such as `gguf`: in lower case, and recorded with what is registered.
    fn name(&self) -> &'static str;

    /// Reads a file; `None` when it is not of this format.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`](crate::ErrorKind::Registry) that names the file when it is of this format and malformed, too large
    /// or hostile; the storage errors.
    fn read(&self, file: &ModelFile) -> Result<Option<Description>>;
}

/// Returns the formats that this crate reads, in the order in which they are asked.
#[must_use]
pub fn builtin() -> Vec<Arc<dyn ModelFormat>> {
    vec![
        Arc::new(safetensors::Safetensors),
        Arc::new(gguf::Gguf),
        Arc::new(hub_config::HubConfig),
        Arc::new(modflow::Modflow),
        Arc::new(gnn::Gnn),
    ]
}

/// Asks one format after the other; returns the name of the first that knows the file, and what it read.
///
/// # Errors
/// As [`ModelFormat::read`], of the first format that fails: those behind it are not asked.
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
