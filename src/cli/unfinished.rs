//! Finding the unfinished pulls that an address means, for commands about models that are not installed.

use super::failure::CliResult;
use super::session::Session;
use crate::installed::{PartialModel, Status};
use crate::{ListOptions, ModelAddress, ModelRef};

/// Returns the unfinished pulls of versions that an address means, running or not.
pub(super) fn find(session: &Session, address: &ModelAddress) -> CliResult<Vec<PartialModel>> {
    let mut partials = session.manager.list(&ListOptions::default())?.partials;
    if !partials.is_empty() {
        let sources = session.manager.sources()?.into_iter();
        let names: Vec<String> = sources
            .flat_map(|source| [source.name, source.key])
            .collect();
        partials.retain(|partial| is_meant(address, &partial.model, &names));
    }
    Ok(partials)
}

/// Returns whether a pull is running, or waits for its turn.
pub(super) fn is_running(partial: &PartialModel) -> bool {
    partial.status != Status::Error
}

/// Returns whether an address means a version, in any of the forms that people type; `sources` are the names of sources.
fn is_meant(address: &ModelAddress, model: &ModelRef, sources: &[String]) -> bool {
    let (name, version) = (model.name(), model.version());
    let full = name.to_string();
    let at_source = sources.iter().filter_map(|source| {
        let path = full.strip_prefix(source)?.strip_prefix('/')?;
        Some(format!("{source}@{version}/{path}"))
    });
    let typed = [format!("{name}@{version}")].into_iter().chain(at_source);
    let is_same = |text: String| {
        text.parse()
            .is_ok_and(|typed: ModelAddress| typed == *address)
    };
    *address == name.into() || *address == model.into() || typed.into_iter().any(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_meant_in_every_form() {
        let model = ModelRef::new("mf6/test", "m", "develop").unwrap();
        let sources = ["", "mf6/test"].map(str::to_owned);
        let is_meant = |text: &str, version| {
            is_meant(
                &ModelAddress::parse(text, version).unwrap(),
                &model,
                &sources,
            )
        };
        for (text, version) in [
            ("mf6/test/m", None),
            ("mf6/test/m", Some("develop")),
            ("mf6/test/m@develop", None),
            ("mf6/test@develop/m", None),
        ] {
            assert!(is_meant(text, version), "{text}");
        }
        for (text, version) in [
            ("mf6/test/m", Some("master")),
            ("mf6/test", None),
            ("mf6/test@develop/n", None),
        ] {
            assert!(!is_meant(text, version), "{text}");
        }
    }
}
