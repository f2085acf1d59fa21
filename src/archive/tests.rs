//! Tests of reading archives, honest and forged.

mod forge;

use std::cell::RefCell;
use std::io::{Cursor, Read, Write};
use std::ops::Range;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use self::forge::{Forged, archive, deflate, end, patch_end, to_zip64};
use super::*;
use crate::error::{ErrorKind, Result, chain};
use crate::relpath::shown;

fn slice(bytes: &[u8], range: &Range<u64>) -> Vec<u8> {
    let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
    bytes[range].to_vec()
}

fn directory(bytes: &[u8]) -> Result<Directory> {
    Directory::read(&"x.zip", bytes.len() as u64, &mut |range| {
        Ok(slice(bytes, &range))
    })
}

/// All files by name, or for each why it cannot be read.
fn files_of(directory: &Directory) -> impl Iterator<Item = Result<&Member>> {
    let mut names: Vec<_> = directory.names().collect();
    names.sort_unstable();
    names.into_iter().map(|name| {
        let member = directory.member(name)?;
        Ok(member.expect("it is there"))
    })
}

fn decode(bytes: &[u8], member: &Member) -> Result<Vec<u8>, MemberError> {
    let range = slice(bytes, &member.range());
    let mut stream = &range[..];
    let content = decode_from(&mut stream, member)?;
    // Nothing is taken from behind the data.
    let end = range.len() - stream.len();
    assert!(end >= 30 + member.name.len() + usize::try_from(member.compressed_bytes).unwrap());
    Ok(content)
}

fn decode_from(mut stream: impl Read, member: &Member) -> Result<Vec<u8>, MemberError> {
    let mut content = Vec::new();
    member.read_header(&mut stream, &"x.zip")?;
    member.decode(&mut stream, &"x.zip", &mut [0; 7], &mut |piece| {
        content.extend(piece);
        assert!(content.len() as u64 <= member.size_bytes);
        Ok(())
    })?;
    assert_eq!(content.len() as u64, member.size_bytes);
    Ok(content)
}

fn text(error: MemberError) -> String {
    match error {
        MemberError::Read(error) => format!("read: {error}"),
        MemberError::Damaged(error) => format!("damaged: {}", chain(&error)),
        MemberError::Refused(error) => format!("refused: {}", chain(&error)),
        MemberError::Taken(error) => format!("taken: {}", chain(&error)),
    }
}

/// Reads one file the whole way; an error as text.
fn content(bytes: &[u8], name: &str) -> Result<Vec<u8>, String> {
    let directory = directory(bytes).map_err(|error| chain(&error))?;
    let member = directory.member(name).map_err(|error| chain(&error))?;
    decode(bytes, member.expect("the file is there")).map_err(text)
}

/// Writes an archive with a file of each kind, as others write them.
fn written<W: Write + std::io::Seek>(mut zip: ZipWriter<W>, large: bool) -> W {
    let options = SimpleFileOptions::default().large_file(large);
    zip.add_directory("repo-1/", options).unwrap();
    for (method, name) in [
        (CompressionMethod::Stored, "repo-1/stored.txt"),
        (CompressionMethod::Deflated, "repo-1/deflated.txt"),
        (CompressionMethod::Deflated, "repo-1/größe/empty"),
    ] {
        let options = options.compression_method(method);
        zip.start_file(name, options).unwrap();
        if !name.ends_with("empty") {
            zip.write_all(&b"model ".repeat(100)).unwrap();
        }
    }
    zip.add_symlink("repo-1/link", "/etc/passwd", options)
        .unwrap();
    zip.set_comment("a comment with PK\u{5}\u{6} in it")
        .unwrap();
    zip.finish().unwrap()
}

/// Keeps what is written without a way back, so that sizes come behind the data.
struct OneWay(Vec<u8>);

impl Write for OneWay {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn reads_what_others_write() {
    let seekable = |large| written(ZipWriter::new(Cursor::new(Vec::new())), large).into_inner();
    let streamed = written(ZipWriter::new_stream(OneWay(Vec::new())), false);
    let streamed = streamed.into_inner().0;
    for bytes in [seekable(false), seekable(true), streamed] {
        let directory = directory(&bytes).unwrap();
        assert_eq!(directory.top_folder(), Some("repo-1"));
        assert!(directory.member("repo-1/").unwrap().is_none());
        let names: Vec<_> = files_of(&directory)
            .map(|member| {
                member.map_or_else(|error| chain(&error), |member| member.name.to_string())
            })
            .collect();
        assert_eq!(
            names,
            [
                "repo-1/deflated.txt",
                "repo-1/größe/empty",
                "'repo-1/link' in the archive cannot be read (x.zip): it is a link, or something else that is not a regular file",
                "repo-1/stored.txt",
            ]
        );
        for name in ["repo-1/stored.txt", "repo-1/deflated.txt"] {
            assert_eq!(content(&bytes, name).unwrap(), b"model ".repeat(100));
        }
        assert_eq!(content(&bytes, "repo-1/größe/empty").unwrap(), b"");
    }
}

#[test]
fn a_directory_comes_in_two_ranges() {
    let members: Vec<_> = (0..5_000)
        .map(|number| Forged::stored(&format!("folder/file-{number:020}"), b"abc"))
        .collect();
    let bytes = archive(&members, b"");
    let ranges = RefCell::new(Vec::new());
    let size_bytes = bytes.len() as u64;
    let directory = Directory::read(&"x.zip", size_bytes, &mut |range| {
        ranges.borrow_mut().push(range.clone());
        Ok(slice(&bytes, &range))
    })
    .unwrap();
    let ranges = ranges.into_inner();
    let [tail, all] = &ranges[..] else {
        panic!("{ranges:?}")
    };
    assert_eq!((tail.end, all.end), (size_bytes, size_bytes));
    assert_eq!(all.start, bytes.len() as u64 - 22 - 5_000 * (46 + 32));
    assert_eq!(directory.range, *all);
    assert_eq!(files_of(&directory).count(), 5_000);

    let replaced = Directory::read(&"x.zip", size_bytes, &mut |range| {
        let mut bytes = slice(&bytes, &range);
        let is_second = range == *all;
        let behind_the_entries = bytes.len() - 22;
        bytes[behind_the_entries - 1] ^= u8::from(is_second);
        Ok(bytes)
    });
    assert!(chain(&replaced.unwrap_err()).contains("changed while it was read"));

    let short = Directory::read(&"x.zip", size_bytes, &mut |_| Ok(Vec::new()));
    assert!(matches!(
        short.unwrap_err().kind(),
        ErrorKind::SizeMismatch { .. }
    ));
    let failed = Directory::read(&"x.zip", size_bytes, &mut |_| {
        Err(ErrorKind::Cancelled.into())
    });
    assert!(failed.unwrap_err().is_cancelled());
}

#[test]
fn members_come_one_after_another_from_one_range() {
    let members = [
        Forged::deflated("a", &[7; 100_000]),
        Forged::stored("b", b"second").with(|b| b.local_extra = vec![0; 40]),
    ];
    let bytes = archive(&members, b"");
    let directory = directory(&bytes).unwrap();
    let [a, b] = ["a", "b"].map(|name| directory.member(name).unwrap().unwrap());
    let mut stream = &bytes[..];
    assert_eq!(decode_from(&mut stream, a).unwrap(), [7; 100_000]);
    let left = |stream: &[u8]| (bytes.len() - stream.len()) as u64;
    assert_eq!(left(stream), b.range().start);
    assert_eq!(decode_from(&mut stream, b).unwrap(), b"second");
    assert_eq!(left(stream), b.range().end);
}

#[test]
fn the_folder_that_all_are_in() {
    let top = |names: &[&str]| {
        let members: Vec<_> = names.iter().map(|name| Forged::stored(name, b"")).collect();
        let directory = directory(&archive(&members, b"")).unwrap();
        directory.top_folder().map(str::to_owned)
    };
    assert_eq!(top(&["a/x", "a/", "a/y/z"]).as_deref(), Some("a"));
    for none in [&[][..], &["x"], &["a/x", "ab/x"], &["a/x", "a"], &["/x"]] {
        assert_eq!(top(none), None, "{none:?}");
    }
}

#[test]
fn zip64_where_it_is_said_and_where_it_is_not() {
    let bytes = archive(&[Forged::deflated("a", b"content")], b"");
    assert_eq!(content(&to_zip64(bytes, |_| {}), "a").unwrap(), b"content");

    let field = |values: &[u64]| {
        let mut field = vec![9, 0, 1, 0, 0, 1, 0];
        field.extend(u16::try_from(values.len() * 8).unwrap().to_le_bytes());
        field.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        field
    };
    let member = |values: &[u64]| {
        Forged::stored("a", b"content").with(|a| {
            (a.size, a.compressed, a.offset) = (u32::MAX, u32::MAX, Some(u32::MAX));
            a.extra = field(values);
            a.local_extra = field(&[7, 7]);
        })
    };
    let read = |values: &[u64]| content(&archive(&[member(values)], b""), "a");
    assert_eq!(read(&[7, 7, 0]).unwrap(), b"content");
    for values in [&[][..], &[7, 7]] {
        let error = read(values).unwrap_err();
        assert!(error.contains("ZIP64 extra field truncated"), "{error}");
    }
    for values in [[7, 7, u64::MAX], [7, u64::MAX, 0], [7, 7, 1 << 40]] {
        let error = read(&values).unwrap_err();
        assert!(error.contains("lie outside it"), "{error}");
    }
    assert!(read(&[u64::MAX, 7, 0]).unwrap_err().contains("sizes"));
    let two = archive(&[member(&[u64::MAX, 7, 0]), Forged::stored("b", b"x")], b"");
    assert!(chain(&directory(&two).unwrap_err()).contains("counted"));
}

#[test]
fn refuses_what_is_no_honest_archive() {
    let a = || Forged::stored("a", b"content");
    let one = || archive(&[a()], b"");
    let two = |b: Forged| archive(&[a(), b], b"");
    let fake_end = |bytes: u32, start: u32| archive(&[a()], &end(0, bytes, start, b""));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("not a zip archive", Vec::new()),
        ("not a zip archive", b"PK\x05\x06".to_vec()),
        ("not a zip archive", vec![b'x'; 100_000]),
        ("more than 64 KiB after", [one(), vec![0; 70_000]].concat()),
        ("1 bytes precede it that", [vec![0], one()].concat()),
        ("bytes precede it", [one(), one()].concat()),
        ("bytes precede it", [vec![0], one(), vec![0]].concat()),
        ("directory is not where", patch_end(one(), 12, &[0xff; 8])),
        ("two end records", fake_end(0, 0)),
        ("two end records", fake_end(u32::MAX, u32::MAX)),
        ("two end records", [fake_end(0, 0), vec![0]].concat()),
        ("two end records", {
            archive(&[a()], &[end(0, 0, 0, b""), vec![0]].concat())
        }),
        ("multi-part", patch_end(one(), 4, &[1])),
        ("multi-part", patch_end(one(), 6, &[1])),
        ("multi-part", patch_end(one(), 8, &[2])),
        ("multi-part", two(a().with(|b| b.disk = 1))),
        ("fewer entries", patch_end(one(), 8, &[2, 0, 2, 0])),
        ("fewer entries", patch_end(one(), 8, &[0xff; 4])),
        ("more entries than", patch_end(one(), 8, &[0; 4])),
        ("fewer entries", {
            let name = "n".repeat(46);
            patch_end(
                archive(&[Forged::stored(&name, b"")], b""),
                8,
                &[2, 0, 2, 0],
            )
        }),
        ("overlap", two(a().with(|b| b.offset = Some(0)))),
        ("overlap", two(a().with(|b| b.offset = Some(37)))),
        ("overlap", two(a().with(|b| b.offset = Some(39)))),
        ("overlap", two(a().with(|b| b.compressed = 8))),
        ("overlap", two(a().with(|b| b.offset = Some(u32::MAX - 1)))),
        ("zip64 record", to_zip64(one(), |records| records[4] = 45)),
        ("zip64 record", to_zip64(one(), |records| records[60] = 1)),
        ("zip64 record", to_zip64(one(), |records| records[64] += 1)),
        ("zip64 record", to_zip64(one(), |records| records[72] = 2)),
        (
            "contradict",
            patch_end(to_zip64(one(), |_| {}), 12, &[1, 0, 0, 0]),
        ),
        (
            "directory is not where",
            to_zip64(one(), |records| records[40..56].fill(0xff)),
        ),
        (
            "too large",
            to_zip64(one(), |records| records[24..40].fill(0x7f)),
        ),
    ];
    for (expected, bytes) in cases {
        let error = directory(&bytes).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Registry { .. }),
            "{error:?}"
        );
        let error = chain(&error);
        assert!(error.contains(expected), "'{error}' is not '{expected}'");
    }
    // Sizes that cannot be held in memory are asked for once, and only the end of them.
    let error = Directory::read(&"x.zip", u64::MAX, &mut |range| {
        Ok(vec![0; usize::try_from(range.end - range.start).unwrap()])
    });
    assert!(chain(&error.unwrap_err()).contains("not a zip archive"));
}

#[test]
fn a_signature_in_a_comment_or_in_data_is_no_end() {
    for comment in [&b"PK\x05\x06"[..], &end(1, 2, 3, b"xyz")[..24]] {
        let bytes = archive(&[Forged::stored("a", &archive(&[], b""))], comment);
        assert_eq!(content(&bytes, "a").unwrap(), archive(&[], b""));
    }
    let longest = archive(&[Forged::stored("a", b"content")], &[b'c'; 65_535]);
    assert_eq!(content(&longest, "a").unwrap(), b"content");
    assert_eq!(files_of(&directory(&archive(&[], b"")).unwrap()).count(), 0);
}

#[test]
fn bytes_after_the_end_are_passed_over() {
    for after in [
        &b"\n"[..],
        b"\r\n",
        b"PK\x05\x06",
        &[0; 9_216],
        &[7; 65_535],
    ] {
        for bytes in [
            archive(&[Forged::deflated("a", b"content")], b""),
            to_zip64(archive(&[Forged::deflated("a", b"content")], b""), |_| {}),
        ] {
            let bytes = [&bytes[..], after].concat();
            assert_eq!(content(&bytes, "a").unwrap(), b"content");
        }
    }
}

#[test]
fn an_archive_that_is_cut_short_is_refused() {
    let inner = archive(&[Forged::stored("inner", b"content")], b"");
    let members = [
        Forged::stored("inner.zip", &inner),
        Forged::stored("a", b"content"),
    ];
    for bytes in [
        archive(&members, b"comment"),
        to_zip64(archive(&members, b""), |_| {}),
    ] {
        assert_eq!(content(&bytes, "inner.zip").unwrap(), inner);
        for length in 0..bytes.len() {
            assert!(directory(&bytes[..length]).is_err(), "{length}");
        }
    }
}

#[test]
fn extra_fields_that_other_tools_write_are_passed_over() {
    let times = [&[0x55, 0x58, 8, 0][..], &[1; 8]].concat();
    let times_and_owner = [&[0x55, 0x58, 12, 0][..], &[1; 12]].concat();
    for (central, local) in [
        (times, times_and_owner), // of Finder and ditto
        (vec![], vec![0; 3]),     // of zipalign
        (vec![], vec![0; 2]),
        (vec![0xfe, 0xca, 0, 0], vec![0xfe, 0xca, 0, 0]), // of jar
    ] {
        let member = Forged::deflated("a", b"content").with(|it| {
            (it.extra, it.local_extra) = (central.clone(), local.clone());
        });
        assert_eq!(content(&archive(&[member], b""), "a").unwrap(), b"content");
    }
}

#[test]
fn names_may_begin_with_the_folder_itself() {
    let members = ["./", "./m/", "./m/a", "b", "./b"].map(|name| Forged::stored(name, b"abc"));
    let bytes = archive(&members, b"");
    let directory = directory(&bytes).unwrap();
    assert_eq!(directory.names().collect::<Vec<_>>(), ["b", "b", "m/a"]);
    assert_eq!(content(&bytes, "m/a").unwrap(), b"abc");
    assert!(content(&bytes, "b").unwrap_err().contains("more than once"));
    let other = Forged::stored("./a", b"abc").with(|it| it.local_name = b"./b".to_vec());
    let error = content(&archive(&[other], b""), "a").unwrap_err();
    assert!(error.contains("its local header differs"), "{error}");
}

#[test]
fn a_member_that_came_from_a_pipe_is_a_file() {
    for mode in [0o010_600, 0o140_777] {
        let member = Forged::deflated("-", b"content").with(|it| it.mode = mode);
        assert_eq!(content(&archive(&[member], b""), "-").unwrap(), b"content");
    }
}

#[test]
fn refuses_a_member_that_cannot_be_read_and_no_other() {
    let zeros = || Forged::deflated("bad", &[0; 2_000]);
    let cases = [
        ("it is a link", zeros().with(|bad| bad.mode = 0o120_777)),
        ("it is a link", zeros().with(|bad| bad.mode = 0o020_666)),
        ("is encrypted", zeros().with(|bad| bad.flags = 1)),
        ("is encrypted", zeros().with(|bad| bad.flags = 1 << 13)),
        ("compression", zeros().with(|bad| bad.method = 14)),
        (
            "not UTF-8",
            zeros().with(|bad| bad.name = b"ba\xff".to_vec()),
        ),
        (
            "sizes",
            zeros().with(|bad| bad.size = bad.compressed * 1032 + 1),
        ),
        (
            "sizes",
            Forged::stored("bad", b"content").with(|bad| bad.size = 8),
        ),
    ];
    for (expected, bad) in cases {
        // What is not UTF-8 is shown in the code page of MS-DOS.
        let name = String::from_utf8(bad.name.clone()).unwrap_or("ba\u{a0}".to_owned());
        let bytes = archive(&[bad, Forged::stored("good", b"content")], b"");
        let error = content(&bytes, &name).unwrap_err();
        assert!(error.contains(expected), "'{error}' is not '{expected}'");
        assert!(
            error.starts_with(&format!("'{}' in the archive", shown(&name))),
            "{error}"
        );
        assert_eq!(content(&bytes, "good").unwrap(), b"content");
    }
    let twice = ["b", "a", "b", "c", "b"].map(|name| Forged::stored(name, b""));
    let directory = directory(&archive(&twice, b"")).unwrap();
    let refused: Vec<_> = files_of(&directory).map(|member| member.is_err()).collect();
    assert_eq!(refused, [false, true, true, true, false]);
    let error = chain(&directory.member("b").unwrap_err());
    assert!(error.contains("more than once"), "{error}");
}

#[test]
fn refuses_a_local_header_that_says_something_else() {
    let a = || Forged::deflated("name", b"content");
    let cases = [
        (
            "its local header differs",
            a().with(|a| a.local_name = b"eman".to_vec()),
        ),
        (
            "its local header differs",
            a().with(|a| {
                a.local_name = b"nam".to_vec();
                a.local_extra = b"e".to_vec();
            }),
        ),
        ("its local header differs", a().with(|a| a.local_method = 0)),
        (
            "its local header differs",
            a().with(|a| a.local_method = 12),
        ),
        ("its local header differs", a().with(|a| a.local_flags = 1)),
        (
            "its local header differs",
            a().with(|a| a.local_flags = 1 << 6),
        ),
        (
            "its local header differs",
            a().with(|a| a.local_name = b"names".to_vec()),
        ),
        ("what follows", a().with(|a| a.local_extra_bytes = Some(1))),
        (
            "what follows",
            a().with(|a| a.local_extra_bytes = Some(u16::MAX)),
        ),
    ];
    for (expected, a) in cases {
        let error = content(&archive(&[a, Forged::stored("b", b"")], b""), "name").unwrap_err();
        assert!(
            error.starts_with("refused: 'name' in the archive"),
            "{error}"
        );
        assert!(error.contains(expected), "'{error}' is not '{expected}'");
    }
    let mut bytes = archive(&[a()], b"");
    bytes[2] = b'x';
    let error = content(&bytes, "name").unwrap_err();
    assert!(error.contains("not where the directory says"), "{error}");
}

#[test]
fn many_entries_of_one_name_spoil_no_other() {
    let name = |number: usize| match number % 3 {
        0 => format!("file-{number}"),
        _ => format!("twice-{}", number / 150),
    };
    let members: Vec<_> = (0..500)
        .map(|number| Forged::stored(&name(number), b"abc"))
        .collect();
    let directory = directory(&archive(&members, b"")).unwrap();
    for number in 0..500 {
        match directory.member(&name(number)) {
            Ok(member) => assert!(member.is_some() && number % 3 == 0),
            Err(error) => {
                assert_ne!(number % 3, 0);
                assert!(chain(&error).contains("more than once"), "{error}");
            }
        }
    }
}

#[test]
fn an_end_in_a_name_is_no_end() {
    // It says that one entry begins where the one with this name does.
    let fake = String::from_utf8(end(1, 46, 47, b"")).unwrap();
    let members = ["a", &fake, "b"].map(|name| Forged::stored(name, b""));
    let mut bytes = archive(&members, b"");
    assert_eq!(files_of(&directory(&bytes).unwrap()).count(), 3);
    let mut entries = bytes.windows(4).enumerate();
    let (first, _) = entries.find(|(_, it)| it == b"PK\x01\x02").unwrap();
    bytes[first] = b'x';
    let error = chain(&directory(&bytes).unwrap_err());
    assert!(error.contains("malformed entry"), "{error}");
}

#[test]
fn refuses_a_second_name_in_an_extra_field() {
    let unicode_path = |name: &str| {
        let mut field = vec![0x75, 0x70];
        field.extend(u16::try_from(5 + name.len()).unwrap().to_le_bytes());
        field.push(1);
        field.extend(crc32fast::hash(b"plain").to_le_bytes());
        field.extend(name.as_bytes());
        field
    };
    let member =
        |name: &str| Forged::stored("plain", b"abc").with(|it| it.extra = unicode_path(name));
    let bytes = archive(&[member("größe")], b"");
    let error = content(&bytes, "größe").unwrap_err();
    assert!(error.contains("another one in an extra field"), "{error}");
    assert_eq!(
        content(&archive(&[member("plain")], b""), "plain").unwrap(),
        b"abc"
    );
    let local = Forged::stored("plain", b"abc").with(|it| it.local_extra = unicode_path("other"));
    let error = content(&archive(&[local], b""), "plain").unwrap_err();
    assert!(error.contains("its local header differs"), "{error}");
}

#[test]
fn nothing_more_is_read_for_a_member_that_nobody_takes() {
    let bytes = archive(&[Forged::stored("a", &[7; 100_000])], b"");
    let directory = directory(&bytes).unwrap();
    let member = directory.member("a").unwrap().unwrap();
    let mut stream = &bytes[..];
    member.read_header(&mut stream, &"x.zip").unwrap();
    let taken = member.decode(&mut stream, &"x.zip", &mut [0; 100], &mut |_| {
        Err(ErrorKind::Cancelled.into())
    });
    assert!(matches!(taken, Err(MemberError::Taken(error)) if error.is_cancelled()));
    assert_eq!(bytes.len() - stream.len(), 30 + 1 + 100);
}

#[test]
fn finds_damage_in_data() {
    let a = || Forged::deflated("a", b"content");
    let with_data = |data: Vec<u8>| {
        a().with(|a| {
            a.compressed = u32::try_from(data.len()).unwrap();
            a.data = data;
        })
    };
    let good = deflate(b"content");
    let cases = [
        (
            "a has digest fec530a9, expected 00000000",
            a().with(|a| a.crc32 = 0),
        ),
        ("a has digest", with_data(deflate(b"context"))),
        ("a has 7 B, expected 8 B", a().with(|a| a.size = 8)),
        ("a has 7 B, expected 6 B", a().with(|a| a.size = 6)),
        ("a has 1 B, expected 0 B", a().with(|a| a.size = 0)),
        ("incomplete deflate stream", with_data(good[..4].to_vec())),
        (
            "incomplete deflate stream",
            with_data(good[..good.len() - 1].to_vec()),
        ),
        ("corrupt deflate stream", with_data(vec![0xff; 9])),
        ("its data continues past its end", {
            with_data([&good[..], b"xyz"].concat())
        }),
    ];
    for (expected, a) in cases {
        let error = content(&archive(&[a], b""), "a").unwrap_err();
        assert!(error.starts_with("damaged: "), "{error}");
        assert!(error.contains(expected), "'{error}' is not '{expected}'");
    }
}

#[test]
fn a_stream_that_fails_or_ends_is_no_fault_of_the_archive() {
    /// Gives some bytes, then fails.
    struct Failing<'a>(&'a [u8]);
    impl Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(std::io::Error::other("torn")),
                count => Ok(count),
            }
        }
    }
    for member in [
        Forged::deflated("a", b"content"),
        Forged::stored("a", b"content"),
    ] {
        let bytes = archive(&[member], b"");
        let directory = directory(&bytes).unwrap();
        let member = directory.member("a").unwrap().unwrap();
        let length = usize::try_from(member.range().end).unwrap();
        for length in 0..length {
            let torn = decode_from(Failing(&bytes[..length]), member);
            assert_eq!(text(torn.unwrap_err()), "read: torn");
            let ended = decode_from(&bytes[..length], member);
            assert!(
                matches!(ended, Err(MemberError::Read(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof)
            );
        }
    }
}

#[test]
fn no_changed_byte_changes_what_is_read() {
    let members = [
        Forged::stored("a/stored", b"some content"),
        Forged::deflated("a/deflated", &b"content ".repeat(20)),
        Forged::deflated("a/zip64", &b"content ".repeat(9)).with(|member| {
            let (size, compressed) = (u64::from(member.size), u64::from(member.compressed));
            member.extra = [
                &[1, 0, 16, 0],
                &size.to_le_bytes()[..],
                &compressed.to_le_bytes(),
            ]
            .concat();
            member.local_extra.clone_from(&member.extra);
            (member.size, member.compressed) = (u32::MAX, u32::MAX);
        }),
    ];
    let originals = [
        b"some content".to_vec(),
        b"content ".repeat(20),
        b"content ".repeat(9),
    ];
    let check = |bytes: &[u8]| {
        let Ok(directory) = directory(bytes) else {
            return;
        };
        for member in files_of(&directory).filter_map(Result::ok) {
            if let Ok(content) = decode(bytes, member) {
                assert!(originals.contains(&content), "{member:?}");
            }
        }
    };
    for bytes in [
        archive(&members, b"comment"),
        to_zip64(archive(&members, b""), |_| {}),
    ] {
        for length in 0..bytes.len() {
            check(&bytes[..length]);
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            for value in [1, 2, 4, 8, 16, 32, 64, 128, 255].map(|bits| bytes[at] ^ bits) {
                changed[at] = value;
                check(&changed);
            }
        }
    }
}
