#!/bin/bash
# Guess:   `make_registry --path FOLDER` of modflow-devtools reads a folder and writes the registry of its models: a publisher
#          needs nothing but the folder.
# Truth:   It is a method of the object that serves models to users, whose constructor loads the registries that were synced
#          before. On a machine that has none, such as a fresh CI runner, it ends with "No model registries found in
#          cache". Sync any registry first, or set MODFLOW_DEVTOOLS_AUTO_SYNC, which downloads all that are configured.
# Version: modflow-devtools 1.9.2, Python 3.11 and later
# Source:  modflow_devtools/models/make_registry.py, the call of `get_default_registry`; modflow_devtools/models/__init__.py,
#          `PoochRegistry._load`
# Why:     Publishing depends on every configured host being up, and a publisher's first run fails with a hint for users.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q 'modflow-devtools[models,dfn]==1.9.2'
export HOME=$folder XDG_CACHE_HOME=$folder/cache
mkdir -p models/one
printf 'BEGIN options\nEND options\n' > models/one/mfsim.nam
venv/bin/pip list --format=freeze | grep modflow-devtools
if venv/bin/python -m modflow_devtools.models.make_registry \
    --path models --name ours --repo owner/name --ref main > output 2>&1; then
    echo "it wrote a registry" >> output
fi
tail -n 1 output | cut -d. -f1 | tee seen
diff seen - <<'SEEN'
RuntimeError: No model registries found in cache
SEEN
