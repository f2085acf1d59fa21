//! What systems, editors and tools leave in folders and archives, and is not part of any model.

use std::io::Read;
use std::path::Path;

/// Folders and files in which tools work. Everyone knows them: they are passed over without a word.
#[rustfmt::skip]
const OF_TOOLS: [&str; 10] = [
    ".git", ".hg", ".svn", ".registry", ".venv", ".ipynb_checkpoints", "__pycache__", "node_modules", ".DS_Store",
    "Thumbs.db",
];

/// What systems, editors and download tools leave behind: how its name begins and ends, and what tells it from a file that
/// merely has such a name. Where both are given, what is between them is the name of another file.
#[rustfmt::skip]
const LEFT_BEHIND: [(&str, &str, Proof); 32] = [
    // macOS, where a file system has no room for what it knows about a file
    ("._", "", Proof::Begins(b"\x00\x05\x16\x07")),
    (".AppleDouble", "", Proof::Name),
    (".DocumentRevisions-V100", "", Proof::Name),
    (".Spotlight-V100", "", Proof::Name),
    (".TemporaryItems", "", Proof::Name),
    (".Trashes", "", Proof::Name),
    (".fseventsd", "", Proof::Name),
    ("Icon\r", "", Proof::Name),
    // Windows
    ("desktop.ini", "", Proof::Says(&[".ShellClassInfo]", "[ViewState]", "[LocalizedFileNames]", "[DeleteOnCopy]"])),
    ("ehthumbs.db", "", Proof::Name),
    ("$RECYCLE.BIN", "", Proof::Name),
    ("System Volume Information", "", Proof::Name),
    // desktops of Linux, NFS, FUSE, Synology
    (".directory", "", Proof::Says(&["[Dolphin]", "[Desktop Entry]"])),
    (".Trash-", "", Proof::Digits),
    (".nfs", "", Proof::Digits),
    (".fuse_hidden", "", Proof::Digits),
    ("@eaDir", "", Proof::Name),
    // Vim and Nano, Emacs, Kate, LibreOffice, and many for backups
    (".", ".swp", Proof::Begins(b"b0")),
    (".", ".swo", Proof::Begins(b"b0")),
    (".", ".swn", Proof::Begins(b"b0")),
    (".", ".un~", Proof::Begins(b"Vim\x9f")),
    (".", ".kate-swp", Proof::Beside),
    ("#", "#", Proof::Beside),
    (".#", "", Proof::Beside),
    (".~lock.", "#", Proof::Beside),
    ("", "~", Proof::Beside),
    // huggingface_hub, in the folder that it downloads to and in the home of its user; ModelScope
    (".cache/huggingface", "", Proof::Name),
    (".huggingface", "", Proof::Name),
    (".msc", "", Proof::Name),
    (".mdl", "", Proof::Name),
    (".mv", "", Proof::Name),
    ("._____temp", "", Proof::Name),
];

/// How much of a file is read for a proof, in bytes.
const HEAD_BYTES: u64 = 4 << 10;

/// What tells something that was left behind from a file that merely has such a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Nothing: the name, in any case, is that of nothing else.
    Name,
    /// The rest of the name is a hexadecimal number.
    Digits,
    /// How it begins.
    Begins(&'static [u8]),
    /// One of these texts is in it, in UTF-8 or UTF-16; or it is empty.
    Says(&'static [&'static str]),
    /// The file that it belongs to is beside it.
    Beside,
}

/// A folder or an archive.
pub(crate) trait Surroundings {
    /// Returns whether there is something with this path.
    fn has(&self, path: &str) -> bool;
    /// Returns the beginning of the file with this path, at most `max_bytes`; `None` if it cannot be read.
    fn head(&self, path: &str, max_bytes: u64) -> Option<Vec<u8>>;
}

/// A folder of this machine.
impl Surroundings for Path {
    fn has(&self, path: &str) -> bool {
        self.join(path).symlink_metadata().is_ok()
    }

    fn head(&self, path: &str, max_bytes: u64) -> Option<Vec<u8>> {
        let path = self.join(path);
        // Opening a pipe would wait for its other end.
        path.symlink_metadata()
            .ok()
            .filter(std::fs::Metadata::is_file)?;
        let mut head = Vec::new();
        let file = std::fs::File::open(path).ok()?;
        file.take(max_bytes).read_to_end(&mut head).ok()?;
        Some(head)
    }
}

/// Returns whether files or folders of this name belong to a tool, and never to a model.
pub(crate) fn is_of_tool(name: &str) -> bool {
    OF_TOOLS.contains(&name)
}

/// Returns whether a file or folder was left behind by a system, an editor or a download tool.
pub(crate) fn is_left_behind(path: &str, surroundings: &(impl Surroundings + ?Sized)) -> bool {
    LEFT_BEHIND.iter().any(|(begin, end, proof)| {
        let components = 1 + begin.matches('/').count();
        let start = path.rmatch_indices('/').nth(components - 1);
        let (folder, name) = path.split_at(start.map_or(0, |(at, _)| at + 1));
        let middle = || name.strip_prefix(begin)?.strip_suffix(end);
        match proof {
            Proof::Name => name.eq_ignore_ascii_case(begin),
            Proof::Digits => middle().is_some_and(|digits| {
                !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
            }),
            Proof::Begins(bytes) => {
                middle().is_some_and(|of| !of.is_empty())
                    && (surroundings.head(path, bytes.len() as u64))
                        .is_some_and(|head| head == *bytes)
            }
            Proof::Says(texts) => {
                name.eq_ignore_ascii_case(begin)
                    && (surroundings.head(path, HEAD_BYTES)).is_some_and(|head| says(&head, texts))
            }
            Proof::Beside => {
                let has = |of: &str| !of.is_empty() && surroundings.has(&format!("{folder}{of}"));
                middle().is_some_and(has)
            }
        }
    })
}

/// Returns the first folder of a path that was left behind, or the path if the file was.
#[cfg(feature = "author")]
pub(crate) fn left_behind<'a>(
    path: &'a str,
    surroundings: &(impl Surroundings + ?Sized),
) -> Option<&'a str> {
    let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
    let mut paths = folders.chain([path]);
    paths.find(|path| is_left_behind(path, surroundings))
}

/// Returns whether a file is empty, or has one of some texts, in UTF-8 or UTF-16.
fn says(head: &[u8], texts: &[&str]) -> bool {
    let ascii: Vec<u8> = head.iter().copied().filter(|byte| *byte != 0).collect();
    let ascii = String::from_utf8_lossy(&ascii);
    head.is_empty() || texts.iter().any(|text| ascii.contains(text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    impl Surroundings for BTreeMap<&str, &[u8]> {
        fn has(&self, path: &str) -> bool {
            self.contains_key(path)
        }

        fn head(&self, path: &str, max_bytes: u64) -> Option<Vec<u8>> {
            let bytes = self.get(path)?;
            Some(bytes[..bytes.len().min(max_bytes as usize)].to_vec())
        }
    }

    #[test]
    fn what_was_left_behind_is_told_by_more_than_a_name_that_others_may_have() {
        let wide: Vec<u8> = ("\u{feff}[.ShellClassInfo]\r\n".encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        let files: [(&str, &[u8]); 33] = [
            ("m/model.bin", b"x"),
            (
                "m/._model.bin",
                b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ",
            ),
            (
                "__MACOSX/m/._model.bin",
                b"\x00\x05\x16\x07\x00\x02\x00\x00",
            ),
            (".Trashes/501/x", b""),
            ("m/Desktop.ini", b"[.ShellClassInfo]\r\nIconIndex=0\r\n"),
            ("n/desktop.ini", &wide),
            ("$RECYCLE.BIN/x", b""),
            (".nfs000000000123abcd00000001", b""),
            ("m/.model.bin.swp", b"b0VIM 9.0"),
            ("m/.model.bin.un~", b"Vim\x9fUnDo\xe5"),
            ("m/model.bin~", b"y"),
            ("m/#model.bin#", b"y"),
            ("m/.#model.bin", b"me@host.1:2"),
            ("m/.~lock.model.bin#", b",me,host"),
            ("m/.cache/huggingface/trees/1.json", b"{}"),
            ("m/.cache/huggingface/.gitignore", b"*"),
            (".cache/huggingface/token", b"secret"),
            (".huggingface/x", b""),
            ("m/.msc", b""),
            ("@eaDir/x", b""),
            // These stay.
            ("m/._other.bin", b"\x08\0\0\0\0\0\0\0{}      "),
            ("m/._", b"\x00\x05\x16\x07"),
            ("o/desktop.ini", b"[window]\nwidth = 3\n"),
            ("__MACOSX/x.bin", b"x"),
            ("m/.nfs", b""),
            ("m/.nfs-config", b""),
            ("m/.a.swp", b"swap"),
            ("m/gone.bin~", b"y"),
            ("m/#tag#", b"y"),
            (".cache/models/x", b""),
            ("huggingface/x", b""),
            ("m/.mdl2", b""),
            ("~", b""),
        ];
        let first = files.iter().position(|(path, _)| *path == "m/._other.bin");
        let all: BTreeMap<&str, &[u8]> = files.into_iter().collect();
        for (at, (path, _)) in files.iter().enumerate() {
            let is_one = at > 0 && Some(at) < first;
            assert_eq!(left_behind(path, &all).is_some(), is_one, "{path}");
        }
        assert_eq!(
            left_behind("m/.cache/huggingface/a/b", &all),
            Some("m/.cache/huggingface")
        );
    }
}
