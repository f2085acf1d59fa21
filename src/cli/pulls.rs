//! Pulling several models at once, for `pull` with patterns or with several names.

use std::collections::BTreeMap;

use serde::Serialize;

use super::failure::CliResult;
use super::pulled::print_pulled;
use super::render;
use super::session::Session;
use super::several::{Failures, Word};
use super::table::Table;
use crate::lock::LockedOptions;
use crate::pull::MatchingReport;
use crate::{ModelRef, PullOptions, PullPlan, PullReport};

/// The document of several pulls.
#[derive(Serialize)]
struct Pulls {
    models: Vec<PullReport>,
    bytes_archives: u64,
}

/// The document of several plans.
#[derive(Serialize)]
struct Plans {
    models: Vec<PullPlan>,
}

/// Pulls all of them, and says of each how that ended.
pub(super) fn run(session: &Session, words: &[Word], options: &PullOptions) -> CliResult {
    let manager = &session.manager;
    let mut failures = Failures::of(words);
    let report = session.metered_as(&work(words), |meter| -> CliResult<_> {
        let options = options.clone().progress(meter);
        Ok(match words {
            // Without plans, the pull of each model fetches its manifest.
            [pattern] => manager.pull_matching(&pattern.pattern()?, &options)?,
            _ => manager.execute_all(&find(session, words, &options, &mut failures)?)?,
        })
    })?;
    show(session, report, &mut failures)
}

fn show(session: &Session, report: MatchingReport, failures: &mut Failures) -> CliResult {
    let MatchingReport {
        pulled,
        failed,
        bytes_archives,
    } = report;
    for failed in failed {
        failures.push(failed.model, failed.error);
    }
    let pulls = Pulls {
        models: pulled,
        bytes_archives,
    };
    failures.show(session, &pulls, || {
        let mut models = pulls.models.iter();
        models.try_for_each(|pulled| print_pulled(session, pulled))?;
        session.say(sum(&pulls, failures.len()))
    })
}

/// Pulls what a lock says, or shows what that would take.
pub(super) fn locked(session: &Session, locked: &LockedOptions, is_dry_run: bool) -> CliResult {
    let manager = &session.manager;
    let mut failures = Failures::of_many();
    let with_meter = |meter| LockedOptions {
        pull: locked.pull.clone().progress(meter),
        ..locked.clone()
    };
    if is_dry_run {
        let models = session.metered(|meter| manager.plan_locked(&with_meter(meter)))?;
        let plans = Plans { models };
        return failures.show(session, &plans, || print_plans(session, &plans.models));
    }
    let report = session.metered(|meter| manager.pull_locked(&with_meter(meter)))?;
    show(session, report, &mut failures)
}

/// Shows what pulling all of them would take.
pub(super) fn plan(session: &Session, words: &[Word], options: &PullOptions) -> CliResult {
    let mut failures = Failures::of(words);
    let models = session.metered_as(&work(words), |meter| {
        let options = options.clone().progress(meter);
        find(session, words, &options, &mut failures)
    })?;
    let plans = Plans { models };
    failures.show(session, &plans, || print_plans(session, &plans.models))
}

fn work(words: &[Word]) -> String {
    match words {
        [word] => format!("Looking up {word}"),
        words => format!("Looking up {}", render::count(words.len(), "model")),
    }
}

/// Plans the pull of each model once, however often it is named.
fn find(
    session: &Session,
    words: &[Word],
    options: &PullOptions,
    failures: &mut Failures,
) -> CliResult<Vec<PullPlan>> {
    let manager = &session.manager;
    let mut plans: BTreeMap<ModelRef, PullPlan> = BTreeMap::new();
    for word in words {
        let found = match word.is_pattern() {
            true => (word.pattern()).and_then(|it| manager.plan_matching(&it, options)),
            false => (word.address()).and_then(|it| Ok(vec![manager.plan_pull(&it, options)?])),
        };
        let found = found.map_err(|error| error.step(format!("pull {word}")).into());
        let found = failures.keep(word, found)?.into_iter().flatten();
        plans.extend(found.map(|plan| (plan.model.clone(), plan)));
    }
    Ok(plans.into_values().collect())
}

fn sum(pulls: &Pulls, failed: usize) -> String {
    let models = render::count(pulls.models.len(), "model");
    let failed = match failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let files = pulls.models.iter().map(|pulled| pulled.bytes_fetched);
    let fetched = render::size(pulls.bytes_archives + files.sum::<u64>());
    let archives = match pulls.bytes_archives {
        0 => String::new(),
        bytes => format!(", {} of it as archives", render::size(bytes)),
    };
    format!("{models}{failed}: {fetched} downloaded{archives}")
}

fn print_plans(session: &Session, plans: &[PullPlan]) -> CliResult {
    let rows = plans.iter().map(|plan| {
        [
            plan.model.name().to_string(),
            plan.model.version().to_owned(),
            if plan.installed { "installed" } else { "-" }.to_owned(),
            render::count(plan.files, "file"),
            render::size(plan.bytes_to_fetch),
        ]
    });
    let head = ["MODEL", "VERSION", "STATE", "FILES", "TO DOWNLOAD"];
    Table::new(head, rows).named_by(2).state(2).print(session)?;
    let installed = plans.iter().filter(|plan| plan.installed).count();
    let installed = match installed {
        0 => String::new(),
        number => format!(", {number} installed"),
    };
    let bytes = plans.iter().map(|plan| plan.bytes_to_fetch).sum();
    let models = render::count(plans.len(), "model");
    session.sum_up(&[format!(
        "{models}{installed}: {} to download",
        render::size(bytes)
    )])
}
