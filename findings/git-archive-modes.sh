#!/bin/bash
# Guess:   The zip of a repository, as `git archive` makes it and hosts serve it, has a Unix mode for each file.
# Truth:   Only for executables and links. A plain file says that it was made on MS-DOS and has no attributes at all:
#          `external_attr >> 16` is 0, with which `chmod` makes a file that nobody can read.
# Version: git 2.47.3, Python 3.11.7 (`zipfile`)
# Source:  archive-zip.c in git, `write_zip_entry`: `creator_version` and `attr2` are set for links and executables
# Why:     Tools restore modes so, from a recipe that is all over the web, because `ZipFile.extractall` does not. It works
#          with the archives of other writers, and with those of git for the few files that someone tries first: scripts.
#          A reader that refuses what is not a regular file has to take a missing mode for one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
git --version
python3 --version
git init -q models
cd models
echo "a model" > plain.txt
echo "#!/bin/sh" > run.sh
chmod +x run.sh
git add .
git -c user.name=finding -c user.email=finding@example.com commit -q -m "A model"
git archive --format=zip -o ../models.zip HEAD
cd ..
python3 - <<'PYTHON' | tee seen
import zipfile

with zipfile.ZipFile("models.zip") as archive:
    for entry in archive.infolist():
        system = {0: "MS-DOS", 3: "Unix"}[entry.create_system]
        print(f"{entry.filename}: made on {system}, mode {entry.external_attr >> 16:o}")
PYTHON
diff seen - <<'SEEN'
plain.txt: made on MS-DOS, mode 0
run.sh: made on Unix, mode 100755
SEEN
