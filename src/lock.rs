//! An exact set of models in a file, and pulling exactly that.
//!
//! | name | what it is |
//! |---|---|
//! | [`Lock`], [`LockedModel`], [`LockedFile`] | what is in the file |
//! | [`LockOptions`] | what to lock |
//! | [`LockReport`], [`LockEntry`], [`LockState`], [`LockChange`] | how the file compares to what the sources offer |
//! | [`LockedOptions`] | what to pull of a lock, and how |
//! | [`DEFAULT_FILE`] | `models.lock` |
//!
//! A lock is made where models are chosen, kept under version control, and pulled wherever they are needed:
//! [`Manager::lock`](crate::Manager::lock) resolves and writes, [`Manager::check_lock`](crate::Manager::check_lock) tells
//! whether it still holds, and [`Manager::pull_locked`](crate::Manager::pull_locked) pulls it. [`LockReport`] has an example.
//!
//! # Two ways to pull
//!
//! By default, the sources are asked what they offer, and a pull fails with
//! [`ErrorKind::LockStale`](crate::ErrorKind::LockStale) if that is not what the lock says. With
//! [`frozen`](field@LockedOptions::frozen), no source is asked what it offers. What is installed is found without a network; what
//! is missing comes from what this machine has, from the source of the lock, or from any other that can serve it by its digest. So
//! a lock can be pulled although a branch has moved on, a registry has dropped the version, or the source is another one now.
//!
//! What counts are the files. A model is installed as it is locked if its files are, whatever state of whatever source they came
//! with. A mirror has them under the same name, in chunks of its own; so that it is known where, its index is read.
//!
//! # The file
//!
//! ```toml
//! version = 1
//!
//! [models."hf/openai/whisper-tiny main"]
//! source = "hf"
//! kind = "hub"
//! location = "https://huggingface.co"
//! manifest = "<sha256>"
//! pin = { commit = "169d4a43…", include = ["*.json"], repo = "openai/whisper-tiny", root = "" }
//! size = 1983
//! files = [
//!   { path = "config.json", size = 1983, sha256 = "<sha256>", git_blob = "<git blob id>" },
//! ]
//! ```
//!
//! The name of a table is the model and the version that was asked for. `manifest` is the digest of the state that this resolved
//! to; `pin` says where its files are, for sources that name them by place, and which of them are wanted. The Hub states no SHA-256
//! for small files, but the id that git gives them. `sha256` is added when the model is locked while it is installed, and then
//! used instead. A file may lack `size`, too, until it is. `archive`, such as `tar+gzip`, is of a file that comes packed, as layers
//! of OCI registries may: it is the packed file that is locked, and what is in it that is installed. `type` and `tags` are what the
//! source stated when the model was locked, so that a pull that asks no source knows them. Models and files are sorted, each file is a line, and every table has
//! a header of its own, so that adding a model adds lines and nothing else. Paths have `/` on every system. Later versions add
//! keys, which readers ignore; a file with another `version` is refused.

pub use crate::engine::lock::document::Lock;
pub use crate::engine::lock::locked::{LockedFile, LockedModel};
pub use crate::engine::lock::pull::LockedOptions;
pub use crate::engine::lock::report::{LockChange, LockEntry, LockReport, LockState};
pub use crate::engine::lock::{DEFAULT_FILE, LockOptions};
