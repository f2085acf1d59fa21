//! Servers that stall or ask to wait.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use modelrack::{CancelToken, Manager, PullOptions};

use super::fixture::{Fixture, PLACES, Place, Spoil};
use crate::support::rack::quick_http;
use crate::support::recorder::Recorder;
use crate::support::server::Rule;
use crate::support::{address, chain};

#[test]
fn a_body_that_stalls_is_tried_again() {
    let mut http = quick_http();
    http.stall_timeout = Duration::from_millis(100);
    http.retry.retries = 1;
    for place in PLACES {
        for (what, spoil) in [
            ("before the answer", Rule::stall as Spoil),
            ("in the body", |rule| rule.stall_after(0)),
        ] {
            let fixture = Fixture::new();
            fixture.rack.server.rule(spoil(fixture.at(place)));
            let error = fixture
                .pull_with(http.clone(), PullOptions::default())
                .unwrap_err();
            assert_eq!(error.code(), "NETWORK_ERROR", "{what}, {place:?}");
            assert!(
                chain(&error).contains("timed out waiting for data"),
                "{}",
                chain(&error)
            );
            assert_eq!(fixture.requests_at(place), 2, "{what}, {place:?}");
            fixture.rack.server.clear_rules();
            fixture.rack.server.rule(spoil(fixture.at(place).times(1)));
            fixture
                .pull_with(http.clone(), PullOptions::default())
                .unwrap_or_else(|error| panic!("{what}, {place:?}: {error:?}"));
        }
    }
}

#[test]
fn a_server_that_asks_to_wait_is_waited_for_within_limits() {
    let in_an_hour = http_date(SystemTime::now() + Duration::from_secs(3600));
    let an_hour_ago = http_date(SystemTime::now() - Duration::from_secs(3600));
    // What it asks for, and the shortest and longest wait in milliseconds: a retry waits 1, 2, 4 ms and 20 ms at most.
    let fixture = Fixture::new();
    for (status, asked, from, to) in [
        (429, Some("0"), 0, 0),
        (503, Some("0"), 0, 0),
        (503, Some("7200"), 20, 20),
        (503, Some(in_an_hour.as_str()), 20, 20),
        (429, Some(an_hour_ago.as_str()), 0, 0),
        (429, Some("soon"), 1, 8),
        (503, Some("-5"), 0, 4),
        (429, None, 1, 8),
        (500, Some("7200"), 0, 4),
    ] {
        fixture.rack.server.clear_rules();
        let mut rule = fixture.at(Place::Chunk).times(3).status(status);
        if let Some(asked) = asked {
            rule = rule.header("retry-after", asked);
        }
        fixture.rack.server.rule(rule);
        let recorder = Arc::new(Recorder::default());
        let options = PullOptions::default().progress(recorder.clone());
        fixture.pull_with(quick_http(), options).unwrap();
        let waits: Vec<u128> = recorder
            .events()
            .iter()
            .filter_map(|event| match event {
                modelrack::ProgressEvent::Retrying { wait, .. } => Some(wait.as_millis()),
                _ => None,
            })
            .collect();
        assert_eq!(waits.len(), 3);
        assert!(
            waits.iter().all(|wait| (from..=to).contains(wait)),
            "{status} {asked:?}: {waits:?}"
        );
        let gone = CancelToken::new();
        fixture
            .rack
            .manager()
            .remove(&address("g/m v2"), &gone)
            .unwrap();
    }
}

#[test]
fn being_limited_says_for_how_long() {
    let fixture = Fixture::new();
    fixture.rack.server.rule(
        fixture
            .at(Place::Index)
            .status(429)
            .header("retry-after", "7200"),
    );
    let error = fixture.pull().unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7200)));
    // Nobody waits for so long, and whoever asks sooner is refused again.
    assert_eq!(fixture.requests_at(Place::Index), 1);
    fixture.assert_nothing_lost();
}

/// As RFC 9110 has it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(time: SystemTime) -> String {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let (days, second) = (seconds / 86400, seconds % 86400);
    let weekday =
        ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(days % 7).unwrap()];
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let lengths = [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{weekday}, {:02} {} {year} {hour:02}:{minute:02}:{:02} GMT",
        day + 1,
        months[month],
        second % 60
    )
}
