//! Counting what several threads have done of a step.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::{CancelToken, Progress, Silent, Step};
use crate::error::Result;

/// A step that several threads take together, which is followed and can be cancelled.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    step: Step<'a>,
    total: AtomicU64,
    done: AtomicU64,
    bytes: AtomicU64,
    is_shown: AtomicBool,
    progress: &'a dyn Progress,
    pub(crate) cancel: &'a CancelToken,
}

impl<'a> Tally<'a> {
    /// Begins a step of which nothing is done.
    pub(crate) fn new(
        step: Step<'a>,
        progress: Option<&'a dyn Progress>,
        cancel: &'a CancelToken,
    ) -> Self {
        let tally = Self::beside(step, progress, cancel);
        tally.show();
        tally
    }

    /// Begins a step beside another, which alone is followed until this one is [shown](Self::show).
    pub(crate) fn beside(
        step: Step<'a>,
        progress: Option<&'a dyn Progress>,
        cancel: &'a CancelToken,
    ) -> Self {
        Self {
            step,
            total: AtomicU64::new(step.total),
            done: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            is_shown: AtomicBool::new(false),
            progress: progress.unwrap_or(&Silent),
            cancel,
        }
    }

    /// Lets the step be followed from now on.
    pub(crate) fn show(&self) {
        self.is_shown.store(true, Relaxed);
        self.report();
    }

    /// Tells how many things there are, where that was not known.
    pub(crate) fn expect(&self, total: u64) {
        self.total.store(total, Relaxed);
        self.report();
    }

    /// Counts bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub(crate) fn advance(&self, bytes: usize) -> Result<()> {
        self.bytes.fetch_add(bytes as u64, Relaxed);
        self.report();
        self.cancel.check()
    }

    /// Counts one of the things.
    pub(crate) fn complete(&self) {
        self.done.fetch_add(1, Relaxed);
        self.report();
    }

    fn report(&self) {
        if !self.is_shown.load(Relaxed) {
            return;
        }
        self.progress.on_step(&Step {
            total: self.total.load(Relaxed),
            done: self.done.load(Relaxed),
            bytes_done: self.bytes.load(Relaxed),
            ..self.step
        });
    }
}

/// How far one thing has come that may begin again: each of its bytes is counted once.
#[derive(Debug)]
pub(crate) struct Reached<'a> {
    tally: &'a Tally<'a>,
    /// How many of its bytes are counted: the first ones.
    counted: AtomicU64,
}

impl<'a> Reached<'a> {
    pub(crate) fn nothing(tally: &'a Tally<'a>) -> Self {
        Self {
            tally,
            counted: AtomicU64::new(0),
        }
    }

    /// Counts all bytes before this one.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub(crate) fn reach(&self, at: u64) -> Result<()> {
        let before = self.counted.fetch_max(at, Relaxed);
        let bytes = usize::try_from(at.saturating_sub(before));
        self.tally.advance(bytes.unwrap_or(usize::MAX))
    }
}
