#!/bin/bash
# Guess:   A GGUF file tells its byte order by its magic, as TIFF and ELF do, and how it is quantised by `general.file_type`,
#          which readers show.
# Truth:   The magic is "GGUF" in either order. Only the version tells: read in the wrong order, its lower half is 0. And the
#          library's writer adds no `general.file_type` unless it is asked to, so that a reader has to count the elements
#          of each type of tensor.
# Version: gguf 0.19.0, Python 3.11 and later
# Source:  gguf/gguf_reader.py, `GGUFReader.__init__`; gguf/gguf_writer.py, `GGUFWriter.add_file_type`
# Why:     A reader that compares the version with 3 refuses valid files as "version 50331648", and one that relies on the key
#          shows no quantisation for them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q 'gguf==0.19.0'
venv/bin/pip list --format=freeze 2>&1 | grep '^gguf='
cat > write.py <<'PYTHON'
import gguf, numpy
for name, order in [("little", gguf.GGUFEndian.LITTLE), ("big", gguf.GGUFEndian.BIG)]:
    writer = gguf.GGUFWriter(name, "llama", endianess=order)
    writer.add_tensor("a", numpy.ones((2, 32), dtype=numpy.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    begin = open(name, "rb").read(8)
    reader = gguf.GGUFReader(name)
    print(name, begin[:4], begin[4:].hex(), "general.file_type" in reader.fields, reader.tensors[0].tensor_type.name)
PYTHON
venv/bin/python write.py | tee seen
diff seen - <<'SEEN'
little b'GGUF' 03000000 False F16
big b'GGUF' 00000003 False F16
SEEN
