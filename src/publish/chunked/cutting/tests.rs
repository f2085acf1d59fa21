use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::mutex::Mutex;
use crate::progress::{CancelToken, Step, Task};
use crate::publish::chunked::Chunking;
use crate::publish::chunked::cuts::runs;
use crate::publish::chunked::search::PIECE_BYTES;
use crate::relpath::RelPath;

#[test]
fn small_files_run_into_one_stream_and_others_have_their_own() {
    assert_eq!(
        runs(&[3, 3, 10, 12, 0, 9, 10], 10),
        [0..2, 2..3, 3..4, 4..6, 6..7]
    );
    assert!(runs(&[], 10).is_empty());
}

#[test]
fn one_pass_has_the_digests_of_all_files_and_chunks() {
    let chunk_bytes = 64 << 10;
    let piece = PIECE_BYTES;
    let mut random = fastrand::Rng::with_seed(6);
    for sizes in [
        vec![],
        vec![0],
        vec![0, 0, 3, 0],
        vec![1],
        // One chunk, and then some in one piece, or in several that end where pieces do.
        vec![30_000],
        vec![piece - 1, piece, piece + 1, 3 * piece, 1_500_000],
        // Small ones that share chunks, and end in the middle of pieces.
        [vec![999; 700], vec![0, 400_000], vec![16_383; 40]].concat(),
    ] {
        let temp = tempfile::tempdir().unwrap();
        let (mut files, mut all, mut file_digests) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (number, size) in sizes.iter().enumerate() {
            let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
                .take(*size)
                .collect();
            let path = temp.path().join(number.to_string());
            fs::write(&path, &bytes).unwrap();
            files.insert(RelPath::parse(&format!("{number:04}")).unwrap(), path);
            file_digests.push(Digest::of(&bytes));
            all.extend(bytes);
        }
        let stream = Stream::of(files).unwrap();
        for cuts in all_cuts(&stream, chunk_bytes) {
            let (digests, chunks) = cut(&stream, &cuts);
            assert_eq!(digests, file_digests, "{sizes:?}");
            let mut end = 0;
            for Cut { range, digest } in &chunks {
                assert_eq!(range.start, end);
                end = range.end;
                let bytes = &all[range.start as usize..end as usize];
                assert_eq!(Digest::of(bytes), *digest, "{range:?} of {sizes:?}");
            }
            assert_eq!(end, all.len() as u64, "{sizes:?}");
            match cuts {
                Cuts::Content(_) => {}
                Cuts::At(at) => assert!(at.iter().eq(chunks.iter().map(|chunk| &chunk.range))),
            }
        }
    }
}

/// Where the content says, at equal distances, and without regard for files.
fn all_cuts(stream: &Stream, chunk_bytes: u64) -> [Cuts; 3] {
    let size_bytes = stream.size_bytes();
    let begins = (0..size_bytes).step_by(chunk_bytes as usize);
    let ranges = begins.map(|begin| begin..size_bytes.min(begin + chunk_bytes));
    [
        Cuts::Content(chunk_bytes),
        Cuts::new(stream, Chunking::Fixed, chunk_bytes),
        Cuts::At(ranges.collect()),
    ]
}

/// Returns the digests of the files, and the chunks in order.
fn cut(stream: &Stream, cuts: &Cuts) -> (Vec<Digest>, Vec<Cut>) {
    let cancel = CancelToken::new();
    let tally = Tally::new(Step::new(Task::Hashing, 0), None, &cancel);
    let taken = Mutex::new(Vec::new());
    let take = |cut| {
        taken.lock().push(cut);
        Ok(())
    };
    let digests = stream.cut(cuts, &tally, &take).unwrap();
    let mut taken = taken.into_inner();
    taken.sort_by_key(|cut| cut.range.start);
    (digests, taken)
}

#[test]
fn chunks_are_handed_on_before_all_is_read() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("model.bin");
    fs::write(&path, vec![0; 30 * PIECE_BYTES]).unwrap();
    let name = RelPath::parse("model.bin").unwrap();
    let stream = Stream::of(BTreeMap::from([(name, path.clone())])).unwrap();
    // What is behind this cannot be read.
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(20 * PIECE_BYTES as u64).unwrap();
    let cancel = CancelToken::new();
    let tally = Tally::new(Step::new(Task::Hashing, 0), None, &cancel);
    let taken = Mutex::new(0);
    let take = |cut: Cut| {
        *taken.lock() += cut.range.end - cut.range.start;
        Ok(())
    };
    stream
        .cut(&Cuts::Content(1 << 18), &tally, &take)
        .unwrap_err();
    assert_eq!(taken.into_inner(), 20 << 20);
}

#[test]
fn whoever_takes_no_more_chunks_ends_the_pass() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("model.bin");
    // As many pieces as fill what waits, several times.
    fs::write(&path, vec![0; 30 * PIECE_BYTES]).unwrap();
    let stream = Stream::of(BTreeMap::from([(RelPath::parse("m").unwrap(), path)])).unwrap();
    let cancel = CancelToken::new();
    let tally = Tally::new(Step::new(Task::Hashing, 0), None, &cancel);
    let refuse = |_| Err(Error::argument("no room"));
    let error = stream
        .cut(&Cuts::Content(1 << 18), &tally, &refuse)
        .unwrap_err();
    assert_eq!(error.to_string(), "no room");
    cancel.cancel();
    let error = stream
        .cut(&Cuts::Content(1 << 18), &tally, &|_| Ok(()))
        .unwrap_err();
    assert!(error.is_cancelled());
}

#[test]
fn a_file_that_cannot_be_read_ends_all_passes() {
    let temp = tempfile::tempdir().unwrap();
    let mut files = BTreeMap::new();
    for number in 0..6 {
        let path = temp.path().join(number.to_string());
        fs::write(&path, vec![0; 3 * PIECE_BYTES]).unwrap();
        files.insert(RelPath::parse(&number.to_string()).unwrap(), path);
    }
    let stream = Stream::of(files).unwrap();
    let file = fs::File::options().write(true).open(temp.path().join("2"));
    file.unwrap().set_len(0).unwrap();
    let cancel = CancelToken::new();
    let tally = Tally::new(Step::new(Task::Hashing, 0), None, &cancel);
    let cuts = Cuts::Content(1 << 18);
    // Those that ended because of it say nothing of their own.
    let error = stream.cut(&cuts, &tally, &|_| Ok(())).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Storage { .. }),
        "{error:?}"
    );
    let run = |failure: OnceLock<Error>| {
        let pass = Pass {
            stream: &stream,
            parts: &stream.parts[..1],
            cuts: &cuts,
            tally: &tally,
            take: &|_| Ok(()),
            failure: &failure,
        };
        pass.run()
    };
    assert_eq!(run(OnceLock::new()).unwrap().len(), 1);
    assert!(run(OnceLock::from(error)).unwrap_err().is_cancelled());
}
