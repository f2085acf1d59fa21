//! One file of an archive, as the directory describes it.

use std::ops::Range;

use super::{ENCRYPTED, Fields, LOCAL_HEADER_BYTES};

const ENTRY_SIGNATURE: [u8; 4] = *b"PK\x01\x02";
/// What stands in an entry where its zip64 field has the value.
const IN_ZIP64: u32 = u32::MAX;
const ZIP64_FIELD: u16 = 0x0001;
/// Deflate makes at most 258 bytes of two bits.
const MAX_DEFLATE_RATIO: u64 = 1032;
/// The type of a file in its Unix mode, and that of a regular one; zero when the archive was made elsewhere.
const MODE_TYPE: u32 = 0o170_000;
const MODE_REGULAR: u32 = 0o100_000;

/// How the bytes of a member are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// As they are.
    Stored,
    /// Compressed, by RFC 1951.
    Deflated,
}

impl Method {
    /// Reads it as the format numbers it; `None` when it is another.
    pub(super) fn parse(number: u16) -> Option<Self> {
        match number {
            0 => Some(Self::Stored),
            8 => Some(Self::Deflated),
            _ => None,
        }
    }
}

/// A file of an archive.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The name, with `/` between components; as the archive has it, so hostile.
    pub(crate) name: String,
    /// The number of bytes that it holds.
    pub(crate) size_bytes: u64,
    /// The number of bytes in the archive that they are made from.
    pub(crate) compressed_bytes: u64,
    pub(super) crc32: u32,
    pub(super) method: Method,
    pub(super) header_offset: u64,
    /// Where it ends at the latest.
    pub(super) end: u64,
    /// Why it cannot be read.
    pub(super) fault: Option<&'static str>,
}

impl Member {
    /// Returns the bytes of the archive that hold it, from its local header on.
    ///
    /// Its data may end earlier: how long the local header is, is known once it is read.
    pub(crate) fn range(&self) -> Range<u64> {
        self.header_offset..self.end
    }

    /// Reads the next entry of the directory. The member ends as if its local header had no extra field.
    pub(super) fn parse(fields: &mut Fields<'_>) -> Result<Self, &'static str> {
        let entry = Entry::parse(fields).ok_or("has a malformed or missing entry")?;
        let (size_bytes, compressed_bytes, header_offset) = entry
            .places()
            .ok_or("has an entry without the zip64 values that it needs")?;
        if entry.disk != 0 {
            return Err("is one part of several");
        }
        let end = (LOCAL_HEADER_BYTES + entry.name.len() as u64)
            .checked_add(compressed_bytes)
            .and_then(|bytes| header_offset.checked_add(bytes))
            .ok_or("has members that lie outside it")?;
        let method = Method::parse(entry.method);
        Ok(Self {
            name: String::from_utf8_lossy(entry.name).into_owned(),
            size_bytes,
            compressed_bytes,
            crc32: entry.crc32,
            method: method.unwrap_or(Method::Stored),
            header_offset,
            end,
            fault: entry
                .fault()
                .or_else(|| size_fault(method, size_bytes, compressed_bytes)),
        })
    }
}

/// Why a member cannot be read that is stored in such a way and has such sizes.
fn size_fault(method: Option<Method>, size: u64, compressed: u64) -> Option<&'static str> {
    let possible = match method {
        None => return Some("has a compression other than deflate"),
        Some(Method::Stored) => size == compressed,
        Some(Method::Deflated) => size <= compressed.saturating_mul(MAX_DEFLATE_RATIO),
    };
    (!possible).then_some("has sizes that cannot be")
}

/// An entry of the directory; only what is read of it.
struct Entry<'a> {
    flags: u16,
    method: u16,
    crc32: u32,
    compressed_bytes: u32,
    size_bytes: u32,
    disk: u16,
    /// The upper half is the Unix mode.
    attributes: u32,
    header_offset: u32,
    name: &'a [u8],
    extra: &'a [u8],
}

impl<'a> Entry<'a> {
    fn parse(fields: &mut Fields<'a>) -> Option<Self> {
        fields.signature(ENTRY_SIGNATURE)?;
        let _versions = fields.u32()?;
        let (flags, method, _time) = (fields.u16()?, fields.u16()?, fields.u32()?);
        let (crc32, compressed_bytes, size_bytes) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let lengths = [fields.u16()?, fields.u16()?, fields.u16()?].map(usize::from);
        let (disk, _text) = (fields.u16()?, fields.u16()?);
        let (attributes, header_offset) = (fields.u32()?, fields.u32()?);
        let [name, extra, comment] = lengths;
        let (name, extra, _comment) = (
            fields.bytes(name)?,
            fields.bytes(extra)?,
            fields.bytes(comment)?,
        );
        Some(Self {
            flags,
            method,
            crc32,
            compressed_bytes,
            size_bytes,
            disk,
            attributes,
            header_offset,
            name,
            extra,
        })
    }

    /// Returns size, compressed size and place of the header, each from the zip64 field where the entry says so.
    fn places(&self) -> Option<(u64, u64, u64)> {
        let mut zip64 = Fields(self.zip64().unwrap_or_default());
        let mut value = |value: u32| match value {
            IN_ZIP64 => zip64.u64(),
            value => Some(value.into()),
        };
        Some((
            value(self.size_bytes)?,
            value(self.compressed_bytes)?,
            value(self.header_offset)?,
        ))
    }

    /// Returns the first zip64 field of the extra ones.
    fn zip64(&self) -> Option<&'a [u8]> {
        let mut extra = Fields(self.extra);
        loop {
            let (id, length) = (extra.u16()?, extra.u16()?);
            let field = extra.bytes(length.into())?;
            if id == ZIP64_FIELD {
                return Some(field);
            }
        }
    }

    fn fault(&self) -> Option<&'static str> {
        let file_type = self.attributes >> 16 & MODE_TYPE;
        if file_type != 0 && file_type != MODE_REGULAR {
            Some("is a link, or something else that is no regular file")
        } else if self.flags & ENCRYPTED != 0 {
            Some("is encrypted")
        } else if std::str::from_utf8(self.name).is_err() {
            Some("has a name that is not UTF-8")
        } else {
            None
        }
    }
}
