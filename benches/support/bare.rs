//! The bare loop: what receiving, hashing, writing and syncing bytes costs on this machine when nothing else is done.
//!
//! Threads with a connection each, kept alive; each takes one job after the other, reads with one buffer, hashes what it
//! reads and writes it to its place in a file that has its size from the start; in the end the file is synced.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::support::{Result, say, say_usage};

/// As large as what a pull reads at once.
const BUFFER: usize = 256 << 10;

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

/// Does all jobs and says how long it took. A target that is a folder gets a file for each job.
pub(crate) fn run(url: &str, jobs: &Path, target: &Path, connections: usize) -> Result<()> {
    let jobs = read_jobs(jobs)?;
    let host = url.strip_prefix("http://").ok_or("no http URL")?;
    let started = Instant::now();
    let each = target.is_dir();
    if !each {
        File::create(target)?.set_len(jobs.iter().map(|job| job.size).sum())?;
    }
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| work(host, &jobs, target, &next)))
            .collect();
        workers.into_iter().try_for_each(|worker| {
            let result = worker.join();
            result.unwrap_or_else(|_| Err("a thread panicked".into()))
        })
    })?;
    if each {
        sync_system(target)?;
    } else {
        File::options().write(true).open(target)?.sync_all()?;
    }
    say("seconds", started.elapsed().as_secs_f64());
    say_usage();
    Ok(())
}

fn work(host: &str, jobs: &[Job], target: &Path, next: &AtomicUsize) -> Result<()> {
    let each = target.is_dir();
    let mut file = if each {
        None
    } else {
        Some(File::options().write(true).open(target)?)
    };
    let mut stream = TcpStream::connect(host)?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(job) = jobs.get(number) else {
            return Ok(());
        };
        let range = match job.begin {
            Some(begin) => format!("Range: bytes={begin}-{}\r\n", begin + job.size - 1),
            None => String::new(),
        };
        let request = format!(
            "GET /data/{} HTTP/1.1\r\nHost: {host}\r\n{range}\r\n",
            job.digest
        );
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
        let (mut begin, mut filled) = read_head(&mut stream, &mut buffer, job.size)?;
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
            filled = stream.read(&mut buffer)?;
            if filled == 0 {
                return Err("the body ended early".into());
            }
        }
        let actual: String = hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if job.begin.is_none() && actual != job.digest {
            return Err("wrong bytes came".into());
        }
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
fn read_head(stream: &mut TcpStream, buffer: &mut [u8], size: u64) -> Result<(usize, usize)> {
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
