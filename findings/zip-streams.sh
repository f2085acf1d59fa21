#!/bin/bash
# Guess:   `read_zipfile_from_stream_with_compressed_size` of the zip crate reads a member whose sizes stand behind its
#          data, once it is told the size that the directory states: that is what the function is for.
# Truth:   It decodes all bytes and then fails with "Invalid checksum". Such a member's local header has a checksum of
#          zero, and the function takes that for the checksum. The checksum, too, has to come from the directory:
#          `read_zipfile_from_stream_with_options` with `override_compressed_size` and `override_crc`.
# Version: zip 9.4.1 (Rust)
# Source:  src/read/stream.rs, `read_zipfile_from_stream_with_options_internal`: of the fields that a data descriptor
#          makes up for, sizes are overridden or marked as unknown, the checksum is only overridden.
#          APPNOTE.TXT 4.4.4, bit 3: "the fields crc-32, compressed size and uncompressed size are set to zero".
# Why:     Writers that stream have data descriptors, and so have some that could seek: Java's jar writes one for each
#          file. Whoever fetches members over byte ranges has a stream and the directory, so just this function.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cargo init -q --name finding --vcs none
cargo add -q zip@=9.4.1 --no-default-features --features deflate-flate2-zlib-rs
cat > src/main.rs <<'RUST'
use std::io::{Cursor, Read, Write};
use zip::read::{read_zipfile_from_stream_with_compressed_size, read_zipfile_from_stream_with_options};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipReadOptions, ZipWriter};

fn text(mut file: impl Read) -> String {
    let mut text = String::new();
    let read = file.read_to_string(&mut text);
    read.map_or_else(|error| format!("error: {error}"), |_| text)
}

fn main() {
    let mut writer = ZipWriter::new_stream(Vec::new());
    writer.start_file("a.txt", SimpleFileOptions::default()).unwrap();
    writer.write_all(b"hello").unwrap();
    let archive = writer.finish().unwrap().into_inner();

    let mut directory = ZipArchive::new(Cursor::new(&archive)).unwrap();
    let (size, crc) = {
        let entry = directory.by_index_data(0).unwrap();
        (entry.compressed_size(), entry.crc32())
    };
    println!("as an archive: {}", text(directory.by_index(0).unwrap()));
    let mut stream = &archive[..];
    let file = read_zipfile_from_stream_with_compressed_size(&mut stream, size);
    println!("as a stream, with its size: {}", text(file.unwrap().unwrap()));
    let options = ZipReadOptions::new().override_compressed_size(size).override_crc(crc);
    let mut stream = &archive[..];
    let file = read_zipfile_from_stream_with_options(&mut stream, options);
    println!("as a stream, with its size and checksum: {}", text(file.unwrap().unwrap()));
}
RUST
cargo tree -q --depth 1
cargo run -q | tee seen
diff seen - <<'SEEN'
as an archive: hello
as a stream, with its size: error: Invalid checksum
as a stream, with its size and checksum: hello
SEEN
