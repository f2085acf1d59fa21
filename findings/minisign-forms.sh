#!/bin/bash
# Guess:   Both ways of py-minisign to sign make the same kind of signature, that of the file's digest, as minisign does
#          since 0.8; a verifier that streams can read either.
# Truth:   `SecretKey.sign(bytes)` signs the digest (algorithm "ED"), `SecretKey.sign_file(path)` the bytes themselves
#          (algorithm "Ed", the form from before): the default of `prehash` differs. minisign verifies both without a word,
#          but `minisign -H` and verifiers that stream refuse the latter. Pass `prehash=True`, and verify both.
# Version: py-minisign 0.21.1, minisign 0.11
# Source:  minisign/secret_key.py, `SecretKey.sign` and `SecretKey.sign_file`; minisign.c, `verify`
# Why:     Whoever moves from signing bytes to signing files makes signatures that a strict consumer takes for wrong, though
#          minisign itself accepts them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v minisign >/dev/null || { echo "install minisign 0.11" >&2; exit 1; }
python3 -m venv venv
venv/bin/pip -q install py-minisign==0.21.1
venv/bin/pip list 2>/dev/null | grep minisign
minisign -v
printf 'hello\n' > file
venv/bin/python -c '
import minisign
keys = minisign.KeyPair.generate()
open("key", "wb").write(bytes(keys.public_key))
open("of-bytes", "wb").write(bytes(keys.secret_key.sign(open("file", "rb").read())))
open("of-file", "wb").write(bytes(keys.secret_key.sign_file("file")))'
for signature in of-bytes of-file; do
    form=$(sed -n 2p $signature | base64 -d | head -c 2)
    accepts() { minisign -V "$@" -q -p key -m file -x $signature >/dev/null 2>&1 && echo yes || echo no; }
    echo "$signature: $form, verified: $(accepts), with -H: $(accepts -H)"
done | tee seen
diff seen - <<'SEEN'
of-bytes: ED, verified: yes, with -H: yes
of-file: Ed, verified: yes, with -H: no
SEEN
