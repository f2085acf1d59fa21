#!/bin/bash
# Guess:   `hf cache rm model/NAME` removes what was downloaded under that name: it lists the name, asks, and says that it did.
# Truth:   It looks up which commits the name has, and removes each of them from the first repository of the cache that has it.
#          A model that was renamed answers to both names, with the same commits, and has a folder in the cache for each: which
#          of the two goes is chance, from one call to the next. With both named, one stays, and two are reported as
#          deleted. `HFCacheInfo.delete_revisions` takes nothing but commits, so it cannot do better. Look at what is left
#          afterwards, or remove the folder `models--…` itself.
# Version: huggingface_hub 2.4.0
# Source:  huggingface_hub/cli/cache.py, the call of `delete_revisions`; utils/_cache_manager.py, `HFCacheInfo.delete_revisions`,
#          which forgets a commit once a repository had it
# Why:     Many of the oldest and most used models got an owner in front of their name, and programs still ask for both names.
#          Whoever tidies up the old name loses the files of the new one: on a machine without a network, for good.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q 'huggingface_hub==2.4.0'
venv/bin/pip list --format=freeze 2>&1 | grep '^huggingface_hub='
cat > rename.py <<'PYTHON'
import http.server, os, shutil, subprocess, sys, threading

class Hub(http.server.BaseHTTPRequestHandler):
    """A model that was renamed from `tiny` to `lab/tiny`."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body, headers, status = b"", {}, 404
        if self.path.startswith("/tiny/resolve/"):
            status, headers = 307, {"location": "/lab" + self.path}
        elif self.path.startswith("/lab/tiny/resolve/"):
            status, headers, body = 200, {"x-repo-commit": "c0ffee" * 6 + "cafe", "etag": '"0a0b0c"'}, b"{}"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
home = os.path.abspath("home")
os.environ.update(HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}", HF_HOME=home, HF_HUB_DISABLE_UPDATE_CHECK="1",
                  HF_HUB_DISABLE_TELEMETRY="1", NO_COLOR="1")

def hf(*arguments):
    command = [os.path.join(os.path.dirname(sys.executable), "hf"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout

def cached():
    return sorted(name for name in os.listdir("home/hub") if name.startswith("models--"))

def remove(*names):
    shutil.rmtree("home")
    shutil.copytree("before", "home", symlinks=True)
    said = hf("cache", "rm", "-y", *names)
    return next(line for line in said.splitlines() if "Deleted" in line)[2:]

for name in "tiny", "lab/tiny":
    hf("download", name, "config.json")
shutil.copytree("home", "before", symlinks=True)
print("cached:", *cached())
print(remove("model/tiny", "model/lab/tiny").split(";")[0], "of 2, left:", len(cached()))
left = []
for _ in range(16):
    assert "Deleted 1 repo(s)" in remove("model/tiny")
    left += cached()
print("16 times model/tiny was removed, left:", {name: left.count(name) for name in set(left)}, file=sys.stderr)
print("what was removed in its place:", "some" if "models--tiny" in left else "none")
PYTHON
env -u HF_TOKEN -u HF_HUB_CACHE -u HF_HUB_OFFLINE venv/bin/python rename.py | tee seen
diff seen - <<'SEEN'
cached: models--lab--tiny models--tiny
Deleted 2 repo(s) and 2 revision(s) of 2, left: 1
what was removed in its place: some
SEEN
