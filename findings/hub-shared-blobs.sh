#!/bin/bash
# Guess:   In the cache of huggingface_hub, `models--OWNER--NAME` is all there is of a model: it can be copied to another machine
#          with its links, and `hf cache rm` frees what it says. The layout is a contract between programs and versions.
# Truth:   Since 1.32, what comes over Xet, as most weights do, is in `blobs/` of the cache itself, and a model's own blobs are
#          links to there. A folder that is copied alone has links to nothing. A version from before follows them too: it removes
#          links, reports their bytes as freed, once for each model that shares them, and finds nothing left to prune. Copy
#          with `cp -L` or the whole cache, prune with the newest version, or set `HF_HUB_DISABLE_SHARED_BLOBS=1`.
# Version: huggingface_hub 2.4.0 and 1.31.0
# Source:  huggingface_hub/utils/_shared_blobs.py, `publish_blob_to_shared_store`; utils/_cache_manager.py of 1.31.0,
#          `_scan_cached_repo`, which takes the size of what a link leads to
# Why:     Images are built, and networks without a way out are supplied, by copying one folder. And a machine has a version for
#          each environment: whoever makes room with an old one sees success, an empty list, and a full disk.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 1.31.0 2.4.0; do
    python3 -m venv $version
    $version/bin/pip install -q "huggingface_hub==$version"
    $version/bin/pip list --format=freeze 2>&1 | grep '^huggingface_hub='
done
cat > download.py <<'PYTHON'
import http.server, os, threading

SIZE = 8 << 20

class Hub(http.server.BaseHTTPRequestHandler):
    """Has the same weights in every model, over Xet."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200 if "/resolve/" in self.path else 404)
        self.send_header("x-repo-commit", self.path[1:9].encode().hex().ljust(40, "0"))
        self.send_header("x-linked-etag", '"' + "e" * 64 + '"')
        self.send_header("x-linked-size", str(SIZE))
        self.send_header("x-xet-hash", "ab" * 32)
        self.send_header("x-xet-refresh-route", "/token")
        self.send_header("content-length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"

import huggingface_hub.file_download as download
# What the server of Xet would send.
download.xet_get = lambda *, incomplete_path, **_: incomplete_path.write_bytes(b"w" * SIZE)
for model in "lab/one", "lab/two":
    download.hf_hub_download(model, "model.safetensors")
PYTHON
unset HF_HUB_CACHE HF_HUB_OFFLINE TRANSFORMERS_OFFLINE HF_HUB_DISABLE_XET HF_HUB_DISABLE_SHARED_BLOBS
export HF_HOME=$folder/home HF_ENDPOINT=http://127.0.0.1:9 HF_HUB_DISABLE_UPDATE_CHECK=1 HF_HUB_DISABLE_TELEMETRY=1 NO_COLOR=1
2.4.0/bin/python download.py
used() {
    find home/hub -type f -size +1M -printf '%s\n' | awk '{ sum += $1 } END { printf "weights: %.1fM\n", sum / 1e6 }'
}
said() { "$@" 2>/dev/null | grep -oE 'freed [0-9.]+M|No results found|[Nn]othing to prune'; }
{
    used
    cp -a home/hub/models--lab--one copy
    find copy/snapshots -name '*.safetensors' | while read -r file; do
        [ -e "$file" ] && echo "the copy of a model has its weights" || echo "the copy of a model has a link to nothing"
    done
    for version in 1.31.0 2.4.0; do
        echo "$version:"
        [ $version = 2.4.0 ] || said $version/bin/hf cache rm -y model/lab/one model/lab/two
        said $version/bin/hf cache ls
        said $version/bin/hf cache prune -y
        used
    done
} | tee seen
diff seen - <<'SEEN'
weights: 8.4M
the copy of a model has a link to nothing
1.31.0:
freed 16.8M
No results found
Nothing to prune
weights: 8.4M
2.4.0:
No results found
freed 8.4M
weights: 0.0M
SEEN
