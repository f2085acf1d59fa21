//! Who changes the index of a bucket.
//!
//! There are stores that look at a condition first and write later, such as s3s-fs 0.14.1: of two changes that come at the same
//! moment, both are accepted, and one is lost. So whoever changes the index says so before it is read, in
//! `at-work/index-<number>`, and takes that back once it is written. Whoever has written it waits for those who said so before,
//! as only they may write over it, and looks whether the change is still there.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::debug;

use super::presence::AT_WORK;
use super::word::Word;
use super::{BucketWriter, IndexChange};
use crate::error::Result;

/// What the name of such an object begins with.
const INDEX: &str = "index-";
/// How long the word of who changes the index counts: reading and writing it takes less, and a process that was killed meanwhile
/// holds up others no longer.
const CHANGING_COUNTS: Duration = Duration::from_secs(10);
/// How long to wait before looking again who is done.
const LOOKING_EVERY: Duration = Duration::from_millis(50);
/// How long a new index is left alone before it is read once more, where nobody may know who else changes it.
const SETTLING: Duration = Duration::from_millis(200);

impl BucketWriter {
    /// Says that the index is about to be read and written.
    pub(super) fn say_changing(&self) -> Result<Word> {
        let url = self.new_word(INDEX);
        self.say(url, CHANGING_COUNTS, None)
    }

    /// Waits for all who have said that they change the index, and are not done.
    pub(super) fn wait_for_changes(&self) -> Result<()> {
        let cancel = &self.call.cancel;
        let mut waited_for: Option<BTreeSet<String>> = None;
        loop {
            let changing = match self.changing() {
                Ok(changing) => changing,
                Err(error) if error.is_cancelled() => return Err(error),
                // Some may write and not list.
                Err(error) => {
                    debug!(url = %self.base, error = %error, "not listing who changes the index");
                    let _ = cancel.wait(SETTLING);
                    return cancel.check();
                }
            };
            // Who came later has read what is written now.
            let left: BTreeSet<_> = match waited_for {
                Some(before) => before.intersection(&changing).cloned().collect(),
                None => changing,
            };
            if left.is_empty() {
                return Ok(());
            }
            debug!(url = %self.base, others = left.len(), "others change the index as well");
            let _ = cancel.wait(LOOKING_EVERY);
            cancel.check()?;
            waited_for = Some(left);
        }
    }

    /// Returns the words of all who change the index.
    fn changing(&self) -> Result<BTreeSet<String>> {
        let mut changing = BTreeSet::new();
        self.list_folder(AT_WORK, &mut |object, now| {
            let said_at = object.modified_at.unwrap_or(now);
            let age = now.duration_since(said_at).unwrap_or_default();
            // What cannot be removed is emptied.
            let counts = object.size_bytes > 0 && age < CHANGING_COUNTS;
            if counts && object.path.starts_with(INDEX) {
                changing.insert(object.path);
            }
            Ok(())
        })?;
        Ok(changing)
    }

    /// Whether a change is in the index.
    pub(super) fn has_change(&self, change: &mut IndexChange<'_>) -> Result<bool> {
        let now = self.get("models.json")?;
        let now = now.as_ref().map(|(json, _)| json.as_slice());
        let changed = change(now)?;
        Ok(now == Some(&changed))
    }
}
