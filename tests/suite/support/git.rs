//! Commits of files as git names them, and the branches, tags and pull requests that point at them.
#![allow(dead_code, reason = "each test binary and benchmark uses its own part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Files by name.
pub(crate) type Tree = BTreeMap<String, File>;

#[derive(Clone)]
pub(crate) struct File {
    pub(crate) bytes: Arc<[u8]>,
    /// The id of the blob in git: of the file itself, or of the pointer to it.
    pub(crate) blob: String,
    pub(crate) large: Option<Large>,
}

/// What git has instead of a file in the large file storage.
#[derive(Clone)]
pub(crate) struct Large {
    pub(crate) sha256: String,
    pub(crate) pointer_bytes: usize,
}

impl File {
    pub(crate) fn small(bytes: Vec<u8>) -> Self {
        Self {
            blob: object("blob", &bytes),
            bytes: bytes.into(),
            large: None,
        }
    }

    pub(crate) fn large(bytes: Vec<u8>) -> Self {
        let (sha256, size) = (hex(&Sha256::digest(&bytes)), bytes.len());
        let pointer = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
        );
        Self {
            bytes: bytes.into(),
            blob: object("blob", pointer.as_bytes()),
            large: Some(Large {
                sha256,
                pointer_bytes: pointer.len(),
            }),
        }
    }
}

pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) tree: Tree,
    /// How many commits were before it.
    pub(crate) number: usize,
}

/// What a tag points at.
pub(crate) struct Tag {
    pub(crate) commit: String,
    /// The tag's own id, if it is annotated.
    pub(crate) object: Option<String>,
}

/// The commits of a repository, which stay after the branches that led to them have moved.
#[derive(Default)]
pub(crate) struct History {
    /// The first branch ever, unless told otherwise.
    pub(crate) default_branch: Option<String>,
    pub(crate) branches: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, Tag>,
    /// The heads of pull requests, by number.
    pub(crate) pull_requests: BTreeMap<u64, String>,
    pub(crate) commits: BTreeMap<String, Commit>,
}

impl History {
    /// Commits files to a branch; the id follows from the files and the commit before.
    pub(crate) fn commit(&mut self, branch: &str, tree: Tree) -> String {
        let parent = self.branches.get(branch).map_or("", String::as_str);
        let mut content = format!("parent {parent}\n");
        for (name, file) in &tree {
            content += &format!("{} {name}\n", file.blob);
        }
        let id = object("commit", content.as_bytes());
        let number = self.commits.len();
        let commit = Commit {
            id: id.clone(),
            tree,
            number,
        };
        self.commits.entry(id.clone()).or_insert(commit);
        self.set_branch(branch, &id);
        id
    }

    pub(crate) fn set_branch(&mut self, branch: &str, commit: &str) {
        self.default_branch.get_or_insert_with(|| branch.to_owned());
        self.branches.insert(branch.to_owned(), commit.to_owned());
    }

    pub(crate) fn tag(&mut self, tag: &str, commit: &str) {
        let lightweight = Tag {
            commit: commit.to_owned(),
            object: None,
        };
        self.tags.insert(tag.to_owned(), lightweight);
    }

    /// The commit of the default branch.
    pub(crate) fn head(&self) -> Option<&str> {
        let branch = self.default_branch.as_ref()?;
        self.branches.get(branch).map(String::as_str)
    }

    /// The files of a branch, none where it is missing.
    pub(crate) fn tree_of(&self, branch: &str) -> Tree {
        let commit = self.branches.get(branch);
        commit.map_or_else(Tree::new, |commit| self.commits[commit].tree.clone())
    }

    /// The commit that a branch, a tag, a full name of either, or a whole id means, in this order.
    pub(crate) fn commit_at(&self, reference: &str) -> Option<&Commit> {
        let (branch, tag) = match reference.strip_prefix("refs/") {
            Some(full) => (full.strip_prefix("heads/"), full.strip_prefix("tags/")),
            None => (Some(reference), Some(reference)),
        };
        let branch = branch.and_then(|branch| self.branches.get(branch));
        let tag = || Some(&self.tags.get(tag?)?.commit);
        let id = branch.or_else(tag).map_or(reference, String::as_str);
        self.commits
            .get(if id == "HEAD" { self.head()? } else { id })
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
