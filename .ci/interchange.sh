#!/usr/bin/env bash
# Artifacts go to other tools and come back: .ci/interchange.sh RACK, a build of the reference CLI
set -euo pipefail
rack=$(realpath "$1")
model=$(realpath "$(dirname "$0")/../examples/digits/v1")
folder=$(mktemp -d)
registry=
trap '[ -z "$registry" ] || kill "$registry"; rm -rf "$folder"' EXIT
cd "$folder"
cat > registry.yml <<'YAML'
version: 0.1
log: {level: info, formatter: text, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: data}}
http: {addr: "127.0.0.1:0", secret: s3cret}
YAML
: > registry.log
docker-registry serve registry.yml 2> registry.log &
registry=$!
for _ in $(seq 300); do
  host=$(grep -m 1 -o 'listening on [0-9.:]*' registry.log | cut -d ' ' -f 3) && [ -n "$host" ] && break
  sleep 0.1
done
[ -n "$host" ] || { cat registry.log >&2; exit 1; }

rack() { HOME="$folder/home" env -u XDG_DATA_HOME -u XDG_CONFIG_HOME -u XDG_CACHE_HOME "$rack" models "$@"; }
copy() { skopeo copy --quiet --src-tls-verify=false --dest-tls-verify=false "$1" "$2"; }
# Pulls into an empty store, so that nothing comes from there.
expect() {
  rm -rf home
  rack pull "$1" >/dev/null
  diff -r --exclude .rack "$model" "$(rack path "$1")"
  echo "$1 is the model"
}

rack registry publish "$model" --to "oci://$host/acme/digits:v1" --alias latest
expect "oci://$host/acme/digits:v1"
expect "oci://$host/acme/digits"
skopeo inspect --raw --tls-verify=false "docker://$host/acme/digits:v1" > manifest.json
expect "oci://$host/acme/digits@sha256:$(sha256sum manifest.json | cut -d ' ' -f 1)"

# What others copy is the same, and so it is by way of two kinds of folders.
copy "docker://$host/acme/digits:v1" "docker://$host/copied/digits:v1"
expect "oci://$host/copied/digits:v1"
copy "docker://$host/acme/digits:v1" "oci:layout:v1"
expect "oci-layout://$folder/layout:v1"
copy "docker://$host/acme/digits:v1" "dir:files"
for file in "$model"/*; do cmp "$file" "files/$(sha256sum "$file" | cut -d ' ' -f 1)"; done
copy "dir:files" "docker://$host/unpacked/digits:v1"
expect "oci://$host/unpacked/digits:v1"

# A layout of ours goes to a registry.
rack registry publish "$model" --to "oci-layout:ours:v2"
expect "oci-layout://$folder/ours:v2"
copy "oci:ours:v2" "docker://$host/back/digits:v2"
expect "oci://$host/back/digits:v2"

# Nothing is sent twice.
again=$(rack registry publish "$model" --to "oci://$host/back/digits:v2" --json)
grep -q '"chunks_written":0,"bytes_written":0' <<< "$again"

# The commands of the README, with this registry in place of the one they name.
readme=$(realpath "$model/../../..")/README.md
section=$(sed -n '/^### OCI registries/,/^## /p' "$readme" | sed "s,localhost:5000,$host,g")
rm -rf home layout
mkdir home
sed -n '/^```toml/,/^```$/{/^```/d;p}' <<< "$section" > home/models.toml
commands=$(sed -n '/^```sh/,/^```$/{/^```/d;p}' <<< "$section" | sed "s,examples/digits/v1,$model,; s, *#.*,,")
export RACK_MODELS_CONFIG="$folder/home/models.toml"
while read -r _ _ words; do
  # shellcheck disable=SC2086 # these are words
  rack $words </dev/null
done <<< "$commands"
[ "$(wc -l <<< "$commands")" -ge 5 ]
