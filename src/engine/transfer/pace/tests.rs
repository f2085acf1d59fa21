//! Servers as numbers, and a clock that is one.

use super::*;

const MIB: u64 = 1 << 20;
const STEP: Duration = Duration::from_millis(10);

/// What a server gives.
#[derive(Debug, Clone, Copy)]
struct Server {
    /// Bytes a second, for each connection and for all together.
    each: u64,
    total: u64,
    /// How many connections it takes.
    most: usize,
    latency: Duration,
    /// Whether it is a limit of the rate that makes the total.
    is_limited: bool,
    /// How many percent of the time a worker is busy with what came.
    busy: u32,
}

/// As many as the machine can have busy at once.
const PROCESSORS: usize = 2;

const OPEN: Server = Server {
    each: 20 * MIB,
    total: u64::MAX,
    most: usize::MAX,
    latency: Duration::from_millis(1),
    is_limited: false,
    busy: 3,
};

/// What became of a transfer.
#[derive(Debug, Default)]
struct Course {
    bytes: u64,
    held_back: u64,
    waited: Duration,
    refused: Vec<Duration>,
    /// Each number of connections that the pace allowed, and since when.
    limits: Vec<(Duration, usize)>,
}

impl Course {
    fn last(&self) -> usize {
        self.limits.last().unwrap().1
    }

    /// The most refusals within a minute.
    fn refusals(&self) -> usize {
        let within = |first: &Duration| {
            let later = self.refused.iter().filter(|at| *at >= first);
            later
                .filter(|at| **at - *first < Duration::from_secs(60))
                .count()
        };
        self.refused.iter().map(within).max().unwrap_or_default()
    }
}

/// Transfers without an end for so many seconds.
fn run(server: Server, seconds: u64) -> Course {
    let mut pace = Pace::new(PROCESSORS);
    let mut course = Course::default();
    // When each open connection was opened, and whether it is answered.
    let mut open: Vec<(Duration, bool)> = Vec::new();
    let mut at = Duration::ZERO;
    while at < Duration::from_secs(seconds) {
        let waited = course.waited;
        let moment = |open: &[(Duration, bool)], bytes, held_back| Moment {
            at,
            bytes,
            held_back,
            waited,
            open: open.len(),
            answered: open.iter().filter(|(_, is_answered)| *is_answered).count(),
        };
        open.truncate(pace.limit());
        while pace.may_open(moment(&open, course.bytes, course.held_back)) {
            open.push((at, false));
        }
        let mut index = 0;
        while let Some((since, is_answered)) = open.get(index).copied() {
            let now = moment(&open, course.bytes, course.held_back);
            if is_answered || at - since < server.latency {
                index += 1;
            } else if now.answered < server.most {
                open[index].1 = true;
                index += 1;
            } else {
                course.refused.push(at);
                let refusal = Refusal {
                    is_first: true,
                    has_status: false,
                    retry_after: None,
                };
                assert!(pace.refused(now, refusal));
                open.remove(index);
            }
        }
        let answered = moment(&open, 0, 0).answered as u64;
        let given = server.each * answered;
        course.waited += STEP * count(open.len()) * (100 - server.busy) / 100;
        course.bytes += given.min(server.total) / 100;
        if server.is_limited && given > server.total {
            course.held_back += server.total / 100;
        }
        pace.look(moment(&open, course.bytes, course.held_back));
        if course
            .limits
            .last()
            .is_none_or(|(_, limit)| *limit != pace.limit())
        {
            course.limits.push((at, pace.limit()));
        }
        at += STEP;
    }
    course
}

#[test]
fn connections_that_help_are_there_soon() {
    for (latency, soon, lost_millis) in [(1, 600, 350), (50, 900, 500), (200, 3_000, 2_000)] {
        let latency = Duration::from_millis(latency);
        let course = run(Server { latency, ..OPEN }, 10);
        assert_eq!(course.last(), 16, "{course:?}");
        assert!(
            course.limits.last().unwrap().0 < Duration::from_millis(soon),
            "{course:?}"
        );
        let all = 10 * 16 * OPEN.each;
        let lost = 1000 * (all - course.bytes) / (16 * OPEN.each);
        assert!(lost < lost_millis, "{lost} ms lost at {latency:?}");
    }
}

#[test]
fn connections_that_do_not_help_are_tried_seldom_and_go() {
    for total in [10 * MIB, 80 * MIB, 90 * MIB] {
        let course = run(Server { total, ..OPEN }, 120);
        assert_eq!(course.last(), 4, "{course:?}");
        let trials = course.limits.iter().filter(|(_, limit)| *limit > 4);
        assert!(trials.count() <= 4, "{course:?}");
        // All the time that there were more than four, together.
        let mut ends = course.limits.iter().skip(1).map(|(at, _)| *at);
        let tried = course
            .limits
            .iter()
            .map(|(at, limit)| match (limit, ends.next()) {
                (4, _) | (_, None) => Duration::ZERO,
                (_, Some(end)) => end - *at,
            });
        assert!(
            tried.sum::<Duration>() < Duration::from_secs(5),
            "{course:?}"
        );
    }
}

#[test]
fn connections_take_no_turns_on_busy_processors() {
    for (busy, expected) in [
        (30, [4, 8, 16].as_slice()),
        (40, &[4, 2, 4, 8, 16]),
        (50, &[4, 2, 4]),
        (75, &[4, 2, 3]),
        (100, &[4, 2]),
    ] {
        let course = run(Server { busy, ..OPEN }, 120);
        let limits: Vec<usize> = course.limits.iter().map(|(_, limit)| *limit).collect();
        assert_eq!(limits, expected, "{busy} %");
    }
}

#[test]
fn a_server_that_shares_the_busy_processors_needs_no_more_connections_than_bring_as_much() {
    let total = 3 * OPEN.each;
    for (percent, expected) in [(110, [4, 2, 4].as_slice()), (120, &[4, 2])] {
        let each = percent * OPEN.each / 100;
        let server = Server {
            each,
            total,
            busy: 50,
            ..OPEN
        };
        let course = run(server, 5);
        let limits: Vec<usize> = course.limits.iter().map(|(_, limit)| *limit).collect();
        assert_eq!(limits, expected, "{percent} %");
    }
}

#[test]
fn a_limit_of_the_rate_is_not_shared_between_more_connections() {
    for (total, expected) in [(10, [4].as_slice()), (100, &[4, 8]), (1000, &[4, 8, 16])] {
        let total = total * MIB;
        let limited = Server {
            total,
            is_limited: true,
            ..OPEN
        };
        let course = run(limited, 120);
        let limits: Vec<usize> = course.limits.iter().map(|(_, limit)| *limit).collect();
        assert_eq!(limits, expected, "{total}");
    }
}

#[test]
fn as_many_as_help_and_no_more() {
    // Half of a doubling counts, a tenth does not.
    for (total, expected) in [(100, 8), (160, 8), (170, 8), (240, 16)] {
        let course = run(
            Server {
                total: total * MIB,
                ..OPEN
            },
            9,
        );
        assert_eq!(course.last(), expected, "{total}: {course:?}");
    }
}

#[test]
fn a_server_that_takes_few_connections_has_few_to_refuse() {
    for most in 1..16 {
        for latency in [1, 30, 400].map(Duration::from_millis) {
            let course = run(
                Server {
                    most,
                    latency,
                    ..OPEN
                },
                600,
            );
            assert!(course.refusals() <= 3, "{most}, {latency:?}: {course:?}");
            // Four, or as many as there may be, bring as much as in a transfer that tries no more.
            let least = 4.min(most) as u64 * OPEN.each;
            let late = Duration::from_secs(2) + 3 * latency;
            assert!(
                course.bytes >= least * (600 - late.as_secs()),
                "{most}: {course:?}"
            );
        }
    }
}

fn settled(open: usize) -> (Pace, Moment) {
    let mut pace = Pace::new(PROCESSORS);
    (pace.limit, pace.proven) = (open, open);
    pace.step = Step::Resting { until: None };
    let at = Duration::from_secs(100);
    (
        pace,
        Moment {
            at,
            bytes: 0,
            held_back: 0,
            waited: Duration::MAX / 2,
            open,
            answered: open,
        },
    )
}

#[test]
fn a_server_that_limits_requests_gets_half_as_many_once() {
    let refusal = Refusal {
        is_first: false,
        has_status: true,
        retry_after: Some(Duration::from_secs(40)),
    };
    let (mut pace, mut now) = settled(16);
    let mut given_up = 0;
    while pace.refused(now, refusal) {
        given_up += 1;
        now.open -= 1;
    }
    assert_eq!(
        (given_up, pace.limit()),
        (8, 8),
        "the others wait as they are told"
    );
    now.at += Duration::from_secs(39);
    pace.look(now);
    assert!(
        matches!(pace.step, Step::Resting { .. }),
        "as long as the server asks for"
    );
    now.at += Duration::from_secs(1);
    pace.look(now);
    assert!(matches!(pace.step, Step::Opening { .. }));
}

#[test]
fn a_server_that_took_a_part_of_an_addition_by_chance_gets_fewer_still() {
    let refusal = Refusal {
        is_first: false,
        has_status: true,
        retry_after: None,
    };
    let (mut pace, mut now) = settled(16);
    pace.before = Some((8, 1000));
    for (open, limit) in [(16, 15), (15, 7), (7, 3)] {
        now.open = open;
        assert!(pace.refused(now, refusal), "{open}");
        assert_eq!(pace.limit(), limit);
    }
    now.open = 3;
    assert!(!pace.refused(now, refusal), "it refused three");
}

#[test]
fn who_is_refused_gives_up_its_connection() {
    let lost = Refusal {
        is_first: false,
        has_status: false,
        retry_after: None,
    };
    let first = Refusal {
        is_first: true,
        ..lost
    };
    let status = Refusal {
        has_status: true,
        ..lost
    };
    // How many there are, how one is refused, whether it is one too many, and how many there may be then.
    for (open, refusal, expected, limit) in [
        (1, first, false, 1),
        (1, status, false, 1),
        (16, first, true, 15),
        (16, status, true, 8),
        (16, lost, false, 16),
        (2, status, true, 1),
    ] {
        let (mut pace, now) = settled(open);
        let is_surplus = pace.refused(now, refusal);
        assert_eq!(
            (is_surplus, pace.limit()),
            (expected, limit),
            "{open}, {refusal:?}"
        );
    }
}

#[test]
fn one_that_stalls_is_replaced_later_each_time() {
    let mut pace = Pace::new(PROCESSORS);
    let mut stalled = |seconds| pace.is_stalled(Duration::from_secs(seconds));
    assert_eq!(
        [2, 3, 5, 6, 11, 12].map(&mut stalled),
        [false, true, false, true, false, true]
    );
}

#[test]
fn nothing_is_decided_without_bytes() {
    let mut pace = Pace::new(PROCESSORS);
    let mut now = Moment {
        at: Duration::ZERO,
        bytes: 0,
        held_back: 0,
        waited: Duration::MAX / 2,
        open: 4,
        answered: 4,
    };
    for _ in 0..100 {
        pace.look(now);
        now.at += Duration::from_millis(50);
    }
    assert_eq!(pace.limit(), 4);
}
