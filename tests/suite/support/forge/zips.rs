//! Zips that are the same bytes each time.

use std::collections::BTreeSet;
use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::repository::Tree;

/// A zip of files under any names, deflated, in the order given.
pub(crate) fn zip<N: AsRef<str>, B: AsRef<[u8]>>(files: &[(N, B)]) -> Vec<u8> {
    pack(files, CompressionMethod::Deflated)
}

/// A zip of files under any names, stored as they are, in the order given.
pub(crate) fn zip_stored<N: AsRef<str>, B: AsRef<[u8]>>(files: &[(N, B)]) -> Vec<u8> {
    pack(files, CompressionMethod::Stored)
}

/// A commit as `git archive` packs it: below one folder, folders with entries of their own, the hash as comment.
pub(super) fn archive(folder: &str, commit: &str, tree: &Tree) -> Vec<u8> {
    let mut names = BTreeSet::from([format!("{folder}/")]);
    for name in tree.keys() {
        let parents = name.match_indices('/').map(|(at, _)| &name[..=at]);
        names.extend(parents.map(|parent| format!("{folder}/{parent}")));
        names.insert(format!("{folder}/{name}"));
    }
    let mut writer = Writer::new(CompressionMethod::Deflated);
    for name in names {
        let file = name
            .strip_prefix(folder)
            .and_then(|name| tree.get(&name[1..]));
        match file {
            Some(blob) => writer.file(&name, &blob.bytes),
            None => writer.folder(&name),
        }
    }
    writer.zip.set_comment(commit).unwrap();
    writer.finish()
}

fn pack<N: AsRef<str>, B: AsRef<[u8]>>(files: &[(N, B)], method: CompressionMethod) -> Vec<u8> {
    let mut writer = Writer::new(method);
    for (name, bytes) in files {
        writer.file(name.as_ref(), bytes.as_ref());
    }
    writer.finish()
}

struct Writer {
    zip: ZipWriter<Cursor<Vec<u8>>>,
    options: SimpleFileOptions,
}

impl Writer {
    fn new(method: CompressionMethod) -> Self {
        let options = SimpleFileOptions::default()
            .compression_method(method)
            // Whatever features of the zip crate are on: not now.
            .last_modified_time(DateTime::default());
        Self {
            zip: ZipWriter::new(Cursor::new(Vec::new())),
            options,
        }
    }

    fn file(&mut self, name: &str, bytes: &[u8]) {
        self.zip.start_file(name, self.options).unwrap();
        self.zip.write_all(bytes).unwrap();
    }

    fn folder(&mut self, name: &str) {
        self.zip.add_directory(name, self.options).unwrap();
    }

    fn finish(self) -> Vec<u8> {
        self.zip.finish().unwrap().into_inner()
    }
}
