#!/bin/bash
# Guess:   `cargo test --no-default-features` tests the crate without its optional features.
# Truth:   A package that names itself in `[dev-dependencies]`, so that tests need no flags, turns those features on in its
#          own library for everything that is built with dev-dependencies: tests, examples, benchmarks. No flag turns them
#          off again. `cargo build --no-default-features` builds without them, so that this looks covered. Only another
#          package of the workspace, tested by itself (`-p`), can test the library without.
# Version: cargo 1.95.0
# Source:  The Cargo Book, "Features", section "Feature unification", and "Resolver version 2"
# Why:     The combination of features that most users build is the one that no test ever ran in.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir -p src tests outside/tests outside/src
cat > Cargo.toml <<'TOML'
[package]
name = "finding"
version = "1.0.0"
edition = "2024"

[workspace]
members = ["outside"]

[features]
extra = []

[dev-dependencies]
finding = { path = ".", features = ["extra"] }
TOML
cat > src/lib.rs <<'RUST'
pub const HAS_EXTRA: bool = cfg!(feature = "extra");
RUST
cat > src/main.rs <<'RUST'
fn main() {
    println!("built without tests: extra is {}", finding::HAS_EXTRA);
}
RUST
cat > tests/inside.rs <<'RUST'
#[test]
fn shown() {
    println!("tested by itself: extra is {}", finding::HAS_EXTRA);
}
RUST
cat > outside/Cargo.toml <<'TOML'
[package]
name = "outside"
version = "1.0.0"
edition = "2024"

[dev-dependencies]
finding = { path = "..", default-features = false }
TOML
touch outside/src/lib.rs
sed 's/by itself/from outside/' tests/inside.rs > outside/tests/outside.rs
cargo --version
{
    cargo run -q --no-default-features
    cargo test -q --no-default-features --test inside -- --nocapture | grep extra
    cargo test -q -p outside --test outside -- --nocapture | grep extra
} | tee seen
diff seen - <<'SEEN'
built without tests: extra is false
tested by itself: extra is true
tested from outside: extra is false
SEEN
