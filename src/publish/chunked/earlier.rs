//! How a model was cut before.
//!
//! A new version shares with an earlier one what is cut in the same places. So unless somebody says how, a model that
//! was cut at equal distances is cut like that again, and files that have not changed keep their chunks.

use std::ops::Range;

use super::Chunking;
use super::content::Cutter;
use super::cuts::runs;
use super::models::Versions;
use super::published::Registry;
use super::stream::cut;
use crate::error::Result;
use crate::manifest::{Manifest, Part};
use crate::modelstoml::version;

impl Registry<'_> {
    /// Decides where a version is cut, given the manifest that it has so far, if it has one, and all versions of the model: as
    /// that is, else as the highest one is, else where the content says.
    pub(super) fn chunking_as_before(
        &self,
        current: Option<&Manifest>,
        versions: &Versions,
        chunk_bytes: u64,
    ) -> Result<Chunking> {
        let is_fixed = match current {
            Some(manifest) => is_cut_at_distances(manifest, chunk_bytes),
            None => {
                let versions_only = versions.iter().filter(|(_, it)| it.has("hash"));
                let names = versions_only.map(|(name, _)| name);
                let highest = names.max_by(|one, other| version::compare(one, other));
                let manifest = highest.map(|highest| self.manifest(versions, highest));
                let manifest = manifest.transpose()?.flatten();
                manifest.is_some_and(|it| is_cut_at_distances(&it, chunk_bytes))
            }
        };
        Ok(match is_fixed {
            true => Chunking::Fixed,
            false => Chunking::Content,
        })
    }
}

/// Whether files are cut at this distance, and not where their content says, as far as that can be told: a chunk begins where no
/// other cut would be but by chance.
fn is_cut_at_distances(manifest: &Manifest, chunk_bytes: u64) -> bool {
    let files = manifest.files();
    let sizes: Vec<u64> = files.iter().map(|it| it.size_bytes.unwrap_or(0)).collect();
    let chunks: Vec<Range<u64>> = manifest.parts().iter().map(Part::range).collect();
    let runs = runs(&sizes, Cutter::least_bytes(chunk_bytes));
    let begins: Vec<u64> = runs
        .iter()
        .map(|run| files[run.start].range().start)
        .collect();
    let is_within_run = |chunk: &Range<u64>| begins.binary_search(&chunk.start).is_err();
    chunks.iter().any(is_within_run) && chunks == cut(&sizes, chunk_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Checksum, Digest};
    use crate::manifest::ManifestFile;
    use crate::relpath::RelPath;

    fn manifest(sizes: &[u64], chunks: &[u64]) -> Manifest {
        let named = |(number, size): (usize, &u64)| ManifestFile {
            size_bytes: Some(*size),
            digest: Some(Checksum::Sha256(Digest::of(b"file"))),
            ..ManifestFile::new(RelPath::parse(&format!("{number:04}")).unwrap())
        };
        let files: Vec<_> = sizes.iter().enumerate().map(named).collect();
        let digest = |size: &u64| (*size, Digest::of(&size.to_le_bytes()));
        let chunks: Vec<_> = chunks.iter().map(digest).collect();
        Manifest::of_chunks(&files, &chunks, 4096).unwrap()
    }

    #[test]
    fn equal_distances_are_told_from_other_cuts() {
        for (sizes, chunks, is_fixed) in [
            (&[10_000][..], &[4096, 4096, 1808][..], true),
            (&[10_000], &[4096, 4100, 1804], false),
            (&[10_000], &[8192, 1808], false),
            // Small files that share chunks, and would be cut somewhere within.
            (&[1000; 9], &[4000, 4000, 1000], true),
            (&[1000; 9], &[4096, 4096, 808], false),
            // Where every file has its own chunk, or all share one, nothing tells.
            (&[3000, 4000, 2000], &[3000, 4000, 2000], false),
            (&[0, 500, 500, 0], &[1000], false),
            (&[0, 0], &[], false),
            (&[9000, 0, 10], &[4096, 4096, 808, 10], true),
        ] {
            let manifest = manifest(sizes, chunks);
            assert_eq!(
                is_cut_at_distances(&manifest, 4096),
                is_fixed,
                "{sizes:?} {chunks:?}"
            );
            assert!(!is_cut_at_distances(&manifest, 5000));
        }
    }
}
