//! Removing what no version names from a bucket.

use std::slice;

use super::presence::{AT_WORK, PUBLISH, PUBLISHING_COUNTS};
use super::{BucketWriter, PROBE};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::http::outgoing::Outgoing;
use crate::http::transport::Method;
use crate::publish::prune::{LEAST_AGE, PrunedRegistry, StoredObject};
use crate::source::chunked::shards::SHARDS;
use crate::store::lock::FileLock;
use crate::time::rfc3339;

impl PrunedRegistry for BucketWriter {
    fn list(&self, take: &mut dyn FnMut(StoredObject)) -> Result<()> {
        let probe = Digest::of(PROBE.as_bytes()).to_string();
        for folder in ["data", SHARDS] {
            self.list_folder(folder, &mut |object, now| {
                // What was found out about the store stays known.
                if object.path != probe {
                    let age = object
                        .modified_at
                        .and_then(|at| now.duration_since(at).ok());
                    take(StoredObject {
                        path: format!("{folder}/{}", object.path),
                        size_bytes: object.size_bytes,
                        modified_at: object.modified_at.unwrap_or(now),
                        is_old: age.is_some_and(|age| age > LEAST_AGE),
                    });
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn keep_off(&self) -> Result<Option<FileLock>> {
        self.say_pruning()?;
        self.list_folder(AT_WORK, &mut |object, now| {
            let said_at = object.modified_at.unwrap_or(now);
            let age = now.duration_since(said_at).unwrap_or_default();
            if !object.path.starts_with(PUBLISH) || age > PUBLISHING_COUNTS {
                return Ok(());
            }
            let url = self.base.join(&format!("{AT_WORK}/{}", object.path));
            Err(Error::registry(
                &self.base,
                format!(
                    "somebody publishes there, since {}: prune when that is done, or a day later if it was \
                     killed ({url} says so)",
                    rfc3339(said_at)
                ),
            ))
        })?;
        Ok(None)
    }

    fn remove(&self, path: &str) -> Result<bool> {
        let url = self.base.join(path);
        let response = self.call.retrying(slice::from_ref(&url), |_, url| {
            self.call.send(&Outgoing::new(Method::Delete, url), &[404])
        })?;
        Ok(response.is_success())
    }
}
