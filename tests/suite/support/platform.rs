//! What differs between systems.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use modelrack::config::System;

/// The system the tests run on.
pub(crate) const SYSTEM: System = if cfg!(windows) {
    System::Windows
} else if cfg!(target_os = "macos") {
    System::MacOs
} else {
    System::Linux
};

/// Makes a folder refuse changes while the value lives; `None` where that has no effect, as for the superuser.
pub(crate) fn read_only(dir: &Path) -> Option<ReadOnly<'_>> {
    let before = fs::metadata(dir).unwrap().permissions();
    let mut permissions = before.clone();
    permissions.set_readonly(true);
    fs::set_permissions(dir, permissions).unwrap();
    let guard = ReadOnly { dir, before };
    let probe = dir.join("probe");
    if fs::write(&probe, "").is_ok() {
        fs::remove_file(probe).unwrap();
        return None;
    }
    Some(guard)
}

/// Gives a folder its permissions back.
pub(crate) struct ReadOnly<'a> {
    dir: &'a Path,
    before: fs::Permissions,
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        let _ = fs::set_permissions(self.dir, self.before.clone());
    }
}

/// Makes a link to a folder; false where this user may not, or the system makes none that can be told from a folder.
pub(crate) fn link_folder(target: &Path, link: &Path) -> bool {
    #[cfg(unix)]
    let made = std::os::unix::fs::symlink(target, link);
    #[cfg(windows)]
    let made = std::os::windows::fs::symlink_dir(target, link);
    is_link(made, link)
}

/// Makes a link to a file, as [`link_folder`] does.
pub(crate) fn link_file(target: &Path, link: &Path) -> bool {
    #[cfg(unix)]
    let made = std::os::unix::fs::symlink(target, link);
    #[cfg(windows)]
    let made = std::os::windows::fs::symlink_file(target, link);
    is_link(made, link)
}

fn is_link(made: io::Result<()>, link: &Path) -> bool {
    made.and_then(|()| fs::symlink_metadata(link))
        .is_ok_and(|there| there.file_type().is_symlink())
}

/// Writes a program of the system's shell; false where a file of text cannot be run.
pub(crate) fn script(path: &Path, text: &str) -> bool {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    cfg!(unix)
}

/// A name with this extension that is no Unicode; not every file system takes it.
pub(crate) fn name_without_unicode(extension: &str) -> OsString {
    #[cfg(unix)]
    let mut name = std::os::unix::ffi::OsStringExt::from_vec(b"caf\xe9".to_vec());
    #[cfg(windows)]
    let mut name: OsString = std::os::windows::ffi::OsStringExt::from_wide(&[0x63, 0xd800]);
    OsString::push(&mut name, extension);
    name
}
