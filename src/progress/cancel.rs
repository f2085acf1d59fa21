//! Cancelling.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{ErrorKind, Result};
use crate::mutex::{Condvar, Mutex};

/// Cancels an operation from another thread. Clones share their state.
///
/// ```
/// use modelrack::{CancelToken, Manager, PullOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let cancel = CancelToken::new();
/// let options = PullOptions::default().cancel(cancel.clone());
/// // In a handler of Ctrl-C, or when a window closes:
/// cancel.cancel();
///
/// let error = manager.pull(&"digits/logistic v1".parse()?, &options).unwrap_err();
/// assert!(error.is_cancelled());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A transport or a loop of an app's own waits on the token, or registers a callback:
///
/// ```
/// use std::time::Duration;
///
/// use modelrack::CancelToken;
///
/// let token = CancelToken::new();
/// assert!(!token.wait(Duration::from_millis(1)), "the time is over, and nobody cancelled");
/// token.on_cancel(|| println!("closing the connection"));
///
/// let child = token.child();
/// token.cancel();
/// assert!(child.is_cancelled() && child.wait(Duration::from_secs(60)));
/// assert!(child.check().is_err());
/// ```
#[derive(Clone, Default)]
pub struct CancelToken(Arc<CancelState>);

#[derive(Default)]
pub(crate) struct CancelState {
    cancelled: AtomicBool,
    callbacks: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    woken: Condvar,
    /// Tokens that are cancelled with this one.
    children: Mutex<Vec<std::sync::Weak<CancelState>>>,
}

impl CancelToken {
    /// Creates a token that is not cancelled; [`CancelToken`] has an example.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels this token, its clones and its children, for good. Operations that use it stop within a second.
    /// [`CancelToken`] has an example.
    pub fn cancel(&self) {
        Self::cancel_state(&self.0);
    }

    fn cancel_state(state: &CancelState) {
        let callbacks = {
            let mut callbacks = state.callbacks.lock();
            state.cancelled.store(true, Ordering::SeqCst);
            std::mem::take(&mut *callbacks)
        };
        state.woken.notify_all();
        for callback in callbacks {
            callback();
        }
        let children = std::mem::take(&mut *state.children.lock());
        for child in children.iter().filter_map(std::sync::Weak::upgrade) {
            Self::cancel_state(&child);
        }
    }

    /// Returns whether the token is cancelled; [`CancelToken`] has an example.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Returns [`ErrorKind::Cancelled`] if the token is cancelled, for use between the steps of longer
    /// work. [`CancelToken`] has an example.
    pub fn check(&self) -> Result<()> {
        match self.is_cancelled() {
            true => Err(ErrorKind::Cancelled.into()),
            false => Ok(()),
        }
    }

    /// Waits until the token is cancelled, for at most `time`, and returns whether it is cancelled. [`CancelToken`] has an
    /// example.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut guard = self.0.callbacks.lock();
        while !self.is_cancelled() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            guard = self.0.woken.wait_timeout(guard, left);
        }
        true
    }

    /// Runs a callback when the token is cancelled, or at once if it already is. A transport uses this to abort reads.
    /// [`CancelToken`] has an example.
    pub fn on_cancel(&self, callback: impl FnOnce() + Send + 'static) {
        let mut callbacks = self.0.callbacks.lock();
        if self.is_cancelled() {
            drop(callbacks);
            callback();
        } else {
            callbacks.push(Box::new(callback));
        }
    }

    /// Creates a token that is cancelled with this one, and can be cancelled without it. [`CancelToken`] has an example.
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Self::new();
        let mut children = self.0.children.lock();
        children.retain(|child| child.strong_count() > 0);
        children.push(Arc::downgrade(&child.0));
        drop(children);
        if self.is_cancelled() {
            child.cancel();
        }
        child
    }

    /// Returns a handle that tells whether any clone of this token is still in use.
    pub(crate) fn downgrade(&self) -> std::sync::Weak<CancelState> {
        Arc::downgrade(&self.0)
    }

    /// Returns whether the handle belongs to this token.
    pub(crate) fn is(&self, state: &std::sync::Weak<CancelState>) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.0), state.as_ptr())
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelling_wakes_and_calls_back_once() {
        let token = CancelToken::new();
        let (sender, receiver) = std::sync::mpsc::channel();
        token.on_cancel(move || sender.send(()).unwrap());
        let child = token.child();
        let waiter = std::thread::spawn({
            let child = child.clone();
            move || child.wait(Duration::from_secs(60))
        });
        token.cancel();
        token.cancel();
        assert!(waiter.join().unwrap());
        assert!(child.is_cancelled());
        receiver.recv().unwrap();
        assert!(receiver.recv().is_err());
    }

    #[test]
    fn a_cancelled_child_leaves_its_parent() {
        let token = CancelToken::new();
        token.child().cancel();
        assert!(!token.is_cancelled());
        assert!(!token.wait(Duration::ZERO));
    }
}
