use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use super::*;
use crate::catalog::RemoteModel;
use crate::progress::CancelToken;

fn store(name: &str) -> Layout {
    let root =
        std::env::temp_dir().join(format!("modelrack-partial-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&root);
    Layout::new(root, "rack")
}

fn claim(layout: &Layout, model: &ModelRef) -> PartialWriter {
    claim_with(layout, model, false)
}

fn claim_with(layout: &Layout, model: &ModelRef, is_alone: bool) -> PartialWriter {
    claim_under(None, layout, model, &manifest(), is_alone)
}

pub(super) fn claim_under(
    boot: Option<&str>,
    layout: &Layout,
    model: &ModelRef,
    manifest: &Manifest,
    is_alone: bool,
) -> PartialWriter {
    let claim = Claim {
        remote: &RemoteModel::new(model.clone(), "", manifest.digest()),
        manifest,
        model_type: None,
        is_alone,
        boot,
        unsettled: None,
    };
    PartialWriter::claim(layout, &claim).unwrap()
}

/// Two files, of which only the first has a digest.
fn half_proven() -> Manifest {
    let json = br#"{"total_size":9,"files":[{"path":"a","size":5,
        "sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},{"path":"b","size":4}]}"#;
    Manifest::parse(json.to_vec(), "here").unwrap()
}

fn set<const N: usize>(ranges: [Range<u64>; N]) -> RangeSet {
    ranges.into_iter().collect()
}

fn manifest() -> Manifest {
    let json = br#"{"total_size":6,"chunk_size":4,"chunks":["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"],
        "files":[{"path":"a/x","size":5},{"path":"empty","size":0},{"path":"y","size":1}]}"#;
    Manifest::parse(json.to_vec(), "here").unwrap()
}

#[test]
fn a_journal_survives_a_cut_line() {
    let layout = store("journal");
    let model = ModelRef::new("g", "m", "v").unwrap();
    let partial = claim(&layout, &model);
    partial.lay_out(&manifest()).unwrap();
    partial.note(&(0..2)).unwrap();
    partial.note(&(5..6)).unwrap();
    let path = partial.dir().join("journal");
    drop(partial);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"2-6").unwrap();
    let again = claim(&layout, &model);
    assert_eq!(again.resumed(&manifest()), set([0..2, 5..6]));
    again.note(&(2..4)).unwrap();
    assert_eq!(journal::read(&path), set([0..4, 5..6]));
    fs::remove_dir_all(layout.root()).unwrap();
}

#[test]
fn what_the_files_do_not_reach_is_not_there() {
    let layout = store("reach");
    let partial = claim(&layout, &ModelRef::new("g", "m", "v").unwrap());
    partial.lay_out(&manifest()).unwrap();
    partial.note(&(0..6)).unwrap();
    drop(partial);
    let again = claim(&layout, &ModelRef::new("g", "m", "v").unwrap());
    assert_eq!(again.resumed(&manifest()), set([0..6]));
    fs::write(again.files_dir().join("a").join("x"), "12").unwrap();
    assert_eq!(again.resumed(&manifest()), set([0..2, 5..6]));
    fs::remove_file(again.files_dir().join("y")).unwrap();
    assert_eq!(again.resumed(&manifest()), set([0..2]));
    fs::remove_dir_all(layout.root()).unwrap();
}

#[test]
fn sizes_that_turned_out_are_kept() {
    let layout = store("sizes");
    let model = ModelRef::new("g", "m", "v").unwrap();
    let here = MeasuredFile {
        size_bytes: 5,
        is_here: true,
    };
    let elsewhere = MeasuredFile {
        size_bytes: 7,
        is_here: false,
    };
    let partial = claim(&layout, &model);
    partial.note_measured(0, &here).unwrap();
    let path = partial.dir().join("sizes");
    drop(partial);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"1 99").unwrap();
    let mut again = claim(&layout, &model);
    again.note_measured(2, &elsewhere).unwrap();
    assert_eq!(again.measured(), [(0, here), (2, elsewhere)]);
    again.set_manifest(&manifest(), &[0]).unwrap();
    assert_eq!(again.resumed(&manifest()), set([]), "nothing was written");
    again.lay_out(&manifest()).unwrap();
    assert_eq!(again.resumed(&manifest()), set([0..5]));
    fs::remove_dir_all(layout.root()).unwrap();
}

#[test]
fn what_has_come_of_a_file_of_unknown_size_is_kept() {
    let layout = store("begun");
    let model = ModelRef::new("g", "m", "v").unwrap();
    let partial = claim(&layout, &model);
    partial.note_begun(0, 3).unwrap();
    partial.note_begun(2, 1).unwrap();
    partial.note_begun(0, 4).unwrap();
    let path = partial.dir().join("sizes");
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"0 77").unwrap();
    let again = claim(&layout, &model);
    assert_eq!(again.begun(), HashMap::from([(0, 4), (2, 1)]));
    assert_eq!(again.measured(), []);
    let mut unmeasured = Partial::read(again.dir()).unwrap();
    unmeasured.record.total_size = None;
    assert_eq!(unmeasured.bytes(), 5);
    let here = MeasuredFile {
        size_bytes: 5,
        is_here: true,
    };
    again.note_measured(0, &here).unwrap();
    assert_eq!(
        unmeasured.bytes(),
        6,
        "a file that is measured has its size"
    );
    fs::remove_dir_all(layout.root()).unwrap();
}

#[test]
fn members_of_another_state_of_a_zip_go_unless_a_digest_vouches_for_them() {
    let layout = store("members");
    let model = ModelRef::new("g", "m", "v").unwrap();
    let [one, other] = [b"one", b"two"].map(|state| Digest::of(state));
    let mut partial = claim(&layout, &model);
    partial.lay_out(&manifest()).unwrap();
    let members = partial.begin_members(&one, &manifest()).unwrap();
    members.extend(1, 0).unwrap().write_all(b"12345").unwrap();
    // The first chunk, and half of the second.
    partial.note(&(0..5)).unwrap();

    let mut again = claim(&layout, &model);
    let members = again.begin_members(&one, &manifest()).unwrap();
    assert_eq!((members.bytes(0), members.bytes(1)), (0, 5));
    assert_eq!(again.resumed(&manifest()), set([0..5]));
    members.extend(1, 3).unwrap().write_all(b"x").unwrap();
    assert_eq!(fs::read(members.path(1)).unwrap(), b"123x");
    let mut full = members;
    full.has_room = false;
    assert!(full.extend(0, 0).is_none());

    let members = again.begin_members(&other, &manifest()).unwrap();
    assert_eq!(members.bytes(1), 0);
    assert_eq!(again.resumed(&manifest()), set([0..4]));
    let mut again = claim(&layout, &model);
    assert_eq!(again.resumed(&manifest()), set([0..4]));
    // As if it had never been there.
    let members = again.begin_members(&one, &manifest()).unwrap();
    assert_eq!(members.bytes(1), 0);
    fs::remove_dir_all(layout.root()).unwrap();
}

#[test]
fn writes_go_to_the_files_they_belong_to() {
    let layout = store("write");
    let partial = claim(&layout, &ModelRef::new("g", "m", "v").unwrap());
    partial.lay_out(&manifest()).unwrap();
    let files = partial.files(&Arc::new(manifest()));
    files.write(4, b"56").unwrap();
    files.write(0, b"1234").unwrap();
    let mut back = [0_u8; 3];
    files.read(3, &mut back).unwrap();
    assert_eq!(&back, b"456");
    assert_eq!(
        fs::read(partial.files_dir().join("a").join("x")).unwrap(),
        b"12345"
    );
    assert_eq!(fs::read(partial.files_dir().join("y")).unwrap(), b"6");
    assert_eq!(fs::read(partial.files_dir().join("empty")).unwrap(), b"");
    fs::remove_dir_all(layout.root()).unwrap();
}

#[test]
fn a_partial_in_use_elsewhere_is_left_alone() {
    let layout = store("claim");
    let model = ModelRef::new("g", "m", "v").unwrap();
    let mut first = claim(&layout, &model);
    // As if another host had written it a moment ago.
    first.record.host = "another-host.example".into();
    first.write_record().unwrap();
    first.lay_out(&manifest()).unwrap();
    first.files(&Arc::new(manifest())).write(1, b"234").unwrap();
    first.note(&(1..4)).unwrap();
    let mut second = claim(&layout, &model);
    assert_ne!(first.dir(), second.dir());
    // What it has can be copied.
    let manifest = Arc::new(manifest());
    let never = CancelToken::new();
    second.take_from_others(&layout, &manifest, &never).unwrap();
    assert_eq!(second.resumed(&manifest), set([1..4]));
    let mut bytes = [0; 3];
    second.files(&manifest).read(1, &mut bytes).unwrap();
    assert_eq!(&bytes, b"234");
    // A lock that keeps everybody off shows that its writer is gone.
    assert_eq!(claim_with(&layout, &model, true).dir(), first.dir());
    first.write_record().unwrap();
    // And an hour ago.
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let journal = OpenOptions::new().append(true).open(first.journal.path());
    journal.unwrap().set_modified(hour_ago).unwrap();
    let third = claim(&layout, &model);
    assert_eq!(first.dir(), third.dir());
    fs::remove_dir_all(layout.root()).unwrap();
}

#[test]
fn a_partial_that_is_closed_still_records() {
    let layout = store("closed");
    let model = ModelRef::new("g", "m", "v").unwrap();
    let writer = claim(&layout, &model);
    writer.note(&(0..2)).unwrap();
    writer.close();
    writer.touch();
    writer.note(&(2..4)).unwrap();
    let partial = Partial::read(writer.dir()).unwrap();
    assert_eq!(partial.journal(), set([0..4]));
    fs::remove_dir_all(layout.root()).unwrap();
}

#[test]
fn of_what_another_boot_left_only_that_is_kept_which_digests_cover() {
    let layout = store("boots");
    let model = ModelRef::new("g", "m", "v").unwrap();
    let manifest = half_proven();
    let claim = |boot| claim_under(boot, &layout, &model, &manifest, true);
    let here = MeasuredFile {
        size_bytes: 4,
        is_here: true,
    };
    let first = claim(Some("1"));
    first.lay_out(&manifest).unwrap();
    first.note(&(0..9)).unwrap();
    for index in [0, 1] {
        first.note_measured(index, &here).unwrap();
        first.note_begun(index, 3).unwrap();
    }
    drop(first);
    assert_eq!(claim(Some("1")).resumed(&manifest), set([0..9]));
    let second = claim(Some("2"));
    assert_eq!(second.resumed(&manifest), set([0..5]));
    let measured: HashMap<_, _> = second.measured().into_iter().collect();
    assert_eq!(measured[&0], here);
    assert_eq!(measured[&1], MeasuredFile::missing(4), "its size is known");
    assert_eq!(second.begun(), HashMap::from([(0, 3), (1, 0)]));
    // Whatever was forgotten stays so under the boot that forgot it, and what it fetches itself is kept.
    second.note(&(5..7)).unwrap();
    drop(second);
    assert_eq!(claim(Some("2")).resumed(&manifest), set([0..7]));
    // Without a record, nobody knows which boot it was.
    fs::write(claim(Some("2")).dir().join("partial.json"), "").unwrap();
    assert_eq!(claim(Some("2")).resumed(&manifest), set([0..5]));
    fs::remove_dir_all(layout.root()).unwrap();
}

#[test]
fn what_another_boot_left_is_not_copied_without_a_digest() {
    let layout = store("copied-boots");
    let model = ModelRef::new("g", "m", "v").unwrap();
    let manifest = Arc::new(half_proven());
    let mut first = claim_under(Some("1"), &layout, &model, &manifest, false);
    // As if another host had written it a moment ago.
    first.record.host = "another-host.example".into();
    first.write_record().unwrap();
    first.lay_out(&manifest).unwrap();
    first.note(&(0..9)).unwrap();
    let mut second = claim_under(Some("2"), &layout, &model, &manifest, false);
    assert_ne!(first.dir(), second.dir());
    let never = CancelToken::new();
    second.take_from_others(&layout, &manifest, &never).unwrap();
    assert_eq!(second.resumed(&manifest), set([0..5]));
    fs::remove_dir_all(layout.root()).unwrap();
}

#[test]
fn a_clock_that_is_set_back_makes_nobody_idle_who_writes() {
    let layout = store("clock");
    let claimed = claim(&layout, &ModelRef::new("g", "m", "v").unwrap());
    let mut partial = Partial::read(claimed.dir()).unwrap();
    // Nobody here can tell whether its process is alive.
    partial.record.host = "another".to_owned();
    let now = SystemTime::now();
    let (soon, late) = (Duration::from_secs(30), Duration::from_secs(3600));
    for (touched_at, is_idle) in [
        (now - late, true),
        (now - soon, false),
        (now, false),
        (now + soon, false),
        (now + late, true),
    ] {
        partial.touched_at = touched_at;
        assert_eq!(partial.is_idle(), is_idle, "{touched_at:?}");
    }
    drop(claimed);
    fs::remove_dir_all(layout.root()).unwrap();
}
