//! The flags that say how a registry is cut into chunks, for all commands that write one.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, value_parser};

use super::args::{flag, is_set, option, text, value};
use crate::mirror::{Chunking, DEFAULT_CHUNK_BYTES, PublishTarget};
use crate::quantity::ByteSize;
use crate::{Error, Result};

const CHUNK_SIZE: &str = "modelrack_chunk-size";
const CHUNKING: &str = "modelrack_chunking";
const SHARDS: &str = "modelrack_shards";

/// How a registry is to be cut into chunks.
#[derive(Debug)]
pub(super) struct ChunkFlags {
    pub(super) chunk_bytes: u64,
    /// `None` if that is not said.
    pub(super) chunking: Option<Chunking>,
    /// Whether the index is put into parts.
    pub(super) shards: bool,
}

/// Creates the flags; their help is the command's own.
pub(super) fn flags(size: &'static str, how: &'static str, shards: &'static str) -> [Arg; 3] {
    [
        option(CHUNK_SIZE, "SIZE")
            .help(size)
            .default_value("8MiB")
            .value_parser(value_parser!(ByteSize)),
        option(CHUNKING, "HOW")
            .help(how)
            .value_parser(Chunking::ALL.map(|(_, name)| name)),
        flag(SHARDS).help(shards),
    ]
}

/// Reads the flags; refuses those that say nothing about artifacts.
pub(super) fn read(matches: &ArgMatches, to: &PublishTarget) -> Result<ChunkFlags> {
    let is_given = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let given = [CHUNK_SIZE, CHUNKING, SHARDS].into_iter();
    if let Some(id) = given.filter(|_| !to.is_chunked()).find(is_given) {
        let flag = id.trim_start_matches(super::args::PREFIX);
        return Err(Error::argument(format!(
            "--{flag} is for chunked registries: an artifact has a layer for each file"
        )));
    }
    let chunk_bytes = value(matches, CHUNK_SIZE);
    let chunking = text(matches, CHUNKING).and_then(|name| name.parse().ok());
    Ok(ChunkFlags {
        chunk_bytes: chunk_bytes.map_or(DEFAULT_CHUNK_BYTES, |ByteSize(bytes)| *bytes),
        chunking,
        shards: is_set(matches, SHARDS),
    })
}
