//! Commits, what points at them, and who may read them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::files::{File, Tree, object};

/// How many hexadecimal digits of an object's id serve as the id of a repository.
const ID_DIGITS: usize = 24;

pub(super) struct Repository {
    /// `owner/name`, or just `name`.
    pub(super) id: String,
    /// The id that stays when the repository is renamed: 24 hexadecimal digits.
    pub(super) key: String,
    pub(super) branches: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    /// The heads of pull requests, by number.
    pub(super) pull_requests: BTreeMap<u64, String>,
    pub(super) facts: Facts,
    pub(super) private: bool,
    pub(super) gate: Option<Gate>,
    pub(super) disabled: bool,
    /// Tokens that open what is private or gated.
    pub(super) readers: BTreeSet<String>,
    /// Suffixes of files that go to the large file storage.
    pub(super) tracked: Vec<String>,
    commits: BTreeMap<String, Commit>,
}

pub(super) struct Commit {
    pub(super) id: String,
    pub(super) tree: Tree,
    /// How many commits were before it.
    pub(super) number: usize,
}

/// Who decides about requests for access.
#[derive(Clone, Copy)]
pub(super) enum Gate {
    Automatic,
    Manual,
}

/// What is said about a model.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) pipeline_tag: Option<String>,
    pub(super) library: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) card: Option<Value>,
    pub(super) downloads: u64,
    pub(super) likes: u64,
}

impl Repository {
    pub(super) fn new(id: &str) -> Self {
        let mut key = object("repository", id.as_bytes());
        key.truncate(ID_DIGITS);
        Self {
            id: id.to_owned(),
            key,
            branches: BTreeMap::new(),
            tags: BTreeMap::new(),
            pull_requests: BTreeMap::new(),
            facts: Facts::default(),
            private: false,
            gate: None,
            disabled: false,
            readers: BTreeSet::new(),
            tracked: Vec::new(),
            commits: BTreeMap::new(),
        }
    }

    /// Commits files to a branch, with or without those it has.
    pub(super) fn commit<N: Into<String>, B: Into<Vec<u8>>>(
        &mut self,
        branch: &str,
        files: impl IntoIterator<Item = (N, B)>,
        keep: bool,
    ) -> String {
        let parent = self.branches.get(branch).cloned().unwrap_or_default();
        let mut tree = match self.commits.get(&parent) {
            Some(commit) if keep => commit.tree.clone(),
            _ => Tree::new(),
        };
        for (name, bytes) in files {
            let name = name.into();
            let file = File::new(&name, bytes.into(), &self.tracked);
            tree.insert(name, file);
        }
        let lines = tree
            .iter()
            .map(|(name, file)| format!("{} {name}\n", file.blob));
        let content = lines.fold(format!("parent {parent}\n"), |text, line| text + &line);
        let id = object("commit", content.as_bytes());
        let number = self.commits.len();
        self.commits.entry(id.clone()).or_insert_with(|| Commit {
            id: id.clone(),
            tree,
            number,
        });
        self.branches.insert(branch.to_owned(), id.clone());
        id
    }

    /// The commit that a branch, a tag, a pull request or a whole hash means, in this order.
    pub(super) fn commit_at(&self, revision: &str) -> Option<&Commit> {
        let pull_request = || {
            let number = revision.strip_prefix("refs/pr/")?.parse().ok()?;
            self.pull_requests.get(&number)
        };
        let named = self
            .branches
            .get(revision)
            .or_else(|| self.tags.get(revision))
            .or_else(pull_request);
        self.commits.get(named.map_or(revision, String::as_str))
    }

    /// A file of any commit, by what it is called in the large file storage.
    pub(super) fn stored(&self, key: impl Fn(&str) -> bool) -> Option<&File> {
        let files = self
            .commits
            .values()
            .flat_map(|commit| commit.tree.values());
        files
            .into_iter()
            .find(|file| file.large.as_ref().is_some_and(|large| key(&large.sha256)))
    }

    /// Whether the bearer of a token may know of the repository.
    pub(super) fn is_visible(&self, token: Option<&str>) -> bool {
        !self.private || self.is_reader(token)
    }

    /// Whether the bearer of a token may have the files.
    pub(super) fn is_open(&self, token: Option<&str>) -> bool {
        self.gate.is_none() || self.is_reader(token)
    }

    fn is_reader(&self, token: Option<&str>) -> bool {
        token.is_some_and(|token| self.readers.contains(token))
    }
}
