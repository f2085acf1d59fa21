use std::collections::BTreeMap;

use super::*;
use crate::archive::tar::tests::forge::{Forged, tar};
use crate::digest::Digest;
use crate::error::chain;
use crate::model::ModelRef;
use crate::range_set::RangeSet;
use crate::store::layout::Layout;
use crate::store::partial::Partial;
use crate::store::partial::tests::claim_under;

/// A partial with the files of a model, of which those whose names end in `.tar` are archives.
struct Fixture {
    _temp: tempfile::TempDir,
    partial: PartialWriter,
    manifest: Manifest,
}

fn fixture(files: &[(&str, Vec<u8>)]) -> Fixture {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::new(temp.path().join("models"), "rack");
    let listed = files.iter().map(|(name, content)| ManifestFile {
        size_bytes: Some(content.len() as u64),
        digest: Some(Digest::of(content).into()),
        archive: name.ends_with(".tar").then_some(ArchiveFormat::Tar),
        ..ManifestFile::new(RelPath::parse(name).unwrap())
    });
    let manifest = Manifest::of_files(listed.collect(), "r1", "here").unwrap();
    let model = ModelRef::new("g", "m", "v").unwrap();
    let partial = claim_under(None, &layout, &model, &manifest, true);
    partial.lay_out(&manifest).unwrap();
    for (file, (_, content)) in manifest.files().iter().zip(files) {
        fs::write(file_in(&partial.files_dir(), &file.path), content).unwrap();
    }
    partial.note(&(0..manifest.known_bytes())).unwrap();
    Fixture {
        _temp: temp,
        partial,
        manifest,
    }
}

impl Fixture {
    fn unpack(&self, wants: &(dyn Fn(&str) -> bool + Sync)) -> Result<Option<Unpacked>> {
        let cancel = &CancelToken::new();
        self.partial
            .unpack(&self.manifest, UnpackOptions { wants, cancel })
    }

    /// What a later pull would find.
    fn journal(&self) -> RangeSet {
        Partial::read(self.partial.dir()).unwrap().journal()
    }

    /// Every file below the folder of the partial's files, and what was unpacked.
    fn there(&self) -> BTreeMap<String, Vec<u8>> {
        let mut there = BTreeMap::new();
        for top in ["files", "unpacked"] {
            let mut folders = vec![self.partial.bulk_dir().join(top)];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).into_iter().flatten() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                        continue;
                    }
                    let name = path.strip_prefix(self.partial.bulk_dir()).unwrap();
                    let name = name.to_str().unwrap().replace('\\', "/");
                    there.insert(name, fs::read(path).unwrap());
                }
            }
        }
        there
    }
}

fn everything(_: &str) -> bool {
    true
}

fn two_archives() -> [(&'static str, Vec<u8>); 3] {
    let weights = [
        Forged::new(b'5', "./", b""),
        Forged::file("./weights/a.bin", b"of a"),
        Forged::file("./weights/b.bin", b""),
    ];
    let docs = [Forged::file("README.md", b"# Docs")];
    [
        ("layer-1.tar", tar(&weights)),
        ("config.json", b"{}".to_vec()),
        ("docs/layer-2.tar", tar(&docs)),
    ]
}

#[test]
fn what_is_in_archives_takes_their_place() {
    let fixture = fixture(&two_archives());
    // What an attempt left that was killed while it put files in place.
    let left = fixture.partial.files_dir().join("weights");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("a.bin"), "longer than it is").unwrap();
    let unpacked = fixture.unpack(&everything).unwrap().unwrap();
    let manifest = unpacked.put_in_place().unwrap();
    let expected = [
        ("files/config.json", &b"{}"[..]),
        ("files/docs/README.md", b"# Docs"),
        ("files/weights/a.bin", b"of a"),
        ("files/weights/b.bin", b""),
    ];
    let there = fixture.there();
    let there = there.iter().map(|(name, content)| (&**name, &**content));
    assert_eq!(there.collect::<Vec<_>>(), expected);

    let files = manifest.files().iter().map(|file| {
        let content = &there_of(&fixture, &file.path);
        assert_eq!(file.digest, Some(Digest::of(content).into()));
        assert_eq!(file.size_bytes, Some(content.len() as u64));
        (file.path.to_string(), file.packed_in)
    });
    let expected = [
        ("weights/a.bin", Some(0)),
        ("weights/b.bin", Some(0)),
        ("config.json", None),
        ("docs/README.md", Some(2)),
    ];
    let expected = expected.map(|(name, archive)| (name.to_owned(), archive));
    assert_eq!(files.collect::<Vec<_>>(), expected);

    // Its document knows what was offered.
    let read = Manifest::parse(manifest.json().to_vec(), "here").unwrap();
    assert_eq!(read, manifest);
    assert_eq!(read.clone().offered("here").unwrap(), fixture.manifest);
    assert_eq!(read.stated("here").unwrap(), fixture.manifest);
}

fn there_of(fixture: &Fixture, path: &RelPath) -> Vec<u8> {
    fs::read(file_in(&fixture.partial.files_dir(), path)).unwrap()
}

#[test]
fn only_what_is_wanted_is_unpacked() {
    let fixture = fixture(&two_archives());
    let unpacked = fixture.unpack(&|path| path == "docs/README.md");
    unpacked.unwrap().unwrap().put_in_place().unwrap();
    let there = fixture.there();
    let names: Vec<&str> = there.keys().map(String::as_str).collect();
    assert_eq!(names, ["files/config.json", "files/docs/README.md"]);
}

#[test]
fn files_without_archives_stay_as_they_are() {
    let fixture = fixture(&[("config.json", b"{}".to_vec())]);
    assert!(fixture.unpack(&everything).unwrap().is_none());
}

#[test]
fn nothing_of_an_archive_is_left_that_cannot_be_unpacked() {
    let file = |name: &str| Forged::file(name, b"x");
    let link = Forged::new(b'2', "link", b"");
    for (expected, entries) in [
        ("it is a link", vec![file("a"), link]),
        ("occurs twice", vec![file("a"), file("b"), file("a")]),
        ("occurs twice", vec![file("a"), file("a/b")]),
        ("only in case", vec![file("a/x"), file("A/y")]),
        ("occurs twice", vec![file("config.json")]),
        ("'.' or '..'", vec![file("../files/config.json")]),
        (
            "is too long",
            vec![
                Forged::new(b'L', "l", "long/".repeat(150).as_bytes()),
                file("a"),
            ],
        ),
        (
            "layer.tar' occurs twice",
            vec![file("layer.tar"), file("layer.tar")],
        ),
    ] {
        let config = ("config.json", b"{}".to_vec());
        let fixture = fixture(&[config, ("layer.tar", tar(&entries))]);
        let error = fixture.unpack(&everything).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Registry { .. }),
            "{error:?}"
        );
        assert!(chain(&error).contains(expected), "{}", chain(&error));
        let there = fixture.there();
        let names: Vec<&str> = there.keys().map(String::as_str).collect();
        assert_eq!(names, ["files/config.json"], "{expected}");
        let files = fixture.manifest.files();
        let journal: Vec<_> = fixture.journal().iter().collect();
        assert_eq!(journal, [files[0].range()], "{expected}");
    }
}

#[test]
fn an_archive_may_have_a_file_of_its_own_name() {
    let entries = [Forged::file("layer.tar", b"content")];
    let fixture = fixture(&[("layer.tar", tar(&entries))]);
    let unpacked = fixture.unpack(&everything).unwrap().unwrap();
    unpacked.put_in_place().unwrap();
    let expected = [("files/layer.tar".to_owned(), b"content".to_vec())];
    assert_eq!(fixture.there(), BTreeMap::from(expected));
}

#[test]
fn a_bomb_is_refused_before_it_fills_the_disk() {
    use std::io::Write as _;
    let header = Forged::new(b'0', "a", b"").with_size("77777777777");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&tar(&[header])).unwrap();
    let content = gzip.finish().unwrap();
    let mut fixture = fixture(&[("layer.tar", content)]);
    let mut files = fixture.manifest.files().to_vec();
    files[0].archive = Some(ArchiveFormat::TarGzip);
    fixture.manifest = Manifest::of_files(files, "r1", "here").unwrap();
    let error = fixture.unpack(&everything).unwrap_err();
    assert!(chain(&error).contains("bomb"), "{}", chain(&error));
    assert!(fixture.there().is_empty());
}

#[test]
fn it_can_be_cancelled_and_what_was_there_before_does_not_matter() {
    let fixture = fixture(&two_archives());
    let stale = fixture.partial.bulk_dir().join("unpacked");
    fs::create_dir_all(&stale).unwrap();
    fs::write(stale.join("README.md"), "of a pull that was killed").unwrap();
    let cancel = CancelToken::new();
    cancel.cancel();
    let options = UnpackOptions {
        wants: &everything,
        cancel: &cancel,
    };
    let error = fixture.partial.unpack(&fixture.manifest, options);
    assert!(error.unwrap_err().is_cancelled());
    let there = fixture.there();
    let names: Vec<&str> = there.keys().map(String::as_str).collect();
    let archives = [
        "files/config.json",
        "files/docs/layer-2.tar",
        "files/layer-1.tar",
    ];
    assert_eq!(names, archives);
    let all = 0..fixture.manifest.known_bytes();
    assert_eq!(fixture.journal().iter().collect::<Vec<_>>(), [all]);
    fixture
        .unpack(&everything)
        .unwrap()
        .unwrap()
        .put_in_place()
        .unwrap();
    assert_eq!(fixture.there().len(), 4);
}

#[test]
fn a_file_may_have_the_name_of_another_archive() {
    let files = [Forged::file("layer-2.tar", b"of a")];
    let fixture = fixture(&[
        ("layer-1.tar", tar(&files)),
        ("layer-2.tar", tar(&[Forged::file("b", b"of b")])),
    ]);
    let unpacked = fixture.unpack(&everything).unwrap().unwrap();
    unpacked.put_in_place().unwrap();
    let there = fixture.there();
    let names: Vec<&str> = there.keys().map(String::as_str).collect();
    assert_eq!(names, ["files/b", "files/layer-2.tar"]);
}
