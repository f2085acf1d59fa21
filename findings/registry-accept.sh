#!/bin/bash
# Guess:   `GET /v2/NAME/manifests/TAG` returns the manifest of a tag that exists, and without an `Accept` header, any will do:
#          HTTP says so, and the specification of distribution only that clients should send one.
# Truth:   docker-registry says 404 "manifest unknown" to a tag that it lists, and that it serves to whoever accepts the media
#          type of the manifest. `Accept: */*` is no help. So a 404 says nothing about a tag unless the request named every type
#          that the tag may have: OCI's manifest and index, and both of Docker's.
# Version: docker-registry 2.8.2 of Debian 12
# Source:  distribution/distribution, registry/handlers/manifests.go, `GetManifest`: "OCI manifest found, but accept header
#          does not support OCI manifests" has the code of a manifest that is not there
# Why:     A check with curl, or with a client from before OCI's types, reports models as deleted.
set -euo pipefail
command -v docker-registry >/dev/null || { echo "docker-registry is missing: apt-get install docker-registry" >&2; exit 1; }
folder=$(mktemp -d)
registry=
trap '[ -z "$registry" ] || kill "$registry"; rm -rf "$folder"' EXIT
cd "$folder"
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
oci=application/vnd.oci.image.manifest.v1+json
digest=sha256:$(printf '{}' | sha256sum | cut -d ' ' -f 1)
location=$(curl -sSi -X POST "http://$host/v2/tiny/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //p')
curl -sSf -X PUT -H 'content-type: application/octet-stream' -d '{}' "$location&digest=$digest"
empty="{\"mediaType\": \"application/vnd.oci.empty.v1+json\", \"digest\": \"$digest\", \"size\": 2}"
curl -sSf -X PUT -H "content-type: $oci" "http://$host/v2/tiny/manifests/v1" \
    -d "{\"schemaVersion\": 2, \"mediaType\": \"$oci\", \"config\": $empty, \"layers\": [$empty]}"
docker-registry --version
see() { printf '%s: ' "$1"; curl -sS -o /dev/null -w '%{http_code}\n' -H "$1" "http://$host/v2/tiny/manifests/v1"; }
{
    curl -sS "http://$host/v2/tiny/tags/list"
    see 'accept:'
    see 'accept: */*'
    see 'accept: application/vnd.docker.distribution.manifest.v2+json'
    see "accept: $oci"
} | tee seen
diff seen - <<SEEN
{"name":"tiny","tags":["v1"]}
accept:: 404
accept: */*: 404
accept: application/vnd.docker.distribution.manifest.v2+json: 404
accept: $oci: 200
SEEN
