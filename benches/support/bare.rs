//! The bare loop: what receiving, hashing, writing and syncing bytes costs on this machine when nothing else is done.
//!
//! Threads with a connection each, kept alive; each takes one job after the other, reads with one buffer, hashes what it
//! reads and writes it to its place in a file that has its size from the start; in the end the file is synced.
//!
//! TLS gives up 16 KiB at a time, so that the loop fills its buffer before it hashes and writes.
//!
//! With a digest of the whole file, its bytes are hashed a second time, in order: a thread that has done a job reads back
//! what is there without a gap, unless another is at it, and the last of it is read back in the end.
#![allow(dead_code, reason = "each benchmark uses its own part")]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use rustls::ClientConfig;
use sha2::{Digest, Sha256};

use crate::support::{Result, say, say_usage, tls};

/// As large as what a pull reads at once.
const BUFFER: usize = 512 << 10;

/// A request, and where its bytes belong.
pub(crate) struct Job {
    pub(crate) digest: String,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// Where a range begins; `None` for the whole, whose digest is then checked.
    pub(crate) begin: Option<u64>,
}

/// Writes a list of jobs for [`run`].
pub(crate) fn write_jobs(path: &Path, jobs: &[Job]) -> Result<()> {
    let line = |job: &Job| {
        let begin = job.begin.map_or("-".to_owned(), |begin| begin.to_string());
        format!("{} {} {} {begin}\n", job.digest, job.offset, job.size)
    };
    Ok(fs::write(path, jobs.iter().map(line).collect::<String>())?)
}

fn read_jobs(path: &Path) -> Result<Vec<Job>> {
    let job = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let [digest, offset, size, begin] = words[..] else {
            return Err("a malformed job".into());
        };
        Ok(Job {
            digest: digest.to_owned(),
            offset: offset.parse()?,
            size: size.parse()?,
            begin: if begin == "-" {
                None
            } else {
                Some(begin.parse()?)
            },
        })
    };
    fs::read_to_string(path)?.lines().map(job).collect()
}

/// What the threads share.
struct Shared<'a> {
    host: &'a str,
    /// For https.
    tls: Option<Arc<ClientConfig>>,
    /// What the paths of requests begin with, empty for the top; with a query the whole of them.
    base: &'a str,
    jobs: &'a [Job],
    target: &'a Path,
    next: AtomicUsize,
    whole: Option<Whole>,
}

/// Returns the jobs that fetch a document in ranges of a size; the digest is that of all of it, which none of them has.
pub(crate) fn ranges(digest: &str, size: u64, range: u64) -> Result<Vec<Job>> {
    let begins = (0..size).step_by(usize::try_from(range)?);
    let job = |begin: u64| Job {
        digest: digest.to_owned(),
        offset: begin,
        size: range.min(size - begin),
        begin: Some(begin),
    };
    Ok(begins.map(job).collect())
}

/// Plays the role of the loop: `URL JOBS TARGET CONNECTIONS [DIGEST]`, see [`run`].
pub(crate) fn play(arguments: &[&str]) -> Result<()> {
    let [url, jobs, target, connections, digest @ ..] = arguments else {
        return Err("the bare loop needs a URL, jobs, a target and connections".into());
    };
    let (jobs, target) = (Path::new(jobs), Path::new(target));
    let digest = digest.first().copied();
    run(url, jobs, target, connections.parse()?, digest)
}

/// Does all jobs and says how long it took. Each asks for `data/<digest>` below the URL, or for the URL itself if that has
/// a query. A target that is a folder gets a file for each job; one that is a file is compared with a digest if one is
/// given.
fn run(
    url: &str,
    jobs: &Path,
    target: &Path,
    connections: usize,
    digest: Option<&str>,
) -> Result<()> {
    let jobs = read_jobs(jobs)?;
    let (scheme, place) = url.split_once("://").ok_or("no URL")?;
    let tls = match scheme {
        "https" => Some(tls::client()?),
        _ => None,
    };
    let (host, base) = place.split_at(place.find('/').unwrap_or(place.len()));
    let started = Instant::now();
    let each = target.is_dir();
    if !each {
        File::create(target)?.set_len(jobs.iter().map(|job| job.size).sum())?;
    }
    let shared = Shared {
        host,
        tls,
        base,
        jobs: &jobs,
        target,
        next: AtomicUsize::new(0),
        whole: match digest {
            Some(_) => Some(Whole::new(target, jobs.len())?),
            None => None,
        },
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| work(&shared)))
            .collect();
        workers.into_iter().try_for_each(|worker| {
            let result = worker.join();
            result.unwrap_or_else(|_| Err("a thread panicked".into()))
        })
    })?;
    if let Some(whole) = shared.whole
        && Some(&*whole.finish(&jobs)?) != digest
    {
        return Err("wrong bytes came".into());
    }
    if each {
        sync_system(target)?;
    } else {
        File::options().write(true).open(target)?.sync_all()?;
    }
    say("seconds", started.elapsed().as_secs_f64());
    say_usage();
    Ok(())
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

fn connect(shared: &Shared<'_>) -> Result<Box<dyn Stream>> {
    if let Some(config) = &shared.tls {
        return Ok(Box::new(tls::connect(config.clone(), shared.host)?));
    }
    let stream = TcpStream::connect(shared.host)?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// Reads some of a body, of which this much is left.
fn read(stream: &mut dyn Stream, buffer: &mut [u8], left: u64, fills: bool) -> Result<usize> {
    let wanted = buffer.len().min(usize::try_from(left)?);
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..wanted])? {
            0 => return Err("the body ended early".into()),
            read => filled += read,
        }
        if filled == wanted || !fills {
            return Ok(filled);
        }
    }
}

fn work(shared: &Shared<'_>) -> Result<()> {
    let (host, base, target) = (shared.host, shared.base, shared.target);
    let each = target.is_dir();
    let mut file = if each {
        None
    } else {
        Some(File::options().write(true).open(target)?)
    };
    let mut stream = connect(shared)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(job) = shared.jobs.get(number) else {
            return Ok(());
        };
        let range = match job.begin {
            Some(begin) => format!("Range: bytes={begin}-{}\r\n", begin + job.size - 1),
            None => String::new(),
        };
        let path = if base.contains('?') {
            base.to_owned()
        } else {
            format!("{base}/data/{}", job.digest)
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{range}\r\n");
        stream.write_all(request.as_bytes())?;
        let mut made;
        let file = match &mut file {
            Some(file) => {
                file.seek(SeekFrom::Start(job.offset))?;
                file
            }
            None => {
                made = File::create(target.join(number.to_string()))?;
                &mut made
            }
        };
        let (mut begin, mut filled) = read_head(&mut *stream, &mut buffer, job.size)?;
        let mut hasher = Sha256::new();
        let mut left = job.size;
        loop {
            let piece = &buffer[begin..filled];
            hasher.update(piece);
            file.write_all(piece)?;
            left = left
                .checked_sub(piece.len() as u64)
                .ok_or("too much came")?;
            if left == 0 {
                break;
            }
            begin = 0;
            filled = read(&mut *stream, &mut buffer, left, shared.tls.is_some())?;
        }
        let actual = hex(hasher);
        if job.begin.is_none() && actual != job.digest {
            return Err("wrong bytes came".into());
        }
        if let Some(whole) = &shared.whole {
            whole.done(shared.jobs, number, &mut buffer)?;
        }
    }
}

/// Returns the SHA-256 digest of a file.
#[allow(dead_code, reason = "not every benchmark compares files")]
pub(crate) fn digest_of(path: &Path) -> Result<String> {
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; BUFFER]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(hasher)),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn hex(hasher: Sha256) -> String {
    let bytes = hasher.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of the whole file, as far as its bytes are there.
struct Whole {
    done: Vec<AtomicBool>,
    hashed: Mutex<Hashed>,
}

struct Hashed {
    hasher: Sha256,
    file: File,
    /// How many jobs' bytes are hashed.
    jobs: usize,
}

impl Whole {
    fn new(path: &Path, jobs: usize) -> Result<Self> {
        let hashed = Hashed {
            hasher: Sha256::new(),
            file: File::open(path)?,
            jobs: 0,
        };
        Ok(Self {
            done: (0..jobs).map(|_| AtomicBool::new(false)).collect(),
            hashed: Mutex::new(hashed),
        })
    }

    /// Takes note of a job that is done, and hashes on unless another thread is at it.
    fn done(&self, jobs: &[Job], number: usize, buffer: &mut [u8]) -> Result<()> {
        self.done[number].store(true, Ordering::Release);
        match self.hashed.try_lock() {
            Ok(mut hashed) => hashed.advance(jobs, &self.done, buffer),
            Err(_) => Ok(()),
        }
    }

    /// Hashes the rest.
    fn finish(self, jobs: &[Job]) -> Result<String> {
        let mut hashed = self
            .hashed
            .into_inner()
            .map_err(|_| "a thread panicked while hashing")?;
        hashed.advance(jobs, &self.done, &mut vec![0; BUFFER])?;
        Ok(hex(hashed.hasher))
    }
}

impl Hashed {
    /// Hashes on to the first job that is not done; the jobs are in the order of the file.
    fn advance(&mut self, jobs: &[Job], done: &[AtomicBool], buffer: &mut [u8]) -> Result<()> {
        while done
            .get(self.jobs)
            .is_some_and(|done| done.load(Ordering::Acquire))
        {
            let mut left = jobs[self.jobs].size;
            while left > 0 {
                let most = buffer.len().min(usize::try_from(left)?);
                let piece = &mut buffer[..most];
                self.file.read_exact(piece)?;
                self.hasher.update(&*piece);
                left -= most as u64;
            }
            self.jobs += 1;
        }
        Ok(())
    }
}

/// Syncs every file of a folder: in one call where the system can.
#[cfg(target_os = "linux")]
fn sync_system(folder: &Path) -> Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_system(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        File::options()
            .write(true)
            .open(entry?.path())?
            .sync_all()?;
    }
    Ok(())
}

/// Reads until the body begins; returns where in the buffer it begins, and how far the buffer is filled.
fn read_head(stream: &mut dyn Stream, buffer: &mut [u8], size: u64) -> Result<(usize, usize)> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            return Err("the head ended early".into());
        }
        filled += read;
        let four = buffer[..filled].windows(4).take(8192);
        let Some(end) = four.into_iter().position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"));
        if !head.starts_with("http/1.1 20") || length.map(str::trim) != Some(&*size.to_string()) {
            return Err(format!("an unexpected answer: {head}").into());
        }
        return Ok((end + 4, filled));
    }
}
