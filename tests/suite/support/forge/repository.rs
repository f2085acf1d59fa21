//! Commits, what points at them, and releases.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::zips;

/// Fewer digits of a hash than these mean nothing.
const SHORTEST_HASH: usize = 4;

/// A file, or an asset of a release.
#[derive(Clone)]
pub(super) struct Blob {
    pub(super) bytes: Arc<[u8]>,
    /// 40 hexadecimal digits that follow from the bytes.
    pub(super) id: String,
}

impl Blob {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self {
            id: hash([bytes.as_slice()]),
            bytes: bytes.into(),
        }
    }
}

/// Files by name.
pub(super) type Tree = BTreeMap<String, Blob>;

/// A tree of files as the tests give them.
pub(super) fn tree<N: Into<String>, B: Into<Vec<u8>>>(
    files: impl IntoIterator<Item = (N, B)>,
) -> Tree {
    let blobs = files.into_iter();
    blobs
        .map(|(name, bytes)| (name.into(), Blob::new(bytes.into())))
        .collect()
}

/// A tag and the commit it leads to.
pub(super) struct Tag {
    pub(super) commit: String,
    /// The tag's own hash, if it is annotated.
    pub(super) object: Option<String>,
}

pub(super) struct Repository {
    /// `owner/name`.
    pub(super) name: String,
    pub(super) default_branch: Option<String>,
    pub(super) branches: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, Tag>,
    /// The heads of pull requests, by number.
    pub(super) pull_requests: BTreeMap<u64, String>,
    pub(super) releases: BTreeMap<String, Tree>,
    /// What callers must send, if not everybody may read.
    pub(super) token: Option<String>,
    commits: BTreeMap<String, Tree>,
    /// Zips that were asked for, by commit and top folder.
    zips: BTreeMap<(String, String), Blob>,
}

impl Repository {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            default_branch: None,
            branches: BTreeMap::new(),
            tags: BTreeMap::new(),
            pull_requests: BTreeMap::new(),
            releases: BTreeMap::new(),
            token: None,
            commits: BTreeMap::new(),
            zips: BTreeMap::new(),
        }
    }

    pub(super) fn commit(&mut self, branch: &str, tree: Tree) -> String {
        let parent = self.branches.get(branch).map_or("", String::as_str);
        let files = tree
            .iter()
            .flat_map(|(name, blob)| [name.as_str(), &blob.id]);
        let commit = hash([parent].into_iter().chain(files).map(str::as_bytes));
        self.commits.insert(commit.clone(), tree);
        self.set_branch(branch, &commit);
        commit
    }

    pub(super) fn set_branch(&mut self, branch: &str, commit: &str) {
        self.default_branch.get_or_insert_with(|| branch.to_owned());
        self.branches.insert(branch.to_owned(), commit.to_owned());
    }

    pub(super) fn tag(&mut self, tag: &str, commit: &str) {
        let lightweight = Tag {
            commit: commit.to_owned(),
            object: None,
        };
        self.tags.insert(tag.to_owned(), lightweight);
    }

    pub(super) fn annotated_tag(&mut self, tag: &str, commit: &str) -> String {
        let object = hash(["tag", tag, commit].map(str::as_bytes));
        let annotated = Tag {
            commit: commit.to_owned(),
            object: Some(object.clone()),
        };
        self.tags.insert(tag.to_owned(), annotated);
        object
    }

    pub(super) fn release(&mut self, tag: &str, assets: Tree) {
        if let (false, Some(head)) = (self.tags.contains_key(tag), self.head()) {
            let head = head.to_owned();
            self.tag(tag, &head);
        }
        self.releases.insert(tag.to_owned(), assets);
    }

    /// The commit of the default branch.
    pub(super) fn head(&self) -> Option<&str> {
        let branch = self.default_branch.as_ref()?;
        self.branches.get(branch).map(String::as_str)
    }

    /// The files of a branch, none where it is missing.
    pub(super) fn tree_of(&self, branch: &str) -> Tree {
        let commit = self.branches.get(branch);
        commit.map_or_else(Tree::new, |commit| self.commits[commit].clone())
    }

    /// The commit that a branch, a tag, a full name of either, or a whole hash means, in this order.
    pub(super) fn commit_at(&self, reference: &str) -> Option<&str> {
        if reference == "HEAD" {
            return self.head();
        }
        let (branch, tag) = match reference.strip_prefix("refs/") {
            Some(full) => (full.strip_prefix("heads/"), full.strip_prefix("tags/")),
            None => (Some(reference), Some(reference)),
        };
        let branch = branch.and_then(|branch| self.branches.get(branch));
        let tag = || tag.and_then(|tag| Some(&self.tags.get(tag)?.commit));
        let hash = || Some(self.commits.get_key_value(reference)?.0);
        branch.or_else(tag).or_else(hash).map(String::as_str)
    }

    /// As [`Repository::commit_at`], and by the start of a hash that only one commit has.
    pub(super) fn commit_like(&self, reference: &str) -> Option<&str> {
        self.commit_at(reference).or_else(|| {
            let long_enough = reference.len() >= SHORTEST_HASH;
            let mut candidates = self
                .commits
                .keys()
                .filter(|commit| long_enough && commit.starts_with(reference));
            let only = candidates.next()?;
            candidates.next().is_none().then_some(only.as_str())
        })
    }

    /// The file that `{ref}/{path}` means; the longest ref counts.
    pub(super) fn file_at(&self, reference_and_path: &str) -> Option<&Blob> {
        let mut slashes = reference_and_path.rmatch_indices('/');
        let (commit, path) = slashes.find_map(|(at, _)| {
            let commit = self.commit_at(&reference_and_path[..at])?;
            Some((commit, &reference_and_path[at + 1..]))
        })?;
        self.commits[commit].get(path)
    }

    /// The tree of a ref as a zip below a top folder; packed once.
    pub(super) fn zip_of(&mut self, reference: &str, folder: &str) -> Option<&Blob> {
        let commit = self.commit_at(reference)?.to_owned();
        Some(match self.zips.entry((commit, folder.to_owned())) {
            Entry::Occupied(packed) => packed.into_mut(),
            Entry::Vacant(vacant) => {
                let (commit, folder) = vacant.key();
                let packed = zips::archive(folder, commit, &self.commits[commit]);
                vacant.insert(Blob::new(packed))
            }
        })
    }
}

/// 40 hexadecimal digits that follow from the pieces, like git's but not the same.
fn hash<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update((piece.len() as u64).to_le_bytes());
        hasher.update(piece);
    }
    let digest = hasher.finalize();
    digest[..20]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
