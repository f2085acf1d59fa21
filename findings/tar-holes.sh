#!/bin/bash
# Guess:   `tar::Builder` with `HeaderMode::Deterministic` makes the same archive of the same bytes, and every reader of tar
#          reads it: owners and times are left out, and the files are plain.
# Truth:   What counts is also which zeros the file system stores. Since 0.4.42, on Linux, Android and FreeBSD, a file with holes
#          becomes an entry of GNU's sparse type, and a copy of it without holes, equal byte for byte, a plain one. Readers
#          differ: Python's `tarfile` knows the type, `tar` of npm leaves the file out and succeeds, and `tar-stream` returns
#          what is stored of it as if that were all. `Builder::sparse(false)` makes plain entries of both.
# Version: tar 0.4.46 (Rust); tar 7.5.23 and tar-stream 3.2.2 of npm; Python 3.11.7 (`tarfile`)
# Source:  tar, src/builder.rs, `find_sparse_entries`; node-tar, src/read-entry.ts: `ReadEntry` ignores every type that it does
#          not list, `SparseFile` among them; the OCI image specification, layer.md: "Sparse files SHOULD NOT be used"
# Why:     Downloads in ranges, preallocation and `cp` make and fill holes. A layer of the same weights has another digest on the
#          next machine, is stored and sent again, and a reader gets no file or a short one, without an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 --version
cargo init -q --name finding --vcs none
cargo add -q tar@=0.4.46
cat > src/main.rs <<'RUST'
use std::fs::File;

fn main() -> std::io::Result<()> {
    for folder in ["holes", "filled"] {
        let mut archive = tar::Builder::new(File::create(format!("{folder}.tar"))?);
        archive.mode(tar::HeaderMode::Deterministic);
        archive.append_path_with_name(format!("{folder}/weights"), "weights")?;
        archive.into_inner()?;
    }
    Ok(())
}
RUST
mkdir holes filled
truncate -s 1M holes/weights
printf 'weights' | dd of=holes/weights bs=1 seek=524288 conv=notrunc status=none
cp --sparse=never holes/weights filled/weights
cmp holes/weights filled/weights
[ "$(stat -c %b holes/weights)" -lt "$(stat -c %b filled/weights)" ] || { echo "no holes on this file system" >&2; exit 1; }
cargo run -q
npm init -y >/dev/null
npm install --silent --no-audit --no-fund tar@7.5.23 tar-stream@3.2.2
npm ls | grep tar
cat > read.py <<'PYTHON'
import sys, tarfile
print("tarfile", [(member.name, member.size) for member in tarfile.open(sys.argv[1])])
PYTHON
cat > read.mjs <<'JS'
import fs from 'node:fs'
import * as tar from 'tar'
import { extract } from 'tar-stream'

const archive = process.argv[2]
fs.mkdirSync('out')
await tar.extract({ file: archive, cwd: 'out', strict: true })
console.log('tar of npm', fs.readdirSync('out').map(name => [name, fs.statSync(`out/${name}`).size]))
fs.rmSync('out', { recursive: true })
const entries = fs.createReadStream(archive).pipe(extract())
for await (const entry of entries) {
  let length = 0
  for await (const bytes of entry) length += bytes.length
  console.log('tar-stream', [[entry.header.name, length < fs.statSync('filled/weights').size ? 'short' : length]])
}
JS
for name in holes filled; do
    echo "$name:"
    python3 read.py $name.tar
    node read.mjs $name.tar
done | tee seen
diff seen - <<'SEEN'
holes:
tarfile [('weights', 1048576)]
tar of npm []
tar-stream [ [ 'weights', 'short' ] ]
filled:
tarfile [('weights', 1048576)]
tar of npm [ [ 'weights', 1048576 ] ]
tar-stream [ [ 'weights', 1048576 ] ]
SEEN
