//! Zips that are the same bytes each time.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::Tree;

/// A zip of files under any names, deflated, in the order given.
pub(crate) fn zip<N: AsRef<str>, B: AsRef<[u8]>>(files: &[(N, B)]) -> Vec<u8> {
    pack(files, CompressionMethod::Deflated)
}

/// A zip of files under any names, stored as they are, in the order given.
pub(crate) fn zip_stored<N: AsRef<str>, B: AsRef<[u8]>>(files: &[(N, B)]) -> Vec<u8> {
    pack(files, CompressionMethod::Stored)
}

/// A commit as `git archive` packs it: below one folder, folders with entries of their own, the commit's id as comment.
pub(super) fn archive(folder: &str, commit: &str, tree: &Tree) -> Vec<u8> {
    let mut entries = BTreeMap::from([(format!("{folder}/"), None)]);
    for (name, file) in tree {
        for (at, _) in name.match_indices('/') {
            entries.insert(format!("{folder}/{}", &name[..=at]), None);
        }
        entries.insert(format!("{folder}/{name}"), Some(&*file.bytes));
    }
    let entries = entries.iter().map(|(name, bytes)| (name.as_str(), *bytes));
    write(entries, CompressionMethod::Deflated, commit)
}

fn pack<N: AsRef<str>, B: AsRef<[u8]>>(files: &[(N, B)], method: CompressionMethod) -> Vec<u8> {
    let entries = files.iter();
    let entries = entries.map(|(name, bytes)| (name.as_ref(), Some(bytes.as_ref())));
    write(entries, method, "")
}

/// Writes files, and folders, which have no bytes.
fn write<'a>(
    entries: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
    method: CompressionMethod,
    comment: &str,
) -> Vec<u8> {
    let options = SimpleFileOptions::default().compression_method(method);
    // Not the present time, whatever features of the zip crate are on.
    let options = options.last_modified_time(DateTime::default());
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        match bytes {
            Some(bytes) => {
                zip.start_file(name, options).unwrap();
                zip.write_all(bytes).unwrap();
            }
            None => zip.add_directory(name, options).unwrap(),
        }
    }
    zip.set_comment(comment).unwrap();
    zip.finish().unwrap().into_inner()
}
