//! Linux, macOS and other Unix systems.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use rustix::fs::{CWD, RenameFlags, StatVfs};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::{FileId, TryLock};

pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

pub(crate) fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(bytes, offset)
}

/// Returns whether a file system says by an error that it lacks an operation, and not that the operation failed.
fn is_lacking(error: &io::Error) -> bool {
    // Some of these are one number on some systems.
    let lacking = [
        Errno::INVAL,
        Errno::NOSYS,
        Errno::NOTSUP,
        Errno::OPNOTSUPP,
        Errno::NOTTY,
    ];
    is_one_of(error, &lacking)
}

fn is_one_of(error: &io::Error, numbers: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|number| numbers.contains(&number))
}

pub(crate) fn try_lock(path: &Path) -> io::Result<TryLock> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match file.try_lock() {
        Ok(()) if is_at(&file, path) => Ok(TryLock::Locked(file)),
        // Its last holder has removed it after it was opened here.
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(TryLock::Busy),
        Err(TryLockError::Error(error)) if has_no_locks(&error) => {
            Ok(TryLock::Unavailable(file, error))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Reads [how Linux names each boot]. Containers see the same name, or one that each start of them changes.
///
/// [how Linux names each boot]: https://docs.kernel.org/admin-guide/sysctl/kernel.html#random
pub(crate) fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = id.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

/// The file systems that one machine has for itself. Network file systems may keep locks to themselves (`nolock` of NFS,
/// `localflock` of Lustre), and what FUSE brings may be one.
#[cfg(any(target_os = "linux", target_os = "android"))]
const FIXED: [u32; 10] = [
    0x0000_ef53, // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // btrfs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x2fc1_2fc1, // ZFS
    0xf2f5_2010, // F2FS
    0xca45_1a4e, // bcachefs
    0x3153_464a, // JFS
    0x0000_f15f, // eCryptfs
];

/// Those that it has for itself and that leave it: on sticks and cards, which are pulled out while it runs, and in images of
/// containers, which other machines run.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PORTABLE: [u32; 4] = [
    0x0000_4d44, // FAT
    0x2011_bab0, // exFAT
    0x7366_746e, // NTFS
    0x794c_7630, // overlayfs
];

#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_on(file: &File, file_systems: &[u32]) -> bool {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number has 32 bits, in a type that differs between processors"
    )]
    let number = rustix::fs::fstatfs(file).map(|told| told.f_type as u32);
    number.is_ok_and(|number| file_systems.contains(&number))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn is_shared(file: &File) -> bool {
    !(is_on(file, &FIXED) || is_on(file, &PORTABLE))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn is_fixed(file: &File) -> bool {
    is_on(file, &FIXED)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn is_fixed(_: &File) -> bool {
    false
}

#[cfg(target_vendor = "apple")]
pub(crate) fn is_shared(file: &File) -> bool {
    const MNT_LOCAL: u32 = 0x1000;
    let flags = rustix::fs::fstatfs(file).map(|told| told.f_flags);
    !flags.is_ok_and(|flags| flags & MNT_LOCAL != 0)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) fn is_shared(_: &File) -> bool {
    true
}

/// NFS without its lock service has no locks available.
fn has_no_locks(error: &io::Error) -> bool {
    is_lacking(error) || is_one_of(error, &[Errno::NOLCK])
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
pub(crate) fn swap(one: &Path, other: &Path) -> io::Result<bool> {
    let swapped = rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
    if_there(swapped.map_err(io::Error::from))
}

/// Returns `false` if the file system lacks the operation.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn if_there(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if is_lacking(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(crate) fn swap(_: &Path, _: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn clone_file(from: &Path, to: &Path) -> io::Result<()> {
    let clone = File::create_new(to)?;
    Ok(rustix::fs::ioctl_ficlone(clone, File::open(from)?)?)
}

#[cfg(target_vendor = "apple")]
pub(crate) fn clone_file(from: &Path, to: &Path) -> io::Result<()> {
    let (from, flags) = (File::open(from)?, rustix::fs::CloneFlags::NOOWNERCOPY);
    Ok(rustix::fs::fclonefileat(from, CWD, to, flags)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) fn clone_file(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn available_bytes(folder: &Path) -> Option<u64> {
    rustix::fs::statvfs(folder).ok().as_ref().and_then(room)
}

/// A file system without a size does not tell: a FUSE program that counts nothing, a tmpfs without a limit.
fn room(told: &StatVfs) -> Option<u64> {
    let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
    (bytes(told.f_blocks) > 0).then(|| bytes(told.f_bavail))
}

pub(crate) fn disk_blocks(file: &Metadata) -> (u64, Option<FileId>) {
    // Of 512 bytes, whatever the file system's own are.
    let bytes = file.blocks().saturating_mul(512);
    let id = (file.nlink() > 1).then(|| (file.dev(), file.ino()));
    (bytes, id)
}

pub(crate) fn file_number(file: &Metadata) -> Option<u64> {
    Some(file.ino())
}

/// Some file systems cannot extend a file before it is written.
pub(crate) fn make_room(file: &File, size_bytes: u64) -> io::Result<()> {
    match file.set_len(size_bytes) {
        Err(error) if is_lacking(&error) || is_one_of(&error, &[Errno::PERM]) => Ok(()),
        result => result,
    }
}

pub(crate) fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all().or_else(|error| sync_plainly(file, error))
}

pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data().or_else(|error| sync_plainly(file, error))
}

/// macOS has the drive itself asked, which network shares lack; what it does without is what other systems do.
fn sync_plainly(file: &File, error: io::Error) -> io::Result<()> {
    match is_lacking(&error) {
        true => Ok(rustix::fs::fsync(file)?),
        false => Err(error),
    }
}

pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(path).and_then(|folder| folder.sync_all()) {
        Err(error) if cannot_sync_folders(&error) => Ok(()),
        result => result,
    }
}

/// SMB and some FUSE programs sync no folders, and a folder that may be written need not be readable. What else goes wrong is
/// a fault of the disk.
fn cannot_sync_folders(error: &io::Error) -> bool {
    let refusing = [Errno::BADF, Errno::ISDIR, Errno::ACCESS, Errno::PERM];
    is_lacking(error) || is_one_of(error, &refusing)
}

#[cfg(target_os = "linux")]
pub(crate) fn sync_all_files(folder: &Path) -> io::Result<bool> {
    let synced = rustix::fs::syncfs(File::open(folder)?);
    if_there(synced.map_err(io::Error::from))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn sync_all_files(_: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(target_os = "linux")]
pub(crate) fn forget_cached(file: &File) {
    // What it cannot forget is read from memory, as it would be anyway.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn forget_cached(_: &File) {}

/// Returns whether a path still leads to an open file.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |a: &Metadata, b: &Metadata| a.dev() == b.dev() && a.ino() == b.ino();
    matches!((file.metadata(), std::fs::metadata(path)), (Ok(a), Ok(b)) if same(&a, &b))
}

pub(crate) fn may_be_alive(process: u32) -> bool {
    let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) else {
        return false;
    };
    // A process of another user refuses permission.
    let exists = !matches!(
        rustix::process::test_kill_process(process),
        Err(Errno::SRCH)
    );
    exists && !is_zombie(process)
}

/// Returns whether a process has ended and its parent has not asked how, which that of a container may never do.
fn is_zombie(process: Pid) -> bool {
    // The state stands behind the name, which may have brackets of its own.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    let stat = stat.unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, state)| state);
    state.is_some_and(|state| state.starts_with(['Z', 'X']))
}

pub(crate) fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

pub(crate) fn set_apart(command: &mut Command) {
    command.process_group(0);
}

pub(crate) fn end_set_apart(child: &mut Child) -> io::Result<()> {
    // A group has the number of its first program, which nobody else gets before that is waited for.
    let group = Pid::from_child(child);
    Ok(rustix::process::kill_process_group(group, Signal::KILL)?)
}

pub(crate) fn is_transient(_: &io::Error) -> bool {
    false
}

pub(crate) const UNLINKS_OPEN_FILES: bool = true;

pub(crate) fn user_id() -> Option<u32> {
    Some(rustix::process::getuid().as_raw())
}

pub(crate) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_errors(is: fn(&io::Error) -> bool, yes: &[Errno], no: &[Errno]) {
        let met = |number: &Errno| is(&io::Error::from(*number));
        assert_eq!(yes.iter().find(|number| !met(number)), None);
        assert_eq!(no.iter().find(|number| met(number)), None);
        assert!(!is(&io::Error::other("no number")));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_zombie_is_not_alive() {
        let own = std::process::id();
        assert!(may_be_alive(own));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        while may_be_alive(child.id()) {
            std::thread::yield_now();
        }
        let still_there = format!("/proc/{}/stat", child.id());
        assert!(
            std::fs::exists(still_there).unwrap(),
            "nobody has waited for it"
        );
        child.wait().unwrap();
    }

    /// What a disk says that has failed, is full, or has gone.
    const FAULTS: [Errno; 6] = [
        Errno::IO,
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::ROFS,
        Errno::NODEV,
        Errno::STALE,
    ];

    #[test]
    #[cfg(target_os = "linux")]
    fn a_boot_has_one_name() {
        assert!(boot_id().is_some());
        assert_eq!(boot_id(), boot_id());
    }

    #[test]
    fn a_file_of_which_the_system_forgets_what_it_knows_is_the_same() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        std::fs::write(&path, "bytes").unwrap();
        forget_cached(&File::open(&path).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"bytes");
    }

    #[test]
    fn a_folder_that_cannot_be_synced_is_told_from_a_disk_that_fails() {
        let refused = [
            Errno::INVAL,
            Errno::NOTSUP,
            Errno::OPNOTSUPP,
            Errno::NOSYS,
            Errno::BADF,
            Errno::ISDIR,
            Errno::ACCESS,
            Errno::PERM,
            Errno::NOTTY,
        ];
        assert_errors(cannot_sync_folders, &refused, &FAULTS);
        let temp = tempfile::tempdir().unwrap();
        sync_folder(temp.path()).unwrap();
        let missing = sync_folder(&temp.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_system_without_locks_is_told_from_one_that_fails() {
        let none = [
            Errno::NOLCK,
            Errno::NOSYS,
            Errno::NOTSUP,
            Errno::OPNOTSUPP,
            Errno::INVAL,
        ];
        let faults = [Errno::ACCESS, Errno::BADF, Errno::AGAIN, Errno::INTR];
        assert_errors(has_no_locks, &none, &[&FAULTS[..], &faults].concat());
    }

    #[test]
    fn the_bytes_of_a_file_are_synced_or_it_is_an_error() {
        let temp = tempfile::tempfile().unwrap();
        sync_file(&temp).unwrap();
        sync_plainly(&temp, Errno::NOTSUP.into()).unwrap();
        for fault in FAULTS {
            let error = sync_plainly(&temp, fault.into()).unwrap_err();
            assert_eq!(Errno::from_io_error(&error), Some(fault));
        }
    }

    #[test]
    fn a_file_system_without_a_size_tells_no_room() {
        let told = rustix::fs::statvfs(std::env::temp_dir()).unwrap();
        let of = |f_blocks, f_bavail, f_frsize| {
            room(&StatVfs {
                f_blocks,
                f_bavail,
                f_frsize,
                ..told
            })
        };
        assert_eq!(of(0, 0, 4096), None);
        assert_eq!(of(10, 5, 0), None);
        assert_eq!(of(10, 0, 4096), Some(0), "this one is full");
        assert_eq!(of(10, 5, 4096), Some(5 * 4096));
        assert_eq!(of(10, u64::MAX, 4096), Some(u64::MAX));
        assert_eq!(available_bytes(Path::new("/no/such/folder")), None);
    }
}
