#!/bin/bash
# Guess:   Each shard of a split GGUF file can be read by itself: what is shared, such as the vocabulary, is in the first one, and
#          what it takes to find the tensors of a shard is in its own header.
# Truth:   `general.alignment` is in the first shard only, and counts for all of them. The others are padded by it and do not
#          say so; a reader takes 32, which the format says for files without the key, looks for the tensors too early, and
#          returns padding or another tensor's bytes, without an error. That is what the library does with its own shards.
#          Take the alignment of the first shard for all, or write `general.alignment` into each.
# Version: gguf 0.19.0, Python 3.11 and later
# Source:  gguf/gguf_writer.py, `GGUFWriter.add_key_value` and `add_shard_kv_data`: shards from the second on get nothing but
#          `split.*`, while `write_padding` takes `data_alignment` in each; gguf/gguf_reader.py, `GGUFReader.__init__`
# Why:     Files are aligned to pages for storage that reads past the cache, and split because they are large. Who checks or
#          loads shards in parallel gets zeros for weights, in the right shape, from files whose digests are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q 'gguf==0.19.0'
venv/bin/pip list --format=freeze 2>&1 | grep '^gguf='
cat > split.py <<'PYTHON'
import glob, gguf, numpy

for alignment in None, 4096:
    writer = gguf.GGUFWriter(f"aligned-{alignment}.gguf", "llama", split_max_tensors=2)
    if alignment:
        writer.add_custom_alignment(alignment)
    for value, name in enumerate("abcd", start=1):
        writer.add_tensor(name, numpy.full(1024, value, dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for shard in sorted(glob.glob(f"aligned-{alignment}-*.gguf")):
        reader = gguf.GGUFReader(shard)
        keys = [key for key in reader.fields if key.startswith("general.")]
        values = [f"{tensor.name} from {tensor.data[0]:g} to {tensor.data[-1]:g}" for tensor in reader.tensors]
        print(f"{shard}: {', '.join(keys) or 'no general.* keys'}; {', '.join(values)}")
PYTHON
venv/bin/python split.py | tee seen
diff seen - <<'SEEN'
aligned-None-00001-of-00002.gguf: general.architecture; a from 1 to 1, b from 2 to 2
aligned-None-00002-of-00002.gguf: no general.* keys; c from 3 to 3, d from 4 to 4
aligned-4096-00001-of-00002.gguf: general.architecture, general.alignment; a from 1 to 1, b from 2 to 2
aligned-4096-00002-of-00002.gguf: no general.* keys; c from 0 to 3, d from 3 to 4
SEEN
