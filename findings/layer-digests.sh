#!/bin/bash
# Guess:   A tool that fixes what `tar` records of a file, such as its owner or its time, makes the same layer of the same weights
#          each time and everywhere: what else would it be for?
# Truth:   Each fixes a part. olot sets ids and mode, but keeps the time of each file, which is that of its download or checkout.
#          oras-py sets the times, of its gzip too, but keeps ids and mode, which are those of a machine and its umask. Both keep
#          the name of the user. Set time, ids, names and mode of what is packed, or push files as they are. What olot writes
#          into `olot.layer.content.digest` is the file's own digest, and stays.
# Version: olot 1.2.1 and oras 0.2.43 of PyPI
# Source:  olot/utils/files.py, `tar_filter_fn` and `tarball_from_file`; oras/utils/fileio.py, `make_targz`, "Make a reproducible
#          (no mtime) targz", and `reset`
# Why:     A pipeline that builds the same model again gets another digest, and no error. Tens of gigabytes are pushed, kept
#          and pulled by each node once more, and a signature or a pin of the digest no longer holds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q olot==1.2.1 oras==0.2.43
venv/bin/pip list --format=freeze 2>&1 | grep -E '^(olot|oras)='
cat > pack.py <<'PYTHON'
import hashlib, os, pathlib, pwd, tarfile
import olot.utils.files, oras.utils

def olot_layer():
    stats = olot.utils.files.tarball_from_file(pathlib.Path("model/weights"), pathlib.Path("layers"))
    own.add(stats.input_hash)
    return "layers/" + stats.layer_digest

def oras_layer():
    return oras.utils.make_targz("model", "layer.tar.gz")

def packed(pack, seconds, mode):
    weights = pathlib.Path("model/weights")
    weights.chmod(mode)
    for path in weights, weights.parent:
        os.utime(path, (seconds, seconds))
    layer = pack()
    with tarfile.open(layer) as archive:
        member = next(member for member in archive if member.name.endswith("weights"))
    return hashlib.sha256(pathlib.Path(layer).read_bytes()).hexdigest(), member

os.makedirs("model")
pathlib.Path("model/weights").write_bytes(b"weights")
own = set()
user = pwd.getpwuid(os.getuid()).pw_name
for name, pack in ("olot", olot_layer), ("oras", oras_layer):
    first, member = packed(pack, 1_700_000_000, 0o644)
    changes = {"again": (1_700_000_000, 0o644), "a day later": (1_700_086_400, 0o644), "another umask": (1_700_000_000, 0o600)}
    digests = {change: packed(pack, *how)[0] for change, how in changes.items()}
    print(f"{name}:", ", ".join(f"{change}: {'same' if digest == first else 'another'}" for change, digest in digests.items()))
    print(f"{name}: has the name of the user: {member.uname == user}")
print("olot: digests of the file itself:", len(own))
PYTHON
venv/bin/python pack.py | tee seen
diff seen - <<'SEEN'
olot: again: same, a day later: another, another umask: same
olot: has the name of the user: True
oras: again: same, a day later: same, another umask: another
oras: has the name of the user: True
olot: digests of the file itself: 1
SEEN
