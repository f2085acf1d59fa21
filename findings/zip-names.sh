#!/bin/bash
# Guess:   `ZipArchive::by_name` looks names up in a hash table, so that a name that is not there costs what any costs.
# Truth:   It does so for names that are there. For one that is not, it decodes all names of the archive and compares
#          each: the archive may have it in code page 437. In 100,000 entries a miss takes thousands of times as long as
#          a hit; `index_for_name_raw` with the name's bytes looks only in the table.
# Version: zip 9.4.1 (Rust)
# Source:  src/read/zip_archive.rs, `index_for_name`
# Why:     A registry that names files which its archive does not have is common (renamed, left out, a wrong folder in
#          front). Asking for each of them makes opening an archive quadratic.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cargo init -q --name finding --vcs none
cargo add -q zip@=9.4.1 --no-default-features --features deflate-flate2-zlib-rs
cat > src/main.rs <<'RUST'
use std::hint::black_box;
use std::io::Cursor;
use std::time::{Duration, Instant};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

fn main() {
    const COUNT: u32 = 100_000;
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..COUNT {
        let name = format!("model/{number:06}.dat");
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
    }
    let archive = ZipArchive::new(writer.finish().unwrap()).unwrap();
    let time = |name: &dyn Fn(u32) -> String| -> Duration {
        let names: Vec<_> = (0..200).map(|number| name(number * 317)).collect();
        let started = Instant::now();
        for name in &names {
            black_box(archive.index_for_name(name));
        }
        started.elapsed() / 200
    };
    let there = time(&|number| format!("model/{number:06}.dat"));
    let missing = time(&|number| format!("other/{number:06}.dat"));
    println!("a name that is there: {there:?}, one that is not: {missing:?}");
    println!("a miss takes over 100 times as long: {}", missing > 100 * there);
}
RUST
cargo tree -q --depth 1
cargo run -q --release | tee seen
tail -n 1 seen | diff - <(echo "a miss takes over 100 times as long: true")
