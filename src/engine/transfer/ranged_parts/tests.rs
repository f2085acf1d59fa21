//! Several ranges from one response, of a server without a network.

use std::io::{Cursor, Read};
use std::sync::Arc;

use super::*;
use crate::catalog::RemoteModel;
use crate::config::RetryPolicy;
use crate::digest::Digest;
use crate::engine::transfer::Transfer;
use crate::engine::transfer::connections::Queue;
use crate::engine::transfer::plan::{Origin, Task};
use crate::engine::transfer::tally::Tally;
use crate::http::Client;
use crate::http::call::Call;
use crate::http::transport::{Request, Response, Transport, TransportError};
use crate::manifest::{Manifest, ManifestFile};
use crate::model::ModelRef;
use crate::mutex::Mutex;
use crate::progress::{CancelToken, Silent};
use crate::range_set::RangeSet;
use crate::relpath::RelPath;
use crate::settings::Offline;
use crate::source::places::{DigestPlaces, Places};
use crate::store::layout::Layout;
use crate::store::partial::{Claim, PartialWriter};
use crate::url::Url;

const SIZE: usize = 100;
const RANGES: [Range<u64>; 3] = [10..30, 30..60, 60..100];

/// How a server answers.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Range,
    /// With the range, of which only so many bytes come; and then no more.
    Cut(usize),
    Whole,
}

#[derive(Debug)]
struct Net {
    manner: Manner,
    asked: Mutex<Vec<String>>,
}

fn bytes() -> Vec<u8> {
    (0..u8::try_from(SIZE).unwrap()).collect()
}

impl Transport for Net {
    fn get(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let mut headers = request.headers.iter();
        let (_, range) = headers.find(|(name, _)| *name == "range").unwrap();
        let range = range.expose().to_owned();
        let ends = range.strip_prefix("bytes=").unwrap().split_once('-');
        let (begin, last) = ends.unwrap();
        let (begin, end) = (
            begin.parse::<usize>().unwrap(),
            last.parse::<usize>().unwrap() + 1,
        );
        let mut asked = self.asked.lock();
        asked.push(range.clone());
        let header = |name: &str, value: String| (name.to_owned(), value);
        let length = header("content-length", (end - begin).to_string());
        let place = format!("bytes {begin}-{last}/{SIZE}");
        let place = header("content-range", place);
        let (status, headers, body) = match self.manner {
            Manner::Cut(_) if asked.len() > 1 => (404, vec![], vec![]),
            Manner::Cut(size) => (206, vec![length, place], bytes()[begin..][..size].to_vec()),
            Manner::Range => (206, vec![length, place], bytes()[begin..end].to_vec()),
            Manner::Whole => (200, vec![], bytes()),
        };
        let body: Box<dyn Read + Send> = Box::new(Cursor::new(body));
        Ok(Response {
            status,
            headers,
            body,
        })
    }
}

/// Fetches the ranges at once; returns what was asked for, what is complete, and what is left to do.
fn fetch(manner: Manner) -> (Vec<String>, Vec<Range<u64>>, Vec<Range<u64>>) {
    let temp = tempfile::tempdir().unwrap();
    let mut file = ManifestFile::new(RelPath::parse("weights").unwrap());
    file.size_bytes = Some(SIZE as u64);
    file.digest = Some(Digest::of(&bytes()).into());
    let manifest = Arc::new(Manifest::of_files(vec![file], "", "here").unwrap());
    let model = ModelRef::new("g", "m", "v").unwrap();
    let claim = Claim {
        remote: &RemoteModel::new(model.clone(), "", manifest.digest()),
        manifest: &manifest,
        model_type: None,
        is_alone: false,
        boot: None,
        unsettled: None,
    };
    let layout = Layout::new(temp.path().to_owned(), "rack");
    let partial = PartialWriter::claim(&layout, &claim).unwrap();
    partial.lay_out(&manifest).unwrap();
    let places = Places::ByDigest(DigestPlaces {
        bases: vec![Url::parse("https://models.example/").unwrap()],
        path: |digest| digest.to_string(),
        authority: None,
        elsewhere: Vec::new(),
    });
    let net = Arc::new(Net {
        manner,
        asked: Mutex::default(),
    });
    let policy = RetryPolicy::default();
    let client = Client::new(net.clone(), policy, Offline::No);
    let call = Call::new(client, CancelToken::new(), Arc::new(Silent));
    let tally = Tally::new(model.to_string().parse().unwrap(), &call);
    let transfer = Transfer {
        manifest: &manifest,
        partial: &partial,
        members: None,
        places: &places,
        call: &call,
        tally: &tally,
        connections: Some(1),
    };
    let task = Task {
        part: 0,
        twins: Vec::new(),
        origin: Origin::Ranges(RANGES.to_vec()),
    };
    let files = Arc::new(partial.files(&manifest));
    let round = Round::new(&transfer, files, vec![task], RangeSet::default(), 0).unwrap();
    let run = |round: &Round<'_>| {
        let now = std::time::Instant::now();
        while round.jobs.lock().take(0, now).is_some() {}
        round.fetch_run(0, &RANGES, &mut [0; 16]).unwrap();
    };
    run(&round);
    let mut left = Vec::new();
    while let Some(job) = round.jobs.lock().take(0, std::time::Instant::now()) {
        let Job::Range(0, range) = job else {
            panic!("{job:?}");
        };
        assert!(round.full_responses.is_wanted(0, &range), "{range:?}");
        left.push(range);
    }
    let complete = round.written.ranges.lock().iter().collect();
    let asked = net.asked.lock().clone();
    (asked, complete, left)
}

#[test]
fn one_response_brings_all_ranges() {
    let (asked, complete, left) = fetch(Manner::Range);
    assert_eq!(asked, ["bytes=10-99"]);
    assert_eq!((complete, left), (vec![0..100], vec![]));
}

#[test]
fn what_a_response_does_not_bring_is_left_to_others() {
    let (asked, complete, left) = fetch(Manner::Cut(35));
    assert_eq!(asked, ["bytes=10-99", "bytes=45-99"], "and no more");
    assert_eq!(complete, [0..45]);
    assert_eq!(left, [45..60, 60..100]);
}

#[test]
fn a_whole_response_is_left_to_who_can_receive_it() {
    let (asked, complete, left) = fetch(Manner::Whole);
    assert_eq!(asked, ["bytes=10-99"]);
    assert_eq!((complete, left), (vec![0..10], RANGES.to_vec()));
}
