#!/bin/bash
# Guess:   What `skopeo copy` takes, `skopeo inspect` describes: name, layers and annotations are in the manifest, whatever the
#          artifact is.
# Truth:   `inspect`, with and without `--config`, is for images only: it wants the configuration of an image, and says
#          "unsupported image-specific operation on artifact" to any other media type. `inspect --raw` prints the manifest, and
#          `copy` moves the artifact between registries and folders with its digest unchanged.
# Version: skopeo 1.9.3 of Debian 12
# Source:  containers/image, manifest/oci.go: `OCI1.Inspect` returns `NewNonImageArtifactError` unless the configuration has the
#          media type of an image
# Why:     A script that checks with `inspect` whether a tag is there takes every model for missing, right after copying it.
set -euo pipefail
command -v skopeo >/dev/null || { echo "skopeo is missing: apt-get install skopeo" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir -p layout/blobs/sha256
blob() {
    digest=$(printf %s "$2" | sha256sum | cut -d ' ' -f 1)
    printf %s "$2" > "layout/blobs/sha256/$digest"
    printf '{"mediaType": "%s", "digest": "sha256:%s", "size": %d}' "$1" "$digest" "${#2}"
}
oci=application/vnd.oci.image
model=application/vnd.cncf.model
config=$(blob $model.config.v1+json '{"descriptor": {"name": "tiny"}}')
layer=$(blob $model.weight.v1.raw weights)
manifest=$(blob $oci.manifest.v1+json "{\"schemaVersion\": 2, \"mediaType\": \"$oci.manifest.v1+json\",
    \"artifactType\": \"$model.manifest.v1+json\", \"config\": $config, \"layers\": [$layer]}")
echo '{"imageLayoutVersion": "1.0.0"}' > layout/oci-layout
echo "{\"schemaVersion\": 2, \"manifests\": [${manifest%\}}, \"annotations\": {\"org.opencontainers.image.ref.name\": \"v1\"}}]}" \
    > layout/index.json
see() { printf '%s: ' "$*"; "$@" >/dev/null 2>error && echo done || grep -o 'unsupported image-specific operation on artifact' error; }
skopeo --version
{
    see skopeo inspect oci:layout:v1
    see skopeo inspect --config oci:layout:v1
    see skopeo inspect --raw oci:layout:v1
    see skopeo copy oci:layout:v1 oci:copy:v1
} | tee seen
diff seen - <<'SEEN'
skopeo inspect oci:layout:v1: unsupported image-specific operation on artifact
skopeo inspect --config oci:layout:v1: unsupported image-specific operation on artifact
skopeo inspect --raw oci:layout:v1: done
skopeo copy oci:layout:v1 oci:copy:v1: done
SEEN
cmp layout/blobs/sha256/*"$(grep -o 'sha256:[0-9a-f]*' copy/index.json | cut -d : -f 2)" \
    copy/blobs/sha256/"$(grep -o 'sha256:[0-9a-f]*' copy/index.json | cut -d : -f 2)"
