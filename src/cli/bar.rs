//! What a progress bar says.

use std::time::Duration;

use super::render::{count, duration, size};
use crate::progress::{Phase, TransferState};

/// Returns whether a pull waits for an archive that is downloaded as a whole.
pub(super) fn is_archive(transferred: &TransferState) -> bool {
    transferred.phase == Phase::Manifest && transferred.files_total == 0
}

/// Returns whether files are counted, since their sizes are not known yet.
fn counts_files(transferred: &TransferState) -> bool {
    transferred.phase == Phase::Manifest && transferred.files_total > 0
}

/// Returns how much is done: of the bytes, or of the files while the number of bytes is unknown.
pub(super) fn percent(transferred: &TransferState) -> u64 {
    let received = transferred.bytes_done + transferred.bytes_in_flight;
    let (done, total) = match counts_files(transferred) {
        true => (transferred.files_done, transferred.files_total),
        false => (received, transferred.total_bytes),
    };
    let percent = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
    u64::try_from(percent).unwrap_or(100)
}

/// Returns the bytes a second over the network, and how long the rest takes at that speed.
fn speed(transferred: &TransferState, elapsed: Duration) -> (u64, Option<Duration>) {
    let left = transferred
        .total_bytes
        .checked_sub(transferred.bytes_done + transferred.bytes_in_flight)
        .filter(|_| transferred.phase != Phase::Manifest || transferred.total_bytes > 0);
    let millis = elapsed.as_millis().max(1);
    let speed =
        u64::try_from(u128::from(transferred.bytes_network) * 1000 / millis).unwrap_or(u64::MAX);
    let seconds = left.and_then(|left| left.checked_div(speed));
    (speed, seconds.map(Duration::from_secs))
}

/// `Downloading [======>     ] 45% (5.2 MB/s, elapsed: 30s, remaining: 2m 15s)`, as wide as the terminal allows.
pub(super) fn bar(transferred: &TransferState, elapsed: Duration, width: usize) -> String {
    let (speed, left) = speed(transferred, elapsed);
    let percent = percent(transferred);
    let verb = match transferred.phase {
        Phase::Extracting => "Installing",
        _ => "Downloading",
    };
    let left = left.map_or_else(|| "?".to_owned(), duration);
    let tail = format!(
        "{percent:>3}% ({}/s, elapsed: {}, remaining: {left})",
        size(speed),
        duration(elapsed)
    );
    let room = width.saturating_sub(verb.len() + tail.len() + 4).min(40);
    if room < 5 {
        return format!("{verb} {tail}");
    }
    let filled = usize::try_from(percent).unwrap_or(100) * room / 100;
    let mut cells = "=".repeat(filled);
    if filled < room {
        cells.push('>');
    }
    format!("{verb} [{cells:room$}] {tail}")
}

/// `45% of 858.0 MB (5.2 MB/s, elapsed: 30s, remaining: 2m 15s)`
pub(super) fn plain(transferred: &TransferState, elapsed: Duration) -> String {
    let (speed, left) = speed(transferred, elapsed);
    let left = left.map(|left| format!(", remaining: {}", duration(left)));
    let total = match transferred.total_bytes {
        _ if counts_files(transferred) => count(transferred.files_total, "file"),
        // Servers do not always state the size of an archive.
        0 if is_archive(transferred) => "?".to_owned(),
        bytes => size(bytes),
    };
    format!(
        "{}% of {total} ({}/s, elapsed: {}{})",
        percent(transferred),
        size(speed),
        duration(elapsed),
        left.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transferred(total: u64, done: u64, network: u64) -> TransferState {
        let mut transferred = TransferState::new(Phase::Chunks);
        transferred.total_bytes = total;
        transferred.bytes_done = done;
        transferred.bytes_network = network;
        transferred
    }

    #[test]
    fn a_bar_says_share_speed_and_times() {
        let line = bar(
            &transferred(858_000_000, 156_000_000, 156_000_000),
            Duration::from_secs(30),
            120,
        );
        assert_eq!(
            line,
            "Downloading [=======>                                ]  18% (5.2 MB/s, elapsed: 30s, remaining: 2m 15s)"
        );
        for width in [60, 79, 200] {
            let line = bar(&transferred(100, 50, 50), Duration::from_secs(1), width);
            assert!(line.len() <= width, "{line}");
        }
        assert!(bar(&transferred(0, 0, 0), Duration::from_secs(1), 80).contains("0%"));
        assert!(bar(&transferred(10, 10, 0), Duration::ZERO, 80).contains("100%"));
    }

    #[test]
    fn files_count_while_their_sizes_are_not_known() {
        let mut learning = TransferState::new(Phase::Manifest);
        (learning.files_total, learning.files_done) = (200, 50);
        learning.bytes_network = 1000;
        let (second, line) = (
            Duration::from_secs(1),
            bar(&learning, Duration::from_secs(1), 120),
        );
        assert!(
            line.ends_with("25% (1.0 KB/s, elapsed: 1s, remaining: ?)"),
            "{line}"
        );
        assert_eq!(
            plain(&learning, second),
            "25% of 200 files (1.0 KB/s, elapsed: 1s)"
        );
    }

    #[test]
    fn a_line_says_the_same() {
        assert_eq!(
            plain(&transferred(1000, 500, 500), Duration::from_secs(2)),
            "50% of 1.0 KB (250 B/s, elapsed: 2s, remaining: 2s)"
        );
    }
}
