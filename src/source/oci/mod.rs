//! Registries that speak the OCI distribution specification.

mod artifact;
mod platform;
mod wire;
