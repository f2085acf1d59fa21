//! Partials of other models and other states, old ones, and models of many files.

use modelrack::{Manager, PullOptions};

use crate::support::disk::age;
use crate::support::rack::{CHUNK, Rack, chunks_but, sample};
use crate::support::registry::HandMade;
use crate::support::{address, bytes};

/// A pull of `g/m v1` that ended at its sixth chunk.
fn interrupted() -> Rack {
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &sample());
    rack.server
        .rule(chunks_but(&[&published]).nth(6).status(404));
    let options = PullOptions::default().concurrency(1);
    rack.manager()
        .pull(&address("g/m v1"), &options)
        .unwrap_err();
    rack.server.clear_rules();
    rack.server.reset_counts();
    rack
}

#[test]
fn a_partial_of_an_older_state_gives_what_it_has_and_goes() {
    let rack = interrupted();
    let mut files = sample();
    files[0].1 = b"{\"layers\": 3}".to_vec();
    let published = rack.publish("g/m v1", &files);
    let report = rack.pull("g/m v1").unwrap();
    // Five of the ten chunks of the large file were there; the small files share one that changed.
    assert_eq!(rack.chunk_requests(&[&published]).len(), 6);
    assert_eq!(report.bytes_reused, 5 * CHUNK as u64);
    rack.assert_files("g/m v1", &files);
    assert!(rack.cache().is_empty());
    assert_eq!(rack.listed(), (vec!["g/m v1".into()], vec![]));
}

#[test]
fn a_partial_of_another_model_gives_what_it_has_and_stays() {
    let rack = interrupted();
    let published = rack.publish("g/other v1", &sample());
    rack.pull("g/other v1").unwrap();
    assert_eq!(rack.chunk_requests(&[&published]).len(), 6);
    rack.assert_files("g/other v1", &sample());
    assert_eq!(
        rack.listed(),
        (vec!["g/other v1".into()], vec!["g/m v1".into()])
    );
    // And takes the rest from the other.
    rack.server.reset_counts();
    rack.pull("g/m v1").unwrap();
    assert!(rack.chunk_requests(&[&published]).is_empty());
    rack.assert_files("g/m v1", &sample());
    assert!(rack.cache().is_empty());
}

#[test]
fn a_partial_that_nobody_came_back_to_for_a_day_goes_on_the_next_pull() {
    for (hours, stays) in [(23, true), (25, false)] {
        let rack = interrupted();
        let partial = rack.store().join("cache").join(&rack.cache()[0]);
        age(&partial.join("journal"), hours);
        rack.publish("g/other v1", &[("a", "1")]);
        rack.pull("g/other v1").unwrap();
        assert_eq!(partial.exists(), stays, "{hours} hours");
    }
}

#[test]
fn an_old_partial_of_the_very_model_is_resumed() {
    let rack = interrupted();
    let partial = rack.store().join("cache").join(&rack.cache()[0]);
    age(&partial.join("journal"), 48);
    let report = rack.pull("g/m v1").unwrap();
    assert!(report.bytes_resumed > 0);
    rack.assert_sample_installed();
}

#[test]
fn a_model_of_many_small_files_comes_whole() {
    let names: Vec<String> = (0..300)
        .map(|number| format!("d{}/f{number:03}", number % 7))
        .collect();
    let contents: Vec<Vec<u8>> = (0..300)
        .map(|number| bytes(number % 50, number as u64))
        .collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .zip(&contents)
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    // Each chunk spans many files, and each file is its own part of it.
    let rack = Rack::new();
    HandMade::plain(&files, 1000).serve_as(&rack.server, "g", "m", "v1");
    rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &files);
    let published = rack.publish("g/n v1", &files);
    rack.server.remove("/models.json");
    let report = rack.pull("g/n v1").unwrap();
    assert_eq!(report.files, 300);
    assert_eq!(report.total_bytes, published.total_bytes);
    rack.assert_files("g/n v1", &files);
}
