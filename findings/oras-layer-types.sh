#!/bin/bash
# Guess:   A layer of the type `application/vnd.oci.image.layer.v1.tar` is a tar: that is what the specification of images says.
# Truth:   What `oras push FILE` sends without a type is called so, and is the file itself, byte for byte. A folder is a tar, called
#          `…tar+gzip`. The tool in Go says what to unpack by an annotation, `io.deis.oras.content.unpack`, and unpacks nothing
#          else; that in Python writes no such annotation, and unpacks by the type. Who goes by the type alone unpacks weights,
#          and who goes by the annotation alone gets the Python tool's folders as archives.
# Version: oras 0.2.43 of PyPI (the tool in Go, 1.3.3, does the same), docker-registry 2.8.2 of Debian 12
# Source:  oras-py, oras/defaults.py, `default_blob_media_type`; oras, `cmd/oras/internal/option/packer.go` and oras-go's
#          `content/file`, where the default of a file is the type of an image's layer
# Why:     Registries are full of models that were pushed in one line, each with a type that says something else.
set -euo pipefail
command -v docker-registry >/dev/null || { echo "docker-registry is missing: apt-get install docker-registry" >&2; exit 1; }
folder=$(mktemp -d)
registry=
trap '[ -z "$registry" ] || kill "$registry"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install oras==0.2.43
cat > config.yml <<'YAML'
version: 0.1
log: {level: info, formatter: text, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: data}}
http: {addr: "127.0.0.1:0", secret: s}
YAML
: > log
docker-registry serve config.yml 2> log &
registry=$!
until host=$(grep -m 1 -o 'listening on [0-9.:]*' log | cut -d ' ' -f 3) && [ -n "$host" ]; do sleep 0.1; done
mkdir tokenizer
echo weights > model.gguf
echo '{}' > tokenizer/vocab.json
docker-registry --version
venv/bin/pip list 2>/dev/null | grep '^oras'
venv/bin/python - "$host" <<'PYTHON' | tee seen
import io, sys, tarfile
import oras.client
client = oras.client.OrasClient(insecure=True)
name = sys.argv[1] + "/tiny:v1"
client.push(target=name, files=["model.gguf", "tokenizer"])
for layer in client.get_manifest(name)["layers"]:
    blob = client.get_blob(name, layer["digest"]).content
    try:
        tarfile.open(fileobj=io.BytesIO(blob))
        what = "a tar"
    except tarfile.TarError:
        what = repr(blob)
    notes = sorted(layer["annotations"])
    print(notes, layer["mediaType"], "is", what)
client.pull(target=name, outdir="pulled")
PYTHON
find pulled -type f | sort | tee -a seen
diff seen - <<'SEEN'
['org.opencontainers.image.title'] application/vnd.oci.image.layer.v1.tar is b'weights\n'
['org.opencontainers.image.title'] application/vnd.oci.image.layer.v1.tar+gzip is a tar
pulled/model.gguf
pulled/tokenizer/vocab.json
SEEN
