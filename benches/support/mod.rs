//! What the benchmarks share: their arguments, processes of their own, a folder that goes away, medians and tables.
//!
//! ```text
//! cargo bench --bench NAME -- [--quick] [--runs N] [--dir FOLDER] [WORD…]
//! ```
//!
//! `--quick` takes small sizes and one run, to see that it works. `--dir` says where the data lies; default: the system's
//! temporary folder. Words choose parts whose names begin with one of them; without words, all run.
//!
//! What is timed runs in a process of its own wherever memory is measured or a server runs beside it: the program starts
//! itself again with `--role NAME ARGUMENTS…`, and a role prints its numbers, one `name value` a line.
#![allow(
    dead_code,
    clippy::print_stdout,
    reason = "each benchmark uses its own part, and prints what it measured"
)]

pub(crate) mod tls;

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use sha2::{Digest, Sha256};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What the program is asked to do.
pub(crate) enum Start {
    /// To measure.
    Bench(Arguments),
    /// To be the process that is measured, or one that helps.
    Role(String, Vec<String>),
    /// Nothing: it was not started by `cargo bench`.
    Nothing,
}

/// How to measure.
pub(crate) struct Arguments {
    pub(crate) quick: bool,
    runs: Option<usize>,
    dir: Option<PathBuf>,
    words: Vec<String>,
}

impl Start {
    /// Reads the command line. `cargo bench` adds `--bench`; `cargo test --all-targets`, which does not, times nothing.
    pub(crate) fn read() -> Result<Self> {
        let mut given = std::env::args().skip(1).peekable();
        if given.next_if(|first| first == "--role").is_some() {
            let role = given.next().ok_or("--role needs a name")?;
            return Ok(Self::Role(role, given.collect()));
        }
        let mut benching = false;
        let mut arguments = Arguments {
            quick: false,
            runs: None,
            dir: None,
            words: Vec::new(),
        };
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--bench" => benching = true,
                "--quick" => arguments.quick = true,
                "--runs" => {
                    arguments.runs = Some(given.next().ok_or("--runs needs a number")?.parse()?);
                }
                "--dir" => {
                    arguments.dir = Some(given.next().ok_or("--dir needs a folder")?.into());
                }
                option if option.starts_with('-') => {
                    return Err(format!("no such option: {option}").into());
                }
                _ => arguments.words.push(argument),
            }
        }
        if benching && arguments.quick {
            println!("quick: start-up outweighs what is measured, so the verdicts say nothing");
        }
        Ok(if benching {
            Self::Bench(arguments)
        } else {
            Self::Nothing
        })
    }
}

impl Arguments {
    /// How often to measure.
    pub(crate) fn runs(&self, default: usize) -> usize {
        self.runs
            .unwrap_or(if self.quick { 1 } else { default })
            .max(1)
    }

    /// The size for a full run, or the one for a quick one.
    pub(crate) fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Whether a part is asked for.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.words.is_empty()
            || self
                .words
                .iter()
                .any(|word| part.starts_with(word.as_str()))
    }

    /// Makes the folder for the data.
    pub(crate) fn folder(&self, name: &str) -> Result<Folder> {
        let base = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        let path = base.join(format!("modelrack-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }
}

/// A folder that is removed with everything in it when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A new folder below this one, which goes away before it does.
    pub(crate) fn below(&self, name: &str) -> Result<Self> {
        let path = self.join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Makes a folder below this one that stays as long as it does, so that nothing is removed while something is timed:
    /// ext4 takes long to create files in the minutes after as many were removed.
    pub(crate) fn lasting(&self, name: &str) -> Result<PathBuf> {
        let mut names = (0..).map(|number| self.join(&format!("{name}-{number}")));
        let path = names.find(|path| !path.exists()).ok_or("no name is left")?;
        fs::create_dir(&path)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Compares every byte of a file with its SHA-256.
pub(crate) fn check_bytes(path: &Path, digest: &str) -> Result<()> {
    let (mut file, mut hasher) = (fs::File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    let actual = hasher.finalize();
    let actual: String = actual.iter().map(|byte| format!("{byte:02x}")).collect();
    match actual == digest {
        true => Ok(()),
        false => Err(format!("{} has wrong bytes", path.display()).into()),
    }
}

/// Numbers that a role printed, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers(BTreeMap<String, f64>);

impl Numbers {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let pair = |line: &str| {
            let (name, value) = line.split_once(' ').ok_or("a role printed no number")?;
            Ok((name.to_owned(), value.parse()?))
        };
        text.lines().map(pair).collect::<Result<_>>().map(Self)
    }

    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    pub(crate) fn need(&self, name: &str) -> Result<f64> {
        self.get(name)
            .ok_or_else(|| format!("a role did not say '{name}'").into())
    }
}

/// This program in a role.
pub(crate) fn role<T: AsRef<OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = T>,
) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--role").arg(name).args(arguments);
    Ok(command)
}

/// Runs a role to its end; returns its numbers, and as `process_seconds` the time from its start to its end.
pub(crate) fn run_role<T: AsRef<OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = T>,
) -> Result<Numbers> {
    let mut command = role(name, arguments)?;
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let started = Instant::now();
    let output = command.output()?;
    let seconds = started.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("the role {name} failed: {}", output.status).into());
    }
    let mut numbers = Numbers::parse(&String::from_utf8(output.stdout)?)?;
    numbers.0.insert("process_seconds".into(), seconds);
    Ok(numbers)
}

/// Prints a number of a role.
pub(crate) fn say(name: &str, value: impl Display) {
    println!("{name} {value}");
}

/// The most memory that this process ever had, in bytes: `VmHWM` of proc(5). `None` on other systems than Linux.
pub(crate) fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// The time that the threads of this process spent on processors, in seconds: `utime` and `stime` of proc(5), whose unit
/// is always 10 ms. `None` on other systems than Linux. Unlike the time on the clock, it hardly minds neighbours.
pub(crate) fn processor_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name before the bracket may have spaces; the two are fields 14 and 15.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / 100.0)
}

/// How often this process called the system to write: `syscw` of proc(5). `None` on other systems than Linux.
pub(crate) fn write_calls() -> Option<u64> {
    let io = fs::read_to_string("/proc/self/io").ok()?;
    let calls = io.lines().find_map(|line| line.strip_prefix("syscw:"))?;
    calls.trim().parse().ok()
}

/// Prints what a role used of memory, processors and calls to write, where the system tells.
pub(crate) fn say_usage() {
    if let Some(calls) = write_calls() {
        say("write_calls", calls);
    }
    if let Some(bytes) = peak_bytes() {
        say("peak_bytes", bytes);
    }
    if let Some(seconds) = processor_seconds() {
        say("processor_seconds", seconds);
    }
}

/// What was measured several times.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            count if count % 2 == 1 => sorted[count / 2],
            count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
        }
    }

    /// The median of the ratios to another series, turn by turn: what disturbs both of one turn disturbs it less.
    pub(crate) fn ratio_to(&self, other: &Self) -> f64 {
        let turns = self.0.iter().zip(&other.0);
        Self(turns.map(|(one, other)| one / other).collect()).median()
    }

    pub(crate) fn smallest(&self) -> Option<f64> {
        self.0.iter().copied().reduce(f64::min)
    }

    pub(crate) fn largest(&self) -> Option<f64> {
        self.0.iter().copied().reduce(f64::max)
    }

    /// The median with the smallest and the largest, as times.
    pub(crate) fn times(&self) -> String {
        let median = seconds(self.median());
        match (self.smallest(), self.largest()) {
            (Some(smallest), Some(largest)) if smallest < largest => {
                format!("{median} ({} – {})", seconds(smallest), seconds(largest))
            }
            _ => median,
        }
    }
}

impl Extend<f64> for Series {
    fn extend<T: IntoIterator<Item = f64>>(&mut self, values: T) {
        self.0.extend(values);
    }
}

/// Times a closure as often as given, after one run that does not count.
pub(crate) fn time<T>(runs: usize, mut measured: impl FnMut() -> Result<T>) -> Result<Series> {
    measured()?;
    let mut series = Series::default();
    for _ in 0..runs {
        let started = Instant::now();
        let result = measured()?;
        series.add(started.elapsed().as_secs_f64());
        drop(std::hint::black_box(result));
    }
    Ok(series)
}

/// Shows a time.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 0.1 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// Shows a number of bytes.
pub(crate) fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}

/// Results, a row each: what, how much, what stands beside it, their ratio, the bar, and whether it is kept.
pub(crate) struct Table {
    title: String,
    rows: Vec<[String; 6]>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        let head = ["", "median", "beside it", "ratio", "bar", ""].map(str::to_owned);
        Self {
            title: title.into(),
            rows: vec![head],
        }
    }

    /// A row without a bar.
    pub(crate) fn row(&mut self, what: &str, measured: &str, beside: &str) {
        self.rows
            .push([what, measured, beside, "", "", ""].map(str::to_owned));
    }

    /// A row with a time and its ratio to another.
    pub(crate) fn pair(&mut self, what: &str, measured: &Series, beside: (&str, &Series)) {
        self.ratio(what, measured, beside, f64::INFINITY);
    }

    /// A row with a time and its ratio to another, which should be at most the bar.
    pub(crate) fn ratio(
        &mut self,
        what: &str,
        measured: &Series,
        beside: (&str, &Series),
        bar: f64,
    ) {
        let ratio = measured.ratio_to(beside.1);
        let (shown, verdict) = if bar.is_finite() {
            (bar.to_string(), verdict(ratio, bar))
        } else {
            (String::new(), String::new())
        };
        self.rows.push([
            what.to_owned(),
            measured.times(),
            format!("{} {}", beside.0, beside.1.times()),
            format!("{ratio:.2}"),
            shown,
            verdict,
        ]);
    }

    /// A row with a value that should be at most the bar, both shown by `show`.
    pub(crate) fn limit(
        &mut self,
        what: &str,
        value: f64,
        bar: f64,
        show: impl Fn(f64) -> String,
        beside: &str,
    ) {
        self.rows.push([
            what.to_owned(),
            show(value),
            beside.to_owned(),
            format!("{:.2}", value / bar),
            show(bar),
            verdict(value, bar),
        ]);
    }

    /// A row with the most memory that a process had, where the system tells it.
    pub(crate) fn memory(&mut self, what: &str, peak: Option<f64>, bar: f64) {
        match peak {
            Some(bytes) => self.limit(what, bytes, bar, mebibytes, ""),
            None => self.row(what, "not measured", ""),
        }
    }

    pub(crate) fn print(self) {
        println!("\n{}", self.title);
        let widths: Vec<usize> = (0..6)
            .map(|column| {
                let cells = self.rows.iter().map(|row| row[column].chars().count());
                cells.max().unwrap_or_default()
            })
            .collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths);
            let line: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            println!("  {}", line.join("  ").trim_end());
        }
    }
}

fn verdict(value: f64, bar: f64) -> String {
    if value <= bar { "kept" } else { "MISSED" }.to_owned()
}
