//! `pull`: download models.

use std::path::PathBuf;

use clap::{ArgAction, ArgMatches, Command, value_parser};

use super::args::{self, FROZEN, LOCKED, Which, all, flag, is_set, option, string, value};
use super::failure::CliResult;
use super::pulled::print_pulled;
use super::session::Session;
use super::{Mount, pulls, render, several};
use crate::PullPlan;
use crate::lock::{DEFAULT_FILE, LockedOptions};

const INCLUDE: &str = "modelrack_include";
const EXCLUDE: &str = "modelrack_exclude";
const REQUIRE_HASHES: &str = "modelrack_require-hashes";

pub(super) const EXAMPLES: &str = "
    pull fast-whisper/tiny fp16                     one version
    pull fast-whisper/tiny@fp16                     the same
    pull whisper/tiny@fp16 whisper/base             several models at once
    pull fast-whisper/tiny --dry-run                show how much it would download
    pull mf6/test@develop/test001a                  from a branch of a repository
    pull hf/openai/whisper-tiny --include '*.json'  some of the files
    pull fast-whisper/tiny --limit-rate 20M         leave some of the network to others
    pull 'mf6/test@develop/*'                       all models of a branch
    pull --locked                                   exactly what models.lock says
    pull --frozen=ci.lock whisper/tiny              a model of it, whatever is offered now
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let globs = |id| option(id, "GLOB").action(ArgAction::Append);
    let lock = |id, other| {
        option(id, "FILE")
            .value_parser(value_parser!(PathBuf))
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value(DEFAULT_FILE)
            .conflicts_with_all([other, INCLUDE, EXCLUDE])
            .help_heading("Lock options")
    };
    let [model, more] = several::models(mount, Which::Offered, false);
    command
        .about("Download and verify models, or resume interrupted pulls")
        .args([model.required_unless_present_any([LOCKED, FROZEN]), more])
        .args([
            lock(LOCKED, FROZEN).help(
                "Pull exactly what a lock says, all of it or the models named; fail if the sources \
                 offer something else [default: models.lock]",
            ),
            lock(FROZEN, LOCKED).help(
                "The same, but ask no source what it offers: what is missing comes by its digest \
                 from wherever it is [default: models.lock]",
            ),
        ])
        .args([
            flag(args::FORCE).help("Replace a model that is already installed with a new copy"),
            flag(args::DRY_RUN).help("Only show what would be downloaded"),
            globs(INCLUDE).help("Only files that match; may be repeated"),
            globs(EXCLUDE).help("No files that match; may be repeated"),
            option(args::TYPE, "TYPE")
                .help("Record this type instead of the source's, such as text-generation"),
            flag(REQUIRE_HASHES).help("Refuse a model if a file has no digest"),
            args::concurrency(),
            args::limit_rate(),
        ])
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let mut options = session
        .pull_options(matches)
        .include(all::<String>(matches, INCLUDE))
        .exclude(all::<String>(matches, EXCLUDE))
        .force(is_set(matches, args::FORCE))
        .require_hashes(is_set(matches, REQUIRE_HASHES));
    options.model_type = string(matches, args::TYPE);
    let (manager, is_dry_run) = (&session.manager, is_set(matches, args::DRY_RUN));
    let locks = [(LOCKED, false), (FROZEN, true)];
    for (id, frozen) in locks {
        if let Some(file) = value::<PathBuf>(matches, id) {
            let locked = LockedOptions::default().file(file).frozen(frozen);
            let named = several::locked(matches, file)?;
            let locked = locked.models(named.models).patterns(named.patterns);
            let locked = locked.pull(options);
            return pulls::locked(session, &locked, is_dry_run);
        }
    }
    let words = several::words(session, matches, Which::Offered)?;
    let address = match words.as_slice() {
        [word] if !word.is_pattern() => word.address()?,
        _ if is_dry_run => return pulls::plan(session, &words, &options),
        _ => return pulls::run(session, &words, &options),
    };
    let work = format!("Looking up {address}");
    if is_dry_run {
        let plan = session.metered_as(&work, |meter| {
            manager.plan_pull(&address, &options.progress(meter))
        })?;
        return session.show(&plan, || print_plan(session, &plan));
    }
    let report = session.metered_as(&work, |meter| {
        manager.pull(&address, &options.progress(meter))
    })?;
    session.show(&report, || {
        print_pulled(session, &report)?;
        session.say(report.path.display())
    })
}

fn print_plan(session: &Session, plan: &PullPlan) -> CliResult {
    if plan.installed {
        return session.print(format!("{} is already installed", plan.model));
    }
    let size = |bytes, count: usize, noun| {
        let count = render::count(count, noun);
        format!("{} in {count}", render::size(bytes))
    };
    let to_download = size(plan.bytes_to_fetch, plan.requests, "request");
    let mut fields = vec![
        ("model", plan.model.to_string()),
        ("size", size(plan.total_bytes, plan.files, "file")),
        ("to download", to_download),
    ];
    for (name, bytes) in [
        ("from this store", plan.bytes_reused),
        ("from an unfinished pull", plan.bytes_resumed),
    ] {
        fields.extend((bytes > 0).then(|| (name, render::size(bytes))));
    }
    for (name, files) in [
        ("files without a digest", plan.files_unverified),
        ("files of unknown size", plan.files_unsized),
    ] {
        fields.extend((files > 0).then(|| (name, files.to_string())));
    }
    session.print_fields(&fields)
}
