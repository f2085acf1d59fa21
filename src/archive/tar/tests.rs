//! Tests of reading tars, honest and forged.

pub(crate) mod forge;

use std::io::Write;
use std::process::{Command, Stdio};

use self::forge::{Forged, tar};
use super::*;
use crate::archive::ArchiveFormat;
use crate::error::{ErrorKind, chain};

/// Reads everything in an archive; an error as text.
fn contents(mut stream: &mut dyn Read, max_bytes: u64) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut read = || -> crate::error::Result<_> {
        let mut tar = Tar::new(&mut stream, &"x.tar", max_bytes);
        let mut files = Vec::new();
        while let Some(file) = tar.next_file()? {
            let (mut content, mut buffer) = (Vec::new(), [0; 700]);
            loop {
                let piece = tar.read(&mut buffer)?;
                if piece.is_empty() {
                    break;
                }
                content.extend_from_slice(piece);
            }
            assert_eq!(content.len() as u64, file.size_bytes);
            files.push((file.path.to_string(), content));
        }
        Ok(files)
    };
    read().map_err(|error| {
        let is_registry = matches!(error.kind(), ErrorKind::Registry { .. });
        assert!(is_registry, "{error:?}");
        chain(&error)
    })
}

fn names(entries: &[Forged]) -> Result<Vec<String>, String> {
    let files = contents(&mut &tar(entries)[..], 1 << 40)?;
    Ok(files.into_iter().map(|(name, _)| name).collect())
}

#[test]
fn reads_files_and_passes_over_folders() {
    let entries = [
        Forged::new(b'5', "./", b""),
        Forged::new(b'5', "model/", b""),
        Forged::file("./model/weights.bin", &[7; 1500]),
        Forged::file("model/empty", b""),
        Forged::new(b'\0', "old/", b""),
        Forged::new(b'\0', "old/file", b"of the first format"),
        Forged::new(b'7', "contiguous", &[1; 512]),
    ];
    let bytes = tar(&entries);
    let expected = [
        ("model/weights.bin", vec![7; 1500]),
        ("model/empty", vec![]),
        ("old/file", b"of the first format".to_vec()),
        ("contiguous", vec![1; 512]),
    ]
    .map(|(name, content)| (name.to_owned(), content));
    assert_eq!(contents(&mut &bytes[..], 1 << 40).unwrap(), expected);

    // What is not read of a file is passed over.
    let mut stream = &bytes[..];
    let mut archive = Tar::new(&mut stream, &"x.tar", 1 << 40);
    let mut paths = Vec::new();
    while let Some(file) = archive.next_file().unwrap() {
        paths.push(file.path.to_string());
    }
    assert_eq!(paths, expected.map(|(name, _)| name));
}

#[test]
fn long_names_and_large_sizes_come_in_several_ways() {
    let long = format!("{}/file", "folder/".repeat(30).trim_end_matches('/'));
    let gnu = || {
        [
            Forged::new(b'L', "././@LongLink", format!("{long}\0").as_bytes()),
            Forged::file(&long[..100], b"x").with(|it| it.magic = b"ustar  \0"),
        ]
    };
    let pax = [
        Forged::pax(b'g', &[("comment", "0123456789abcdef")]),
        Forged::pax(b'x', &[("mtime", "1.5"), ("path", &long), ("size", "3")]),
        Forged::file("short", b"abc").with(|it| it.size = b"00000000000\0".to_vec()),
        Forged::file("next", b"defg"),
    ];
    let prefixed = Forged::file("name", b"x").with(|it| it.prefix = b"a/b");
    let of_gnu = Forged::file("name", b"x").with(|it| {
        (it.magic, it.prefix) = (b"ustar  \0", b"14720000000");
    });
    let binary = Forged::file("binary", &[2; 600]).with(|it| {
        it.size = [&[0x80, 0, 0, 0][..], &600_u64.to_be_bytes()].concat();
    });
    let spaces = Forged::file("spaces", b"abc").with(|it| it.size = b"         3  ".to_vec());
    assert_eq!(names(&gnu()).unwrap(), std::slice::from_ref(&long));
    assert_eq!(names(&pax).unwrap(), [long, "next".to_owned()]);
    assert_eq!(names(&[prefixed]).unwrap(), ["a/b/name"]);
    assert_eq!(names(&[of_gnu]).unwrap(), ["name"]);
    assert_eq!(names(&[binary, spaces]).unwrap(), ["binary", "spaces"]);
}

#[test]
fn the_end_is_where_other_readers_see_it() {
    let file = Forged::file("a", b"content").bytes();
    let zeros = [0; BLOCK_BYTES];
    for end in [
        &[][..],
        &zeros,
        &zeros.repeat(2),
        &zeros.repeat(20),
        &[&zeros[..], b"anything else"].concat(),
    ] {
        let bytes = [&file[..], end].concat();
        assert_eq!(contents(&mut &bytes[..], 7).unwrap().len(), 1);
    }
    // The padding of the last file may be missing, but none of its content.
    let unpadded = &file[..BLOCK_BYTES + 7];
    assert_eq!(contents(&mut &*unpadded, 7).unwrap()[0].1, b"content");
    for length in (1..BLOCK_BYTES + 7).filter(|length| *length != BLOCK_BYTES) {
        let error = contents(&mut &file[..length], 7).unwrap_err();
        assert!(error.ends_with("it is truncated"), "{length}: {error}");
    }
    assert!(contents(&mut &[][..], 0).unwrap().is_empty());
}

#[test]
fn refuses_what_is_no_honest_archive() {
    let with_size = |size: &[u8]| {
        Forged::file("a", b"x").with(|it| {
            it.size = size.to_vec();
            it.size.resize(12, 0);
        })
    };
    let raw_pax = |records: &[u8]| Forged::new(b'x', "x", records);
    let cases = [
        ("it is a link", Forged::new(b'1', "a", b"")),
        ("it is a link", Forged::new(b'2', "a", b"")),
        ("a device or a pipe", Forged::new(b'3', "a", b"")),
        ("a device or a pipe", Forged::new(b'4', "a", b"")),
        ("a device or a pipe", Forged::new(b'6', "a", b"")),
        ("sparse", Forged::new(b'S', "a", b"")),
        ("sparse", Forged::pax(b'x', &[("GNU.sparse.major", "1")])),
        ("not a regular file", Forged::new(b'M', "a", b"")),
        ("not a regular file", Forged::new(b'V', "a", b"")),
        ("is empty", Forged::file("", b"")),
        ("is an absolute path", Forged::file("/etc/passwd", b"")),
        ("'.' or '..'", Forged::file("../a", b"")),
        ("'.' or '..'", Forged::file("a/../../b", b"")),
        ("'.' or '..'", Forged::new(b'5', "a/../../b/", b"")),
        ("'.' or '..'", Forged::file("./../a", b"")),
        ("empty component", Forged::file("a/", b"")),
        ("backslash", Forged::file("a\\..\\b", b"")),
        ("a ':'", Forged::file("C:/a", b"")),
        ("reserves", Forged::file("a/NUL.txt", b"")),
        (
            "not UTF-8",
            Forged::file("a", b"").with(|it| it.name = vec![0xff]),
        ),
        ("malformed number", with_size(b"8")),
        ("malformed number", with_size(b"-1")),
        ("malformed number", with_size(b"+1")),
        ("malformed number", with_size(&[0xff; 12])),
        ("malformed number", with_size(&[0x80, 1])),
        ("more than 1.0 MB", with_size(b"77777777777")),
        (
            "more than 1.0 MB",
            with_size(&[&[0x80, 0, 0, 0][..], &[0xff; 8]].concat()),
        ),
        (
            "too large",
            Forged::pax(b'x', &[]).with(|it| it.size = b"77777777777\0".to_vec()),
        ),
        ("extended header", raw_pax(b"x")),
        ("extended header", raw_pax(b"0 ")),
        ("extended header", raw_pax(b"3 a\n")),
        ("extended header", raw_pax(b"99 path=a\n")),
        ("extended header", raw_pax(b"9 path=ab")),
        ("extended header", Forged::pax(b'g', &[("path", "a")])),
        ("extended header", Forged::pax(b'g', &[("size", "0")])),
        ("invalid digit", Forged::pax(b'x', &[("size", "-1")])),
        ("absolute", Forged::pax(b'x', &[("path", "/etc/passwd")])),
        ("absolute", Forged::new(b'L', "x", b"/etc/passwd\0")),
    ];
    for (expected, entry) in cases {
        let bytes = tar(&[entry, Forged::file("a", b"x")]);
        let error = contents(&mut &bytes[..], 1 << 20).unwrap_err();
        assert!(error.contains(expected), "'{error}' is not '{expected}'");
    }
    let damaged = tar(&[Forged::file("a", b"x")]);
    for at in 0..BLOCK_BYTES {
        let mut damaged = damaged.clone();
        damaged[at] ^= 1;
        assert!(contents(&mut &damaged[..], 1).is_err(), "{at}");
    }
    let zip = contents(&mut &b"PK\x03\x04".repeat(200)[..], 1).unwrap_err();
    assert!(zip.contains("not a tar archive"), "{zip}");
}

#[test]
fn the_sizes_of_all_files_together_are_bounded() {
    let files = [Forged::file("a", &[0; 600]), Forged::file("b", &[0; 401])];
    assert!(contents(&mut &tar(&files)[..], 1001).is_ok());
    let error = contents(&mut &tar(&files)[..], 1000).unwrap_err();
    assert!(error.contains("archive to more than 1.0 KB"), "{error}");
}

#[test]
fn the_number_of_headers_is_bounded() {
    struct Endless(Vec<u8>, usize);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let piece = &self.0[self.1..];
            let count = piece.len().min(buffer.len());
            buffer[..count].copy_from_slice(&piece[..count]);
            self.1 = (self.1 + count) % self.0.len();
            Ok(count)
        }
    }
    let entries = [b'5', b'x', b'g', b'K'].map(|kind| Forged::new(kind, "a/", b"").bytes());
    let error = contents(&mut Endless(entries.concat(), 0), 0).unwrap_err();
    assert!(error.contains("too many entries"), "{error}");
}

#[test]
fn any_bytes_give_an_error_and_no_panic() {
    let honest = tar(&[
        Forged::pax(b'x', &[("path", "a/b"), ("size", "3")]),
        Forged::file("x", b"abc"),
        Forged::new(b'L', "l", b"long/name\0"),
        Forged::file("y", &[3; 600]),
    ]);
    let mut state = 1_u64;
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    for _ in 0..20_000 {
        let mut bytes = honest.clone();
        for _ in 0..1 + random(3) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        // Most would fail at the checksum already.
        for header in bytes.chunks_exact_mut(BLOCK_BYTES) {
            header[CHECKSUM].fill(b' ');
            let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
            header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        bytes.truncate(1 + random(bytes.len()));
        let _ = contents(&mut &bytes[..], 10_000);
    }
}

/// What a program makes of its input.
fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.ok()?;
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        Some(child.wait_with_output().unwrap().stdout)
    })
}

#[test]
fn compressions_are_undone() {
    let bytes = tar(&[Forged::file("a", &b"weights ".repeat(100_000))]);
    let expected = contents(&mut &bytes[..], 1 << 20).unwrap();
    let read = |format: ArchiveFormat, archive: &[u8]| {
        contents(&mut *format.decompressed(archive), 1 << 20)
    };
    let gzip = |bytes: &[u8]| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    };
    let (one, two) = bytes.split_at(300_000);
    let members = [gzip(one), gzip(two)].concat();
    assert_eq!(read(ArchiveFormat::Tar, &bytes), Ok(expected.clone()));
    assert_eq!(read(ArchiveFormat::TarGzip, &members), Ok(expected.clone()));
    let followed = [&members[..], &[0; 100]].concat();
    assert_eq!(
        read(ArchiveFormat::TarGzip, &followed),
        Ok(expected.clone())
    );
    assert!(read(ArchiveFormat::TarGzip, &members[..members.len() / 2]).is_err());
    assert!(read(ArchiveFormat::TarGzip, &bytes).is_err());

    if let Some(frame) = piped("zstd", &["-q", "-c"], one) {
        let skipped = [&b"\x50\x2a\x4d\x18\x04\0\0\0"[..], b"skip"].concat();
        let second = piped("zstd", &["-q", "-c", "-19"], two).unwrap();
        let frames = [&skipped[..], &frame, &skipped, &second].concat();
        if cfg!(feature = "zstd") {
            assert_eq!(read(ArchiveFormat::TarZstd, &frames), Ok(expected));
            assert!(read(ArchiveFormat::TarZstd, &frames[..frames.len() / 2]).is_err());
            assert!(read(ArchiveFormat::TarZstd, &members).is_err());
        } else {
            let error = read(ArchiveFormat::TarZstd, &frames).unwrap_err();
            assert!(error.contains("the feature 'zstd'"), "{error}");
        }
    }
}

#[test]
fn what_is_written_is_read() {
    for size_bytes in [0, 1, 511, 512, 513, 70_000] {
        let content = vec![7; size_bytes as usize];
        let mut bytes = TarEntry::new("blobs/sha256/x", size_bytes)
            .header()
            .unwrap()
            .to_vec();
        bytes.extend(&content);
        bytes.extend(filling(size_bytes));
        bytes.extend(END);
        assert_eq!(bytes.len() % BLOCK_BYTES, 0);
        let read = contents(&mut &bytes[..], 1 << 20).unwrap();
        assert_eq!(read, [("blobs/sha256/x".to_owned(), content)]);
    }
    for size_bytes in [(8 << 30) - 1, 8 << 30, 5 << 40] {
        let header = TarEntry::new("large", size_bytes).header().unwrap();
        check_header(&header).unwrap();
        assert_eq!(number(&header[SIZE]).unwrap(), size_bytes);
    }
    for modified in [0, 1_764_000_000, u64::MAX] {
        let entry = TarEntry {
            modified,
            ..TarEntry::new("index.json", 1)
        };
        let header = entry.header().unwrap();
        check_header(&header).unwrap();
        let kept = number(&header[MODIFIED]).unwrap();
        assert_eq!(kept, if modified == u64::MAX { 0 } else { modified });
    }
    assert!(TarEntry::new(&"n".repeat(100), 0).header().is_some());
    assert!(TarEntry::new(&"n".repeat(101), 0).header().is_none());
}

#[test]
fn members_are_found_without_reading_what_is_between() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("x.tar");
    let entries = [
        Forged::file("index.json", b"old"),
        Forged::new(b'5', "blobs/", b""),
        Forged::file("./blobs/a", &[1; 700]),
        Forged::file("index.json", b"newest"),
    ];
    let bytes = tar(&entries);
    std::fs::write(&path, &bytes).unwrap();
    let read = || TarMembers::read(&std::fs::File::open(&path).unwrap(), &path);
    let members = read().unwrap();
    let found: Vec<_> = members
        .iter()
        .map(|(name, at)| (name, &bytes[at.start as usize..at.end as usize]))
        .collect();
    assert_eq!(
        found,
        [("blobs/a", &[1; 700][..]), ("index.json", b"newest")]
    );
    assert_eq!(members.get("old"), None);
    // Cut inside the last member, inside the one before, and behind a header.
    for end in [3 * BLOCK_BYTES + 600, 7 * BLOCK_BYTES + 3] {
        std::fs::write(&path, &bytes[..end]).unwrap();
        let error = chain(&read().unwrap_err());
        assert!(
            error.contains("truncated") || error.contains("bomb"),
            "{end}: {error}"
        );
    }
}
