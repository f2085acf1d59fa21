//! File locks that name their holders.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::error::{ErrorKind, IoContext, Result};
use crate::platform::{self, TryLock};
use crate::progress::CancelToken;

/// How long to wait for the lock of `registry.json`.
pub(crate) const RECORD_LIMIT: Duration = Duration::from_secs(30);
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// A lock that is held until it is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: Option<File>,
    path: PathBuf,
    /// Whether the file is removed with the lock.
    temporary: bool,
    /// Whether nobody else has it. Nobody knows without locks in the file system, or if they may not reach other machines.
    pub(super) is_real: bool,
    /// The file that stands in for the lock where that may not be real.
    stand_in: Option<PathBuf>,
}

impl FileLock {
    /// Takes the lock if nobody has it.
    pub(crate) fn try_acquire(path: &Path, temporary: bool) -> Result<Option<Self>> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).at("create", parent)?;
        }
        let (mut file, is_real) = match platform::try_lock(path).at("lock", path)? {
            TryLock::Locked(file) => {
                let is_real = !platform::is_shared(&file);
                (file, is_real)
            }
            TryLock::Busy => return Ok(None),
            TryLock::Unavailable(file, error) => {
                let path = path.display();
                warn!(%path, %error, "the file system has no locks: two commands may do the same work at once");
                (file, false)
            }
        };
        // Only people read it: the lock does not depend on it.
        let _ = file
            .set_len(0)
            .and_then(|()| write!(file, "process {}", std::process::id()));
        Ok(Some(Self {
            file: Some(file),
            path: path.to_owned(),
            temporary,
            is_real,
            stand_in: None,
        }))
    }

    /// Takes what keeps others off for a moment where locks do not: a file that only one can create. One that is older than a
    /// change may take was left by a crash.
    fn stand_in(&mut self) -> Result<bool> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".held");
        let path = self.path.with_file_name(name);
        match File::create_new(&path) {
            Ok(_) => {
                self.stand_in = Some(path);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let made = fs::metadata(&path).and_then(|found| found.modified());
                if made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age > RECORD_LIMIT)) {
                    let _ = fs::remove_file(&path);
                }
                Ok(false)
            }
            Err(error) => Err(error).at("lock", &path),
        }
    }

    /// Waits for the lock, up to the limit if there is one, as for a short change. If the lock is not free, `waiting` is called
    /// once.
    pub(crate) fn acquire(
        path: &Path,
        temporary: bool,
        limit: Option<Duration>,
        cancel: &CancelToken,
        waiting: &dyn Fn(Option<String>),
    ) -> Result<Self> {
        let started = Instant::now();
        let mut wait = FIRST_WAIT;
        loop {
            if let Some(mut lock) = Self::try_acquire(path, temporary)?
                && (lock.is_real || limit.is_none() || lock.stand_in()?)
            {
                return Ok(lock);
            }
            if wait == FIRST_WAIT {
                waiting(holder(path));
            }
            let waited = started.elapsed();
            if limit.is_some_and(|limit| waited >= limit) {
                return Err(ErrorKind::Locked {
                    path: path.to_owned(),
                    holder: holder(path),
                    waited,
                }
                .into());
            }
            if cancel.wait(wait) {
                return Err(ErrorKind::Cancelled.into());
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

impl FileLock {
    /// Whether nobody else has it, which nobody knows without locks in the file system, or if they may not reach other machines.
    pub(crate) fn is_real(&self) -> bool {
        self.is_real
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        if let Some(stand_in) = &self.stand_in {
            let _ = fs::remove_file(stand_in);
        }
        if self.temporary && platform::UNLINKS_OPEN_FILES {
            // While it is held: who opens it from now on creates a new file, and who has it open sees that it is gone.
            let _ = fs::remove_file(&self.path);
        }
        drop(self.file.take());
        if self.temporary && !platform::UNLINKS_OPEN_FILES {
            // Fails while another has it open, who removes it in turn.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Reads who holds a lock.
pub(crate) fn holder(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    file.rewind().ok()?;
    let mut text = String::new();
    file.take(100).read_to_string(&mut text).ok()?;
    (!text.trim().is_empty()).then(|| text.trim().escape_debug().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_nothing_left_behind() {
        let path = std::env::temp_dir().join(format!("modelrack-lock-{}", std::process::id()));
        let total = std::sync::Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let _lock =
                            FileLock::acquire(&path, true, None, &CancelToken::new(), &|_| {})
                                .unwrap();
                        let mut alone = total.try_lock().expect("two hold the lock");
                        *alone += 1;
                    }
                });
            }
        });
        assert_eq!(*total.lock().unwrap(), 160);
        assert!(!path.exists());
    }

    #[test]
    fn without_locks_a_file_keeps_others_off_for_a_moment() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lock");
        let unreal = || FileLock {
            file: None,
            path: path.clone(),
            temporary: false,
            is_real: false,
            stand_in: None,
        };
        let (mut one, mut other) = (unreal(), unreal());
        assert!(one.stand_in().unwrap());
        assert!(!other.stand_in().unwrap());
        drop(one);
        assert!(other.stand_in().unwrap());
        // As if it had crashed.
        let left = other.stand_in.take().unwrap();
        assert!(!unreal().stand_in().unwrap());
        let old = std::time::SystemTime::now() - 2 * RECORD_LIMIT;
        let file = fs::OpenOptions::new().write(true).open(&left).unwrap();
        file.set_modified(old).unwrap();
        drop(file);
        assert!(!unreal().stand_in().unwrap(), "it is removed");
        assert!(unreal().stand_in().unwrap());
        assert!(!left.exists());
    }

    #[test]
    fn a_held_lock_names_its_holder() {
        let path = std::env::temp_dir().join(format!("modelrack-held-{}", std::process::id()));
        let held = FileLock::try_acquire(&path, false).unwrap().unwrap();
        let told = std::sync::Mutex::new(None);
        let error = FileLock::acquire(
            &path,
            false,
            Some(Duration::ZERO),
            &CancelToken::new(),
            &|holder| *told.lock().unwrap() = holder,
        )
        .unwrap_err();
        let expected = format!("process {}", std::process::id());
        assert_eq!(told.lock().unwrap().as_deref(), Some(expected.as_str()));
        assert!(
            matches!(error.kind(), ErrorKind::Locked { holder: Some(holder), .. } if *holder == expected),
            "{error:?}"
        );
        drop(held);
        assert!(FileLock::try_acquire(&path, true).unwrap().is_some());
    }
}
