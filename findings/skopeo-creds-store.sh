#!/bin/bash
# Guess:   A tool that reads Docker's `config.json` finds there what `docker login` stored: it runs the program of `credsStore`,
#          as it does those of `credHelpers`, and takes `username` and `password` where there is no `auth`, as other tools do.
# Truth:   skopeo, as podman and buildah with the same library, runs programs of `credHelpers` only. `credsStore` has no effect
#          and is not mentioned, and so are `username` and `password`: requests go out without credentials, and a private
#          registry says "unauthorized". Whoever reads the same file for others has to know both keys, and may not conclude
#          from the one tool that a login is there for the other.
# Version: skopeo 1.9.3 of Debian 12
# Source:  containers/image, pkg/docker/config/config.go: `dockerConfigFile` has no field for `credsStore`, and
#          `dockerAuthConfig` none for user and password
# Why:     Docker Desktop writes `credsStore` everywhere, so a machine where `docker pull` works may fail with podman, and the
#          error names a password that nobody entered.
set -euo pipefail
command -v skopeo >/dev/null || { echo "skopeo is missing: apt-get install skopeo" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir -p bin home/.docker run
cat > bin/docker-credential-test <<'HELPER'
#!/bin/sh
echo '{"ServerURL": "registry.example", "Username": "ada", "Secret": "s3cret"}'
HELPER
chmod +x bin/docker-credential-test
see() {
    echo "$1" > home/.docker/config.json
    printf '%s: ' "$1"
    env -i HOME="$folder/home" XDG_RUNTIME_DIR="$folder/run" PATH="$folder/bin:/usr/bin:/bin" \
        skopeo login --get-login registry.example 2>/dev/null || echo "not logged in"
}
skopeo --version
{
    see '{"credHelpers": {"registry.example": "test"}}'
    see '{"credsStore": "test"}'
    see '{"auths": {"registry.example": {"auth": "YWRhOnMzY3JldA=="}}}'
    see '{"auths": {"registry.example": {"username": "ada", "password": "s3cret"}}}'
} | tee seen
diff seen - <<'SEEN'
{"credHelpers": {"registry.example": "test"}}: ada
{"credsStore": "test"}: not logged in
{"auths": {"registry.example": {"auth": "YWRhOnMzY3JldA=="}}}: ada
{"auths": {"registry.example": {"username": "ada", "password": "s3cret"}}}: not logged in
SEEN
