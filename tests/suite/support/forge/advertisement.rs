//! The advertisement of refs in git's smart HTTP protocol, version 0 (gitprotocol-http(5), gitprotocol-pack(5)).

use super::repository::Repository;

/// What stands for a commit where there is none.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";
const FLUSH: &str = "0000";

/// What GitHub says it can do, short of the default branch.
const CAPABILITIES: &str = "multi_ack thin-pack side-band side-band-64k ofs-delta shallow deepen-since deepen-not \
     deepen-relative no-progress include-tag multi_ack_detailed allow-tip-sha1-in-want \
     allow-reachable-sha1-in-want no-done filter object-format=sha1 agent=git/forge";

/// The answer to `info/refs?service=git-upload-pack`.
pub(super) fn advertisement(repository: &Repository) -> String {
    let mut capabilities = CAPABILITIES.to_owned();
    if let (Some(branch), Some(_)) = (&repository.default_branch, repository.head()) {
        capabilities.push_str(&format!(" symref=HEAD:refs/heads/{branch}"));
    }
    let mut refs = refs(repository);
    if refs.is_empty() {
        refs.push((NO_COMMIT.to_owned(), "capabilities^{}".to_owned()));
    }
    let mut text = packet("# service=git-upload-pack\n") + FLUSH;
    for (number, (hash, name)) in refs.iter().enumerate() {
        text += &if number == 0 {
            packet(&format!("{hash} {name}\0{capabilities}\n"))
        } else {
            packet(&format!("{hash} {name}\n"))
        };
    }
    text + FLUSH
}

/// Hash and name of everything that points at a commit: `HEAD`, then by name, an annotated tag's commit behind it.
fn refs(repository: &Repository) -> Vec<(String, String)> {
    let mut refs = Vec::new();
    for (branch, commit) in &repository.branches {
        refs.push((commit.clone(), format!("refs/heads/{branch}")));
    }
    for (number, commit) in &repository.pull_requests {
        refs.push((commit.clone(), format!("refs/pull/{number}/head")));
    }
    for (tag, target) in &repository.tags {
        let name = format!("refs/tags/{tag}");
        if let Some(object) = &target.object {
            refs.push((object.clone(), name.clone()));
            refs.push((target.commit.clone(), name + "^{}"));
        } else {
            refs.push((target.commit.clone(), name));
        }
    }
    refs.sort_by(|(_, one), (_, other)| one.cmp(other));
    if let Some(head) = repository.head() {
        refs.insert(0, (head.to_owned(), "HEAD".to_owned()));
    }
    refs
}

/// A pkt-line: its length with the four digits of it, then the text.
fn packet(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}
