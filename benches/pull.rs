//! Pulls over loopback beside a bare loop that receives, checks, writes and syncs the same bytes.
//!
//! | part | measures |
//! |---|---|
//! | `chunks` | 2 GiB in 8 MiB chunks, with and without a digest for each file |
//! | `update` | the same model after 1 % of its bytes changed in one place |
//! | `large` | 1.5 GiB in one chunk, which comes in ranges |
//! | `small` | 5,000 files of 1 KiB, a chunk each, on 16 connections |
//! | `latency` | 500 of them from a server 50 ms away |
//! | `throttled` | a server that gives each connection 20 MiB/s, asked on four connections |
//! | `unsaid` | 2 GiB of the same server, with nothing said about connections, beside sixteen |
//! | `https` | 2 GiB in 8 MiB chunks over TLS 1.3, and how often the pull calls the system to write |
//!
//! Server, pull and bare loop are processes of their own; pull and bare loop take turns.
//!
//! The loop a bar goes by makes the checks that the pull has to make. Where a manifest has digests for chunks and for
//! files of several chunks, as what is published has, that is to hash every byte twice; the ratio to a loop that hashes
//! once stands below it without a bar. A pull of small files goes beside a loop that writes as many files. What a
//! throttled server really gives is what the bare loop gets from it; bytes ÷ rate stands beside that.

#[path = "support/bare.rs"]
mod bare;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/published.rs"]
mod published;
#[path = "../tests/suite/support/server/mod.rs"]
mod server;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use modelrack::{Manager, ModelAddress};
use processes::{ServerProcess, manager, pull, serve, until_told, update};
use published::{
    MIB, MODEL, change, chunk_jobs, file_digest, need_room, publish_as, range_jobs, small_files,
    without_file_digests, write_random,
};
use support::{
    Arguments, Folder, Numbers, Result, Series, Start, Table, check_bytes, mebibytes, run_role,
    seconds, tls,
};

const KIB: u64 = 1 << 10;
/// The most memory that any pull may take.
const PEAK_BAR: f64 = (64 * MIB) as f64;
/// How often a pull of 2 GiB may call the system to write.
const WRITES_BAR: f64 = 10_000.0;

fn main() -> Result<()> {
    let arguments = match Start::read()? {
        Start::Bench(arguments) => arguments,
        Start::Role(name, arguments) => return play(&name, &arguments),
        Start::Nothing => return Ok(()),
    };
    let folder = arguments.folder("pull")?;
    if arguments.wants("chunks") || arguments.wants("update") {
        chunks_and_update(&arguments, &folder.below("chunks")?)?;
    }
    if arguments.wants("large") {
        large(&arguments, &folder.below("large")?)?;
    }
    if arguments.wants("small") {
        small(&arguments, &folder.below("small")?)?;
    }
    if arguments.wants("latency") {
        latency(&arguments, &folder.below("latency")?)?;
    }
    for (part, rows) in [("throttled", FOUR), ("unsaid", UNSAID)] {
        if arguments.wants(part) {
            throttled(&arguments, &rows, part, &folder.below(part)?)?;
        }
    }
    if arguments.wants("https") {
        https(&arguments, &folder.below("https")?)?;
    }
    Ok(())
}

fn play(name: &str, arguments: &[String]) -> Result<()> {
    match (name, arguments) {
        ("serve", [folder, rate, delay]) => serve(folder, rate.parse()?, delay.parse()?),
        ("serve-https", [folder]) => until_told(&tls::serve(Path::new(folder))?),
        ("pull", [url, version, store, connections @ ..]) => {
            let connections = connections.first().map(|count| count.parse()).transpose()?;
            pull(url, version, store, connections)
        }
        ("update", [url, store]) => update(url, store),
        ("bare", arguments) => {
            bare::play(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        }
        _ => Err(format!("no such role: {name}").into()),
    }
}

// What is measured.

fn chunks_and_update(arguments: &Arguments, folder: &Folder) -> Result<()> {
    let size = arguments.size(2048 * MIB, 64 * MIB);
    // In a quick run the chunks are smaller in proportion, so that as many of them change.
    let chunk = size / 256;
    let data = folder.join("weights.bin");
    let registry = folder.join("registry");
    need_room(folder.path(), 4 * size)?;
    write_random(&data, size, 1)?;
    publish_as(&data, &registry, "hashed", chunk)?;
    without_file_digests(&registry, "hashed", "plain")?;
    if arguments.wants("chunks") {
        let mut table = Table::new(format!(
            "chunks: {} in chunks of {}",
            mebibytes(size as f64),
            mebibytes(chunk as f64)
        ));
        let jobs = folder.join("jobs");
        bare::write_jobs(&jobs, &chunk_jobs(&registry, "plain")?)?;
        let server = ServerProcess::of_folder(&registry, 0, Duration::ZERO)?;
        let digest = file_digest(&registry, "hashed")?;
        for (version, what, digest) in [
            ("plain", "no digest for each file", None),
            ("hashed", "a digest for each file", Some(&*digest)),
        ] {
            beside_bare(
                &mut table,
                what,
                1.25,
                &Pair {
                    runs: arguments.runs(5),
                    folder,
                    server: &server,
                    version,
                    jobs: &jobs,
                    connections: 4,
                    target: Target::OneFile,
                    digest,
                    size,
                },
            )?;
        }
        drop(server);
        table.print();
    }
    if arguments.wants("update") {
        let mut table = Table::new(format!(
            "update: 1 % of {} changed in one place, chunks of {}",
            mebibytes(size as f64),
            mebibytes(chunk as f64)
        ));
        let store = folder.below("store")?;
        let server = ServerProcess::of_folder(&registry, 0, Duration::ZERO)?;
        run_pull(&server, "hashed", store.path())?;
        change(&data, size / 2 + chunk / 3, size / 100)?;
        publish_as(&data, &registry, "hashed", chunk)?;
        let store_path = store.path().to_string_lossy();
        let numbers = run_role("update", [server.url.as_str(), &store_path])?;
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let fetched = numbers.need("fetched_bytes")?;
        table.limit(
            "bytes fetched",
            fetched / size as f64,
            0.02,
            percent,
            &mebibytes(fetched),
        );
        table.row("time", &seconds(numbers.need("seconds")?), "");
        table.memory("peak memory", numbers.get("peak_bytes"), PEAK_BAR);
        table.print();
    }
    Ok(())
}

fn large(arguments: &Arguments, folder: &Folder) -> Result<()> {
    let size = arguments.size(1536 * MIB, 48 * MIB);
    let data = folder.join("weights.bin");
    let registry = folder.join("registry");
    need_room(folder.path(), 4 * size)?;
    write_random(&data, size, 2)?;
    publish_as(&data, &registry, "one", size)?;
    fs::remove_file(&data)?;
    let jobs = folder.join("jobs");
    bare::write_jobs(&jobs, &range_jobs(&registry, "one", 8 * MIB)?)?;
    let server = ServerProcess::of_folder(&registry, 0, Duration::ZERO)?;
    let mut table = Table::new(format!("large: {} in one chunk", mebibytes(size as f64)));
    // The bare loop hashes each range alone, which no digest covers; one digest over all is more than it does.
    let pair = Pair {
        runs: arguments.runs(5),
        folder,
        server: &server,
        version: "one",
        jobs: &jobs,
        connections: 4,
        target: Target::OneFile,
        digest: None,
        size,
    };
    beside_bare(&mut table, "in ranges", 1.25, &pair)?;
    drop(server);
    table.print();
    Ok(())
}

fn small(arguments: &Arguments, folder: &Folder) -> Result<()> {
    let count = arguments.size(5000, 500);
    let registry = folder.join("registry");
    small_files(&registry, "small", count, KIB)?;
    let jobs = folder.join("jobs");
    bare::write_jobs(&jobs, &chunk_jobs(&registry, "small")?)?;
    let server = ServerProcess::of_folder(&registry, 0, Duration::ZERO)?;
    let mut table = Table::new(format!("small: {count} files of 1 KiB, a chunk each"));
    let pair = Pair {
        runs: arguments.runs(9),
        folder,
        server: &server,
        version: "small",
        jobs: &jobs,
        connections: 16,
        target: Target::FileEach,
        digest: None,
        size: u64::from(count) * KIB,
    };
    beside_bare(&mut table, "beside as many files", 3.0, &pair)?;
    drop(server);
    table.print();
    Ok(())
}

fn latency(arguments: &Arguments, folder: &Folder) -> Result<()> {
    let count = arguments.size(500, 100);
    let delay = Duration::from_millis(50);
    let registry = folder.join("registry");
    small_files(&registry, "small", count, KIB)?;
    let server = ServerProcess::of_folder(&registry, 0, delay)?;
    let mut table = Table::new(format!("latency: {count} files of 1 KiB, 50 ms away"));
    let mut times = Series::default();
    for _ in 0..arguments.runs(3) {
        let store = folder.below("store")?;
        times.add(run_pull(&server, "small", store.path())?.need("seconds")?);
    }
    drop(server);
    let one_by_one = delay.as_secs_f64() * f64::from(count);
    let beside = format!("one after another at least {}", seconds(one_by_one));
    table.limit("time", times.median(), one_by_one / 10.0, seconds, &beside);
    table.print();
    Ok(())
}

/// What a throttled server is asked for, and how.
struct Throttled {
    bytes: u64,
    quick_bytes: u64,
    runs: usize,
    /// How many connections the pull is told to use, and how many the bare loop uses.
    said: Option<usize>,
    bare: usize,
    bar: f64,
}

const FOUR: Throttled = Throttled {
    bytes: 320 * MIB,
    quick_bytes: 64 * MIB,
    runs: 3,
    said: Some(4),
    bare: 4,
    bar: 1.1,
};
const UNSAID: Throttled = Throttled {
    bytes: 2048 * MIB,
    quick_bytes: 256 * MIB,
    runs: 5,
    said: None,
    bare: 16,
    bar: 1.15,
};

fn throttled(arguments: &Arguments, rows: &Throttled, part: &str, folder: &Folder) -> Result<()> {
    const RATE: u64 = 20 * MIB;
    let size = arguments.size(rows.bytes, rows.quick_bytes);
    let data = folder.join("weights.bin");
    let registry = folder.join("registry");
    need_room(folder.path(), 4 * size)?;
    write_random(&data, size, 3)?;
    publish_as(&data, &registry, "chunks", 8 * MIB)?;
    publish_as(&data, &registry, "one", size)?;
    fs::remove_file(&data)?;
    let digest = file_digest(&registry, "chunks")?;
    let ideal = size as f64 / (RATE as f64 * rows.bare as f64);
    let server = ServerProcess::of_folder(&registry, RATE, Duration::ZERO)?;
    let mut table = Table::new(format!(
        "{part}: {} from a server that gives each connection 20 MiB/s",
        mebibytes(size as f64)
    ));
    let jobs = folder.join("jobs");
    let forms = [
        ("chunks", chunk_jobs(&registry, "chunks")?),
        ("one", range_jobs(&registry, "one", 8 * MIB)?),
    ];
    for ((version, list), what) in forms
        .into_iter()
        .zip(["in chunks of 8 MiB", "in one chunk"])
    {
        bare::write_jobs(&jobs, &list)?;
        let pair = Pair {
            runs: arguments.runs(rows.runs),
            folder,
            server: &server,
            version,
            jobs: &jobs,
            connections: rows.bare,
            target: Target::OneFile,
            digest: None,
            size,
        };
        let [mut ours, mut bare, mut peak] = [const { Series::new() }; 3];
        for _ in 0..pair.runs {
            bare.add(run_bare(&pair, None)?.need("seconds")?);
            let store = folder.below("store")?;
            let path = store.path().to_string_lossy();
            let said = rows.said.map(|count| count.to_string());
            let words = [&*server.url, version, &path].into_iter();
            let numbers = run_role("pull", words.chain(said.as_deref()))?;
            ours.add(numbers.need("seconds")?);
            peak.extend(numbers.get("peak_bytes"));
            let installed = store.join("models").join(MODEL).join(version);
            check_bytes(&installed.join("weights.bin"), &digest)?;
        }
        let beside = format!("bare, {} connections", rows.bare);
        table.ratio(what, &ours, (&beside, &bare), rows.bar);
        table.row("  bytes ÷ rate", "", &seconds(ideal));
        table.memory("  peak memory", peak.largest(), PEAK_BAR);
    }
    drop(server);
    table.print();
    Ok(())
}

fn https(arguments: &Arguments, folder: &Folder) -> Result<()> {
    let size = arguments.size(2048 * MIB, 64 * MIB);
    let chunk = size / 256;
    let data = folder.join("weights.bin");
    let registry = folder.join("registry");
    need_room(folder.path(), 4 * size)?;
    write_random(&data, size, 5)?;
    publish_as(&data, &registry, "hashed", chunk)?;
    fs::remove_file(&data)?;
    without_file_digests(&registry, "hashed", "plain")?;
    let digest = file_digest(&registry, "hashed")?;
    let jobs = folder.join("jobs");
    bare::write_jobs(&jobs, &chunk_jobs(&registry, "plain")?)?;
    let server = ServerProcess::start("serve-https", &[&*registry.to_string_lossy()])?;
    let pair = Pair {
        runs: arguments.runs(5),
        folder,
        server: &server,
        version: "plain",
        jobs: &jobs,
        connections: 4,
        target: Target::OneFile,
        digest: None,
        size,
    };
    let mut table = Table::new(format!(
        "https: {} in chunks of {}",
        mebibytes(size as f64),
        mebibytes(chunk as f64)
    ));
    let [mut ours, mut bare, mut peak] = [const { Series::new() }; 3];
    let [mut our_work, mut bare_work] = [const { Series::new() }; 2];
    let [mut our_calls, mut bare_calls] = [const { Series::new() }; 2];
    for _ in 0..pair.runs {
        let numbers = run_bare(&pair, None)?;
        bare.add(numbers.need("seconds")?);
        bare_work.extend(numbers.get("processor_seconds"));
        bare_calls.extend(numbers.get("write_calls"));
        let store = folder.below("store")?;
        let numbers = run_pull(&server, pair.version, store.path())?;
        ours.add(numbers.need("seconds")?);
        our_work.extend(numbers.get("processor_seconds"));
        our_calls.extend(numbers.get("write_calls"));
        peak.extend(numbers.get("peak_bytes"));
        let address = ModelAddress::parse(MODEL, Some(pair.version))?;
        let pulled = manager(&server.url, &store.path().to_string_lossy()).path(&address)?;
        if bare::digest_of(&pulled.join("weights.bin"))? != digest {
            return Err("a wrong file was installed".into());
        }
    }
    table.ratio("beside the bare loop", &ours, ("bare", &bare), 1.25);
    if our_calls.largest().is_some() {
        table.pair("  processors", &our_work, ("bare", &bare_work));
        let calls = |calls: f64| format!("{calls:.0}");
        let beside = format!("bare {}", calls(bare_calls.median()));
        // A quick run has as many chunks, whose ends cost most of its calls.
        let bar = arguments.size(WRITES_BAR, WRITES_BAR / 2.0);
        table.limit("  calls to write", our_calls.median(), bar, calls, &beside);
    }
    table.memory("  peak memory", peak.largest(), PEAK_BAR);
    drop(server);
    table.print();
    Ok(())
}

/// What a pull is compared with.
struct Pair<'a> {
    runs: usize,
    folder: &'a Folder,
    server: &'a ServerProcess,
    version: &'a str,
    jobs: &'a Path,
    connections: usize,
    target: Target,
    /// The digest of the one file, where the pull has to check it beside those of the chunks.
    digest: Option<&'a str>,
    size: u64,
}

impl Pair<'_> {
    /// Makes a folder for one run; large files go when the guard does, many small ones when all runs are over.
    fn fresh(&self, name: &str) -> Result<(Option<Folder>, PathBuf)> {
        match self.target {
            Target::OneFile => {
                let folder = self.folder.below(name)?;
                let path = folder.path().to_owned();
                Ok((Some(folder), path))
            }
            Target::FileEach => Ok((None, self.folder.lasting(name)?)),
        }
    }
}

/// Where the bare loop writes.
#[derive(Clone, Copy)]
enum Target {
    /// One file that has its size from the start.
    OneFile,
    /// A file for each request, as a pull of small files has to.
    FileEach,
}

/// Lets the bare loop and the pull take turns, and enters time, speed and memory.
fn beside_bare(table: &mut Table, what: &str, bar: f64, pair: &Pair<'_>) -> Result<()> {
    let [mut ours, mut bare, mut once] = [const { Series::new() }; 3];
    let [mut our_work, mut bare_work, mut peak] = [const { Series::new() }; 3];
    for _ in 0..pair.runs {
        if pair.digest.is_some() {
            once.add(run_bare(pair, None)?.need("seconds")?);
        }
        let numbers = run_bare(pair, pair.digest)?;
        bare.add(numbers.need("seconds")?);
        bare_work.extend(numbers.get("processor_seconds"));
        let (_removed, store) = pair.fresh("store")?;
        let numbers = run_pull(pair.server, pair.version, &store)?;
        ours.add(numbers.need("seconds")?);
        our_work.extend(numbers.get("processor_seconds"));
        peak.extend(numbers.get("peak_bytes"));
    }
    let checks = if pair.digest.is_some() {
        "bare, hashing twice"
    } else {
        "bare"
    };
    table.ratio(what, &ours, (checks, &bare), bar);
    if pair.digest.is_some() {
        table.pair(
            "  beside half the hashing",
            &ours,
            ("bare, hashing once", &once),
        );
    }
    let speed = |series: &Series| format!("{:.0} MB/s", pair.size as f64 / series.median() / 1e6);
    table.row("  speed", &speed(&ours), &speed(&bare));
    if let (Some(_), Some(_)) = (our_work.largest(), bare_work.largest()) {
        table.pair("  processors", &our_work, ("bare", &bare_work));
    }
    table.memory("  peak memory", peak.largest(), PEAK_BAR);
    Ok(())
}

fn run_pull(server: &ServerProcess, version: &str, store: &Path) -> Result<Numbers> {
    run_role("pull", [&*server.url, version, &store.to_string_lossy()])
}

fn run_bare(pair: &Pair<'_>, digest: Option<&str>) -> Result<Numbers> {
    let (_removed, folder) = pair.fresh("bare")?;
    let target = match pair.target {
        Target::OneFile => folder.join("bytes"),
        Target::FileEach => folder,
    };
    let (jobs, target) = (pair.jobs.to_string_lossy(), target.to_string_lossy());
    let connections = pair.connections.to_string();
    let arguments = [&*pair.server.url, &jobs, &target, &connections];
    run_role("bare", arguments.into_iter().chain(digest))
}
