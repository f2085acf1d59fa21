//! Layers that are tars, as files that a pull unpacks.
//!
//! Until it is unpacked, such a layer is a file like any other: its digest and size are known, so it is resumed, verified and
//! taken from this machine in the same way. What is in it is relative to the folder that it is in.

use std::collections::BTreeSet;

use super::{ArchiveLayer, Compression};
use crate::manifest::{ArchiveFormat, ManifestFile, RelPath};
use crate::relpath::below;

/// How much of a digest is in the name of a layer: as much as container tools show.
const SHOWN_DIGITS: usize = 12;

/// Returns the layers as files, in order; the same tar twice in one folder is one.
pub(super) fn files(layers: &[ArchiveLayer]) -> Result<Vec<ManifestFile>, String> {
    let mut seen = BTreeSet::new();
    let new = layers
        .iter()
        .filter(|it| seen.insert((&it.folder, it.digest)));
    new.map(file).collect()
}

fn file(layer: &ArchiveLayer) -> Result<ManifestFile, String> {
    let (archive, extension) = match layer.compression {
        Compression::None => (ArchiveFormat::Tar, "tar"),
        Compression::Gzip => (ArchiveFormat::TarGzip, "tar.gz"),
        Compression::Zstd => (ArchiveFormat::TarZstd, "tar.zst"),
    };
    let digits = format!("{:.SHOWN_DIGITS$}", layer.digest);
    let path = RelPath::parse(&below(
        &layer.folder,
        &format!("layer-{digits}.{extension}"),
    ));
    Ok(ManifestFile {
        size_bytes: Some(layer.size_bytes),
        digest: Some(layer.digest.into()),
        archive: Some(archive),
        ..ManifestFile::new(path.map_err(|error| error.to_string())?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_tar_is_a_file_in_the_folder_that_it_unpacks_to() {
        let layer = |content: &str, folder: &str, compression| ArchiveLayer {
            digest: Digest::of(content.as_bytes()),
            size_bytes: content.len() as u64,
            compression,
            folder: folder.to_owned(),
        };
        let layers = [
            layer("weights", "", Compression::None),
            layer("docs", "docs/en", Compression::Gzip),
            layer("docs", "docs/de", Compression::Gzip),
            layer("code", "", Compression::Zstd),
            layer("weights", "", Compression::None),
        ];
        let files = files(&layers).unwrap();
        let shown = files.iter().map(|file| {
            assert!(file.digest.is_some());
            let format = file.archive.unwrap();
            format!("{} {} {format}", file.path, file.size_bytes.unwrap())
        });
        let expected = [
            "layer-9a129038d9a0.tar 7 tar",
            "docs/en/layer-46b42b4229cd.tar.gz 4 tar+gzip",
            "docs/de/layer-46b42b4229cd.tar.gz 4 tar+gzip",
            "layer-5694d08a2e53.tar.zst 4 tar+zstd",
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        assert!(super::files(&[layer("x", "a:b", Compression::None)]).is_err());
    }
}
