//! The records at the end of an archive, which say where its directory is.

use std::ops::Range;

use super::number;
use crate::error::BoxError;

const END_SIGNATURE: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
/// The zip64 record of 56 bytes and its locator, which precede the end record in some archives.
const ZIP64_BYTES: usize = 56 + 20;
/// The size of the largest end. Readers search for it so far from the end of the file, whether its comment fills that, as
/// the format has it, or something that was appended, such as a line end or the zeros of a full block.
pub(super) const TAIL_BYTES: u64 = (ZIP64_BYTES + END_BYTES + 65_535) as u64;

/// The disks of the end and of the directory, entries on that disk and in all, size and offset of the directory.
const END_FIELDS: [Range<usize>; 6] = [4..6, 6..8, 8..10, 10..12, 12..16, 16..20];
/// The same in the zip64 record.
const ZIP64_FIELDS: [Range<usize>; 6] = [16..20, 20..24, 24..32, 32..40, 40..48, 48..56];

/// The largest directory that is read.
const MAX_DIRECTORY_BYTES: u64 = 64 << 20;
const MAX_ENTRIES: u64 = 1_000_000;

/// Reads how many entries the directory has and where it is, from the last [`TAIL_BYTES`] of an archive.
///
/// `tail_start` is the offset of these bytes.
pub(super) fn read(tail: &[u8], tail_start: u64) -> Result<(usize, Range<u64>), BoxError> {
    // Most readers take the last record whose comment fits, some one whose comment contains that.
    let mut ends = tail
        .windows(END_BYTES)
        .enumerate()
        .filter_map(|(at, record)| {
            let end = at + END_BYTES + number(&record[20..]) as usize;
            (record.starts_with(END_SIGNATURE) && end <= tail.len()).then_some((at, end))
        });
    let (mut at, _) = ends
        .next_back()
        .ok_or("it is not a zip archive, is truncated, or has more than 64 KiB after its end")?;
    if ends.any(|(_, end)| end > at) {
        return Err("it has two end records".into());
    }
    let mut values = END_FIELDS.map(|field| number(&tail[at..][field]));
    if let Some(zip64) = zip64_record(&tail[..at], tail_start)? {
        let wide = ZIP64_FIELDS.map(|field| number(&zip64[field]));
        for ((field, value), wide) in END_FIELDS.iter().zip(values).zip(wide) {
            let in_zip64 = (1 << (8 * field.len())) - 1;
            if value != wide && value != in_zip64 {
                return Err("its two end records contradict each other".into());
            }
        }
        values = wide;
        at -= ZIP64_BYTES;
    }
    let [disk, directory_disk, entries_on_disk, entries, bytes, start] = values;
    let end = tail_start + at as u64;
    let surplus = start.checked_add(bytes).and_then(|it| end.checked_sub(it));
    if disk != 0 || directory_disk != 0 || entries_on_disk != entries {
        Err("it is part of a multi-part archive".into())
    } else if surplus != Some(0) {
        let surplus = surplus.ok_or("its directory is not where its end record says")?;
        Err(format!("{surplus} bytes precede it that its end record does not count").into())
    } else if bytes > MAX_DIRECTORY_BYTES || entries > MAX_ENTRIES {
        Err("its directory is too large".into())
    } else {
        Ok((entries as usize, start..end))
    }
}

/// Returns the zip64 record and its locator if they are at the end of `before`.
///
/// Only encrypted directories have more data in the record; those are refused.
fn zip64_record(before: &[u8], tail_start: u64) -> Result<Option<&[u8]>, BoxError> {
    let records = before.last_chunk::<ZIP64_BYTES>();
    let Some(records) = records.filter(|records| records[56..].starts_with(b"PK\x06\x07")) else {
        return Ok(None);
    };
    let offset = tail_start + (before.len() - ZIP64_BYTES) as u64;
    let is_there = records.starts_with(b"PK\x06\x06")
        // The size excludes the signature and itself.
        && number(&records[4..12]) == 56 - 12
        && (number(&records[60..64]), number(&records[64..72])) == (0, offset)
        && number(&records[72..76]) <= 1;
    match is_there {
        true => Ok(Some(records)),
        false => Err("its zip64 record is not where the locator says".into()),
    }
}
