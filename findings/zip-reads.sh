#!/bin/bash
# Guess:   `ZipArchive::new` over a reader of byte ranges asks twice: for the end of the archive, then for its directory.
# Truth:   It reads each entry with a call for the fixed fields, one for the name and one for the extra field, if there
#          is any: 1,000 entries are 2,003 calls of 30 bytes on average, each of which would be a request. What stands
#          between the crate and the network has to hold the bytes around a range: the last 64 KiB of the archive, and
#          from the first place in front of them on, all that is left of the directory.
# Version: zip 9.4.1 (Rust)
# Source:  src/read/zip_archive.rs, `read_central_header`; src/format/blocks.rs, `FixedSizeBlock::parse`
# Why:     The type is generic over `Read + Seek`, so a reader that sends a request for each call looks like all that
#          one model out of a large release needs. It works, with a thousand times the requests.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cargo init -q --name finding --vcs none
cargo add -q zip@=9.4.1 --no-default-features --features deflate-flate2-zlib-rs
cat > src/main.rs <<'RUST'
use std::cell::Cell;
use std::io::{Cursor, Read, Result, Seek, SeekFrom, Write};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// Counts the calls that read, and the bytes.
struct Counting<'a> {
    archive: Cursor<Vec<u8>>,
    reads: &'a Cell<usize>,
    bytes: &'a Cell<usize>,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.archive.read(buffer)?;
        self.reads.set(self.reads.get() + 1);
        self.bytes.set(self.bytes.get() + count);
        Ok(count)
    }
}

impl Seek for Counting<'_> {
    fn seek(&mut self, position: SeekFrom) -> Result<u64> {
        self.archive.seek(position)
    }
}

fn main() {
    for count in [10, 1000] {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for number in 0..count {
            let name = format!("model/{number:04}.dat");
            writer.start_file(name, SimpleFileOptions::default()).unwrap();
            writer.write_all(b"hello").unwrap();
        }
        let (reads, bytes) = (Cell::new(0), Cell::new(0));
        let archive = writer.finish().unwrap();
        let counting = Counting { archive, reads: &reads, bytes: &bytes };
        let mut archive = ZipArchive::new(counting).unwrap();
        println!("{count} entries: {} reads of {} bytes", reads.get(), bytes.get());
        reads.set(0);
        let mut member = archive.by_index(count / 2).unwrap();
        std::io::copy(&mut member, &mut std::io::sink()).unwrap();
        println!("  one member of them: {} reads", reads.get());
    }
}
RUST
cargo tree -q --depth 1
cargo run -q | tee seen
diff seen - <<'SEEN'
10 entries: 23 reads of 1650 bytes
  one member of them: 2 reads
1000 entries: 2003 reads of 61050 bytes
  one member of them: 2 reads
SEEN
