//! What the Git host and the Hub have in common: commits of files as git names them, and what points at them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary and benchmark uses its own part, and a fixture that fails ends the test"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::server::lock;

/// Files by name.
pub(crate) type Tree = BTreeMap<String, File>;

#[derive(Clone)]
pub(crate) struct File {
    pub(crate) bytes: Arc<[u8]>,
    /// The id of the blob in git: of the file itself, or of the pointer to it.
    pub(crate) blob: String,
    /// SHA-256 and the length of the pointer, for a file in the large file storage.
    pub(crate) large: Option<(String, usize)>,
}

impl File {
    pub(crate) fn small(bytes: Vec<u8>) -> Self {
        let blob = object("blob", &bytes);
        Self {
            bytes: bytes.into(),
            blob,
            large: None,
        }
    }

    pub(crate) fn large(bytes: Vec<u8>) -> Self {
        let (sha256, size) = (hex(&Sha256::digest(&bytes)), bytes.len());
        let version = "version https://git-lfs.github.com/spec/v1";
        let pointer = format!("{version}\noid sha256:{sha256}\nsize {size}\n");
        let mut file = Self::small(pointer.into_bytes());
        file.large = Some((sha256, file.bytes.len()));
        file.bytes = bytes.into();
        file
    }
}

pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) tree: Tree,
    /// How many commits were before it.
    pub(crate) number: usize,
}

/// The commits of a repository, which stay after the branches that led to them have moved.
#[derive(Default)]
pub(crate) struct History {
    /// The first branch ever, unless told otherwise.
    pub(crate) default_branch: Option<String>,
    pub(crate) branches: BTreeMap<String, String>,
    /// The commit of each tag, and the tag's own id if it is annotated.
    pub(crate) tags: BTreeMap<String, (String, Option<String>)>,
    /// The heads of pull requests, by number.
    pub(crate) pull_requests: BTreeMap<u64, String>,
    pub(crate) commits: BTreeMap<String, Commit>,
}

impl History {
    fn commit(&mut self, branch: &str, tree: Tree) -> String {
        let parent = self.branches.get(branch).map_or("", String::as_str);
        let mut content = format!("parent {parent}\n");
        for (name, file) in &tree {
            content += &format!("{} {name}\n", file.blob);
        }
        let id = object("commit", content.as_bytes());
        let number = self.commits.len();
        let commit = || Commit {
            id: id.clone(),
            tree,
            number,
        };
        self.commits.entry(id.clone()).or_insert_with(commit);
        self.set_branch(branch, &id);
        id
    }

    fn set_branch(&mut self, branch: &str, commit: &str) {
        self.default_branch.get_or_insert_with(|| branch.to_owned());
        self.branches.insert(branch.to_owned(), commit.to_owned());
    }

    /// The commit of the default branch.
    pub(crate) fn head(&self) -> Option<&str> {
        let branch = self.default_branch.as_ref()?;
        self.branches.get(branch).map(String::as_str)
    }

    /// The commit that a branch, a tag, a full name of either, or a whole id means, in this order.
    pub(crate) fn commit_at(&self, reference: &str) -> Option<&Commit> {
        let (branch, tag) = match reference.strip_prefix("refs/") {
            Some(full) => (full.strip_prefix("heads/"), full.strip_prefix("tags/")),
            None => (Some(reference), Some(reference)),
        };
        let branch = branch.and_then(|branch| self.branches.get(branch));
        let tag = || Some(&self.tags.get(tag?)?.0);
        let id = branch.or_else(tag).map_or(reference, String::as_str);
        self.commits
            .get(if id == "HEAD" { self.head()? } else { id })
    }
}

/// What a host has: repositories, each found by a name of which capitals do not count.
pub(crate) trait Host {
    type Repository;
    fn repositories(&mut self) -> &mut BTreeMap<String, Self::Repository>;
    fn history(repository: &mut Self::Repository) -> &mut History;
    /// A file of this name as the host keeps it.
    fn file(name: &str, bytes: Vec<u8>) -> File;

    fn tree<N: Into<String>, B: Into<Vec<u8>>>(files: impl IntoIterator<Item = (N, B)>) -> Tree {
        let named = files
            .into_iter()
            .map(|(name, bytes)| (name.into(), bytes.into()));
        named
            .map(|(name, bytes)| (name.clone(), Self::file(&name, bytes)))
            .collect()
    }
}

/// A repository of a host, to be changed by a test.
pub(crate) struct Handle<H> {
    pub(crate) host: Arc<Mutex<H>>,
    name: String,
}

impl<H: Host> Handle<H> {
    /// The repository of this name, made where there is none.
    pub(crate) fn new(
        host: &Arc<Mutex<H>>,
        name: &str,
        make: impl FnOnce() -> H::Repository,
    ) -> Self {
        let mut locked = lock(host);
        let repositories = locked.repositories();
        repositories
            .entry(name.to_ascii_lowercase())
            .or_insert_with(make);
        Self {
            host: Arc::clone(host),
            name: name.to_owned(),
        }
    }

    /// `owner/name`, or just `name`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Commits just these files to a branch, made where there is none; returns the commit's id, which follows from the
    /// files and the commit before.
    pub(crate) fn commit<N: Into<String>, B: Into<Vec<u8>>>(
        &self,
        branch: &str,
        files: impl IntoIterator<Item = (N, B)>,
    ) -> String {
        self.change(|repository| H::history(repository).commit(branch, H::tree(files)))
    }

    /// Commits these files beside, or in place of, those that the branch has.
    pub(crate) fn commit_with<N: Into<String>, B: Into<Vec<u8>>>(
        &self,
        branch: &str,
        files: impl IntoIterator<Item = (N, B)>,
    ) -> String {
        self.change(|repository| {
            let history = H::history(repository);
            let before = history.branches.get(branch);
            let mut all = before.map_or_else(Tree::new, |id| history.commits[id].tree.clone());
            all.extend(H::tree(files));
            history.commit(branch, all)
        })
    }

    /// Points a branch at a commit, wherever it pointed before.
    pub(crate) fn set_branch(&self, branch: &str, commit: &str) {
        self.change(|repository| H::history(repository).set_branch(branch, commit));
    }

    pub(crate) fn delete_branch(&self, branch: &str) {
        self.change(|repository| H::history(repository).branches.remove(branch));
    }

    /// Points a tag at a commit.
    pub(crate) fn tag(&self, tag: &str, commit: &str) {
        let target = (commit.to_owned(), None);
        self.change(|repository| H::history(repository).tags.insert(tag.to_owned(), target));
    }

    /// Points the head of a pull request at a commit.
    pub(crate) fn pull_request(&self, number: u64, commit: &str) {
        let commit = commit.to_owned();
        self.change(|repository| H::history(repository).pull_requests.insert(number, commit));
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut H::Repository) -> T) -> T {
        let mut host = lock(&self.host);
        let repository = host.repositories().get_mut(&self.name.to_ascii_lowercase());
        change(repository.unwrap())
    }
}

impl<H> Clone for Handle<H> {
    fn clone(&self) -> Self {
        Self {
            host: Arc::clone(&self.host),
            name: self.name.clone(),
        }
    }
}

/// The id that git gives to an object.
pub(crate) fn object(kind: &str, content: &[u8]) -> String {
    let mut hasher = Sha1::new();
    hasher.update(format!("{kind} {}\0", content.len()));
    hasher.update(content);
    hex(&hasher.finalize())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
