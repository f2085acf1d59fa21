//! Archives that say whatever a test wants them to say.

use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// The bits of a member that a test changes; the rest is right.
#[derive(Clone)]
pub(super) struct Forged {
    pub(super) name: Vec<u8>,
    pub(super) method: u16,
    pub(super) flags: u16,
    pub(super) crc32: u32,
    pub(super) size: u32,
    pub(super) compressed: u32,
    pub(super) disk: u16,
    pub(super) mode: u32,
    /// Where the directory says that the member is, instead of where it is.
    pub(super) offset: Option<u32>,
    pub(super) extra: Vec<u8>,
    pub(super) local_name: Vec<u8>,
    pub(super) local_method: u16,
    pub(super) local_flags: u16,
    pub(super) local_extra: Vec<u8>,
    /// What the local header says, instead of how long the extra field is.
    pub(super) local_extra_bytes: Option<u16>,
    pub(super) data: Vec<u8>,
}

pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("", SimpleFileOptions::default()).unwrap();
    writer.write_all(bytes).unwrap();
    let mut archive = ZipArchive::new(writer.finish().unwrap()).unwrap();
    let mut deflated = Vec::new();
    let mut member = archive.by_index_raw(0).unwrap();
    member.read_to_end(&mut deflated).unwrap();
    deflated
}

impl Forged {
    fn new(name: &str, method: u16, bytes: &[u8], data: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            method,
            flags: 0,
            crc32: crc32fast::hash(bytes),
            size: u32::try_from(bytes.len()).unwrap(),
            compressed: u32::try_from(data.len()).unwrap(),
            disk: 0,
            mode: 0o100_644,
            offset: None,
            extra: Vec::new(),
            local_name: name.into(),
            local_method: method,
            local_flags: 0,
            local_extra: Vec::new(),
            local_extra_bytes: None,
            data,
        }
    }

    pub(super) fn stored(name: &str, bytes: &[u8]) -> Self {
        Self::new(name, 0, bytes, bytes.to_vec())
    }

    pub(super) fn deflated(name: &str, bytes: &[u8]) -> Self {
        Self::new(name, 8, bytes, deflate(bytes))
    }

    /// Changes it.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn write_local(&self, archive: &mut Vec<u8>) {
        archive.extend(b"PK\x03\x04\x14\x00");
        push16(archive, &[self.local_flags, self.local_method, 0, 0]);
        push32(archive, &[self.crc32, self.compressed, self.size]);
        let extra_bytes = self.local_extra_bytes.unwrap_or(length(&self.local_extra));
        push16(archive, &[length(&self.local_name), extra_bytes]);
        archive.extend([&self.local_name[..], &self.local_extra, &self.data].concat());
    }

    fn write_entry(&self, directory: &mut Vec<u8>, offset: u32) {
        directory.extend(b"PK\x01\x02\x14\x03\x14\x00");
        push16(directory, &[self.flags, self.method, 0, 0]);
        push32(directory, &[self.crc32, self.compressed, self.size]);
        push16(directory, &[length(&self.name), length(&self.extra)]);
        push16(directory, &[0, self.disk, 0]);
        push32(directory, &[self.mode << 16, self.offset.unwrap_or(offset)]);
        directory.extend([&self.name[..], &self.extra].concat());
    }
}

fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap()
}

fn push16(bytes: &mut Vec<u8>, values: &[u16]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn push32(bytes: &mut Vec<u8>, values: &[u32]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// Makes an archive of members, and a comment at its end.
pub(super) fn archive(members: &[Forged], comment: &[u8]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let offset = u32::try_from(archive.len()).unwrap();
        member.write_local(&mut archive);
        member.write_entry(&mut directory, offset);
    }
    let start = u32::try_from(archive.len()).unwrap();
    archive.extend(&directory);
    archive.extend(end(
        u16::try_from(members.len()).unwrap(),
        u32::try_from(directory.len()).unwrap(),
        start,
        comment,
    ));
    archive
}

/// Makes an end record.
pub(super) fn end(entries: u16, bytes: u32, start: u32, comment: &[u8]) -> Vec<u8> {
    let mut end = b"PK\x05\x06".to_vec();
    push16(&mut end, &[0, 0, entries, entries]);
    push32(&mut end, &[bytes, start]);
    push16(&mut end, &[length(comment)]);
    end.extend(comment);
    end
}

/// Changes bytes of an end record without comment: `at` counts from where it begins.
pub(super) fn patch_end(mut archive: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    let at = archive.len() - 22 + at;
    archive[at..at + bytes.len()].copy_from_slice(bytes);
    archive
}

/// Moves what the end record says to a zip64 record; `change` gets that record and its locator.
pub(super) fn to_zip64(mut archive: Vec<u8>, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let end = archive.split_off(archive.len() - 22);
    let field = |at: usize, count: usize| {
        let mut wide = [0; 8];
        wide[..count].copy_from_slice(&end[at..at + count]);
        wide
    };
    let mut records = b"PK\x06\x06".to_vec();
    records.extend(44_u64.to_le_bytes());
    records.extend([0; 12]);
    for (at, count) in [(8, 2), (10, 2), (12, 4), (16, 4)] {
        records.extend(field(at, count));
    }
    records.extend(b"PK\x06\x07\0\0\0\0");
    records.extend((archive.len() as u64).to_le_bytes());
    records.extend(1_u32.to_le_bytes());
    change(&mut records);
    archive.extend(records);
    archive.extend(end);
    patch_end(archive, 8, &[0xff; 12])
}
