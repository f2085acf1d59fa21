//! The records at the end of an archive, which say where its directory is.

use super::Fields;

const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const END_BYTES: usize = 22;
const ZIP64_SIGNATURE: [u8; 4] = *b"PK\x06\x06";
const ZIP64_BYTES: usize = 56;
const LOCATOR_SIGNATURE: [u8; 4] = *b"PK\x06\x07";
const LOCATOR_BYTES: usize = 20;

/// How much of an archive's end holds these records for certain: the last has a comment of up to 65,535 bytes.
pub(super) const TAIL_BYTES: u64 = (ZIP64_BYTES + LOCATOR_BYTES + END_BYTES + 65_535) as u64;
/// The largest directory that is read, in bytes.
const MAX_DIRECTORY_BYTES: u64 = 64 << 20;
/// The most members that an archive may have.
const MAX_ENTRIES: u64 = 1_000_000;
/// An entry of the directory has at least so many bytes.
const MIN_ENTRY_BYTES: u64 = 46;

/// What stands in the end record where the zip64 record has the value.
const IN_ZIP64: [u64; 6] = [0xffff, 0xffff, 0xffff, 0xffff, 0xffff_ffff, 0xffff_ffff];

/// Where the directory is and what it holds.
pub(super) struct End {
    pub(super) entries: usize,
    /// Where the directory begins in the archive.
    pub(super) directory_start: u64,
    pub(super) directory_bytes: usize,
    /// Where the directory ends in the tail that was read.
    pub(super) tail_index: usize,
}

/// The disks of the end and of the directory, entries on that disk and in all, bytes of the directory and its offset.
type Values = [u64; 6];

impl End {
    /// Reads the records from the last bytes of an archive, [`TAIL_BYTES`] or all; `tail_start` is where they begin.
    pub(super) fn read(tail: &[u8], tail_start: u64) -> Result<Self, &'static str> {
        let record = find(tail)?;
        let values = end_values(&tail[record..]).ok_or("is cut short")?;
        let (values, tail_index) = match find_locator(tail, record) {
            None => (values, record),
            Some(locator) => {
                let (wide, zip64) = zip64_values(tail, locator, tail_start)
                    .ok_or("has a zip64 record that is not where its locator says")?;
                let agree = |((value, wide), escape)| value == wide || value == escape;
                if !values.into_iter().zip(wide).zip(IN_ZIP64).all(agree) {
                    return Err("has two end records that contradict each other");
                }
                (wide, zip64)
            }
        };
        let [disk, directory_disk, entries_on_disk, entries, bytes, start] = values;
        if disk != 0 || directory_disk != 0 || entries_on_disk != entries {
            return Err("is one part of several");
        }
        if start.checked_add(bytes) != Some(tail_start + tail_index as u64) {
            return Err("has no directory where its end says");
        }
        if bytes > MAX_DIRECTORY_BYTES || entries > MAX_ENTRIES {
            return Err("has too large a directory");
        }
        if entries > bytes / MIN_ENTRY_BYTES {
            return Err("has fewer entries than its end says");
        }
        let too_large = |_| "has too large a directory";
        Ok(Self {
            entries: usize::try_from(entries).map_err(too_large)?,
            directory_start: start,
            directory_bytes: usize::try_from(bytes).map_err(too_large)?,
            tail_index,
        })
    }
}

/// Finds the one end record whose comment goes to the end of the archive.
///
/// Another signature may stand in the comment, but not with a comment of its own that ends there too.
fn find(tail: &[u8]) -> Result<usize, &'static str> {
    let mut found = tail.windows(END_BYTES).enumerate().filter(|(at, record)| {
        let comment_bytes = usize::from(u16::from_le_bytes([record[20], record[21]]));
        record.starts_with(&END_SIGNATURE) && at + END_BYTES + comment_bytes == tail.len()
    });
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Ok(at),
        (Some(_), Some(_)) => Err("has two ends"),
        (None, _) => Err("is no zip archive, or is cut short"),
    }
}

fn end_values(record: &[u8]) -> Option<Values> {
    let mut fields = Fields(record);
    fields.signature(END_SIGNATURE)?;
    Some([
        fields.u16()?.into(),
        fields.u16()?.into(),
        fields.u16()?.into(),
        fields.u16()?.into(),
        fields.u32()?.into(),
        fields.u32()?.into(),
    ])
}

/// Finds the locator of the zip64 record, which stands before the end record.
fn find_locator(tail: &[u8], record: usize) -> Option<usize> {
    let locator = record.checked_sub(LOCATOR_BYTES)?;
    tail[locator..]
        .starts_with(&LOCATOR_SIGNATURE)
        .then_some(locator)
}

/// Reads the zip64 record that stands before its locator, and says where that is.
///
/// There may be data behind the fields for directories that are encrypted; those are not read anyway.
fn zip64_values(tail: &[u8], locator: usize, tail_start: u64) -> Option<(Values, usize)> {
    let record = locator.checked_sub(ZIP64_BYTES)?;
    let mut fields = Fields(&tail[locator..]);
    fields.signature(LOCATOR_SIGNATURE)?;
    let (disk, offset, disks) = (fields.u32()?, fields.u64()?, fields.u32()?);
    if disk != 0 || disks > 1 || offset != tail_start + record as u64 {
        return None;
    }
    let mut fields = Fields(&tail[record..locator]);
    fields.signature(ZIP64_SIGNATURE)?;
    // The size counts from behind itself.
    if fields.u64()? != ZIP64_BYTES as u64 - 12 {
        return None;
    }
    let _versions = fields.u32()?;
    let values = [
        fields.u32()?.into(),
        fields.u32()?.into(),
        fields.u64()?,
        fields.u64()?,
        fields.u64()?,
        fields.u64()?,
    ];
    Some((values, record))
}
