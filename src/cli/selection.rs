//! Which rows of a list are shown, and in which order: `--filter`, `--sort` and `--limit`.

use std::cmp::Reverse;
use std::time::SystemTime;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::args::{all, option, text, value};
use super::filter::{Facts, Filter};

const FILTER: &str = "modelrack_filter";
const SORT: &str = "modelrack_sort";
const LIMIT: &str = "modelrack_limit";

/// Creates the options.
pub(super) fn options() -> [Arg; 3] {
    [
        option(FILTER, "EXPR")
            .help(
                "Only what meets a condition on size, age, name, type, source or status, such as \
                 'size>1GB', 'age>30d' or 'name=whisper/*'; several must all be met",
            )
            .value_parser(value_parser!(Filter))
            .action(ArgAction::Append),
        option(SORT, "KEY")
            .help(
                "Sort by size (largest first), age (oldest first) or name; unknown ones come last",
            )
            .value_parser(PossibleValuesParser::new(["size", "age", "name"])),
        option(LIMIT, "N")
            .help("Show at most N, and say how many are not shown")
            .value_parser(value_parser!(u32).range(1..)),
    ]
}

/// What the options say.
pub(super) struct Selection<'a> {
    filters: Vec<Filter>,
    sort: Option<&'a str>,
    /// How many may still be shown.
    room: Option<usize>,
    now: SystemTime,
    /// How many the limit leaves out.
    pub(super) not_shown: Option<usize>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(matches: &'a ArgMatches) -> Self {
        let limit = value::<u32>(matches, LIMIT).copied();
        Self {
            filters: all(matches, FILTER),
            sort: text(matches, SORT),
            room: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            now: SystemTime::now(),
            not_shown: limit.map(|_| 0),
        }
    }

    pub(super) fn is_filtered(&self) -> bool {
        !self.filters.is_empty()
    }

    pub(super) fn is_limited(&self) -> bool {
        self.room.is_some()
    }

    /// Filters and sorts a list, and cuts it to what of the limit earlier lists have left.
    pub(super) fn apply<T>(&mut self, list: &mut Vec<T>)
    where
        for<'f> Facts<'f>: From<&'f T>,
    {
        let (filters, now) = (&self.filters, self.now);
        if !filters.is_empty() {
            list.retain(|item| {
                let facts = item.into();
                filters.iter().all(|filter| filter.matches(&facts, now))
            });
        }
        // Equal and unknown ones stay in the order of names.
        match self.sort {
            Some("size") => list.sort_by_cached_key(|item| Reverse(Facts::from(item).size)),
            Some("age") => list.sort_by_cached_key(|item| {
                let since = Facts::from(item).since;
                (since.is_none(), since)
            }),
            Some(_) => list.sort_by_cached_key(|item| Facts::from(item).name.clone()),
            None => {}
        }
        if let (Some(room), Some(not_shown)) = (&mut self.room, &mut self.not_shown) {
            *not_shown += list.len().saturating_sub(*room);
            list.truncate(*room);
            *room -= list.len();
        }
    }
}
