//! What a mirror has to tell.

use modelrack::mirror::{MirrorReport, MirrorState};

/// Nothing was fetched or written again.
#[track_caller]
pub(crate) fn assert_unchanged(report: &MirrorReport) {
    assert_eq!(report.versions[0].state, MirrorState::Unchanged);
    assert_eq!((report.bytes_fetched(), report.bytes_written()), (0, 0));
}
