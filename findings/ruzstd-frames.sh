#!/bin/bash
# Guess:   A streaming decoder of Zstandard reads what `zstd -d` reads: one frame or several, and frames that are to be skipped.
# Truth:   `StreamingDecoder` is the decoder of one frame. What follows is not read, and nothing says so: reading ends as at
#          the end of a file. With a skippable frame in front, which `pzstd` and container tools write, it cannot even be made.
#          Read several in a loop around `FrameDecoder`, and skip what its error `SkipFrame` measures.
# Version: ruzstd 0.9.1, zstd 1.5
# Source:  ruzstd/src/decoding/streaming_decoder.rs, `Read for StreamingDecoder`; RFC 8878, section 3: a stream is one or more
#          frames
# Why:     Layers of images and artifacts, and everything that was appended to or compressed in parallel, is cut short without
#          an error; only a digest of what comes out would tell.
set -euo pipefail
command -v zstd >/dev/null || { echo "zstd is missing: install it first" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
zstd --version
printf 'first ' | zstd -q > two.zst
printf 'second' | zstd -q >> two.zst
# The magic of a skippable frame, its length, and its content.
printf '\x50\x2a\x4d\x18\x04\x00\x00\x00skip' > skippable.zst
printf 'content' | zstd -q >> skippable.zst
cargo init -q --name finding --vcs none
cargo add -q ruzstd@=0.9.1 --no-default-features --features std
cat > src/main.rs <<'RUST'
use std::io::Read;
use ruzstd::decoding::StreamingDecoder;

fn main() {
    for name in ["two.zst", "skippable.zst"] {
        let file = std::fs::File::open(name).unwrap();
        match StreamingDecoder::new(file) {
            Ok(mut decoder) => {
                let mut text = String::new();
                decoder.read_to_string(&mut text).unwrap();
                println!("{name}: '{text}'");
            }
            Err(error) => println!("{name}: an error of SkipFrame: {}", format!("{error:?}").contains("SkipFrame")),
        }
    }
}
RUST
cargo run -q | tee seen
for file in two.zst skippable.zst; do echo "zstd, $file: '$(zstd -dcq "$file")'"; done | tee -a seen
diff seen - <<'SEEN'
two.zst: 'first '
skippable.zst: an error of SkipFrame: true
zstd, two.zst: 'first second'
zstd, skippable.zst: 'content'
SEEN
