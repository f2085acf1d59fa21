//! What stands at the end of the long help: the environment, the files and the exit codes.

use std::fmt::Write as _;

use super::Mount;

/// The variables of an app, without their prefix.
const OWN_VARIABLES: [(&str, &str); 8] = [
    ("DIR", "where models are installed"),
    ("CACHE_DIR", "where registries are cached"),
    ("CONFIG", "the file of sources"),
    ("REGISTRY_URL", "the URL of a registry"),
    ("OFFLINE", "1: as --offline"),
    ("AUTO_SYNC", "1: sync registries when they are needed"),
    ("LIMIT_RATE", "as --limit-rate"),
    ("DURABLE", "1: wait until the disk has what was pulled"),
];

const OTHER_VARIABLES: [(&str, &str); 4] = [
    ("GITHUB_TOKEN", "the token for repositories; also GH_TOKEN"),
    ("HF_TOKEN", "the token for the Hugging Face Hub"),
    (
        "HTTPS_PROXY",
        "a proxy; also HTTP_PROXY, ALL_PROXY and NO_PROXY",
    ),
    ("SSL_CERT_FILE", "certificates to trust; also SSL_CERT_DIR"),
];

/// What the codes of `ending` mean.
const EXIT_CODES: [(&str, &str); 11] = [
    ("0", "done, or nothing to do"),
    ("1", "invalid configuration or registry, or another failure"),
    ("2", "invalid command line or name"),
    ("3", "not offered by any source"),
    ("4", "not installed"),
    ("5", "network failure, or offline"),
    ("6", "damaged files"),
    ("7", "disk failure, lack of space or of permission"),
    ("8", "access denied"),
    ("9", "errors in a project, or a lock that is stale"),
    ("130", "cancelled"),
];

/// Formats the end of the long help, behind the examples.
pub(super) fn reference(mount: &Mount, examples: &str) -> String {
    let config = &mount.config;
    let own = OWN_VARIABLES.map(|(suffix, meaning)| (config.variable(suffix), meaning));
    let other = OTHER_VARIABLES.map(|(name, meaning)| (name.to_owned(), meaning));
    let file = match &config.config_file {
        Some(path) => path.display().to_string(),
        None => format!(
            "~/.config/{app}/models.toml, on Windows %APPDATA%\\{app}\\models.toml",
            app = config.app()
        ),
    };
    let mut text = examples.to_owned();
    section(&mut text, "Environment", own.into_iter().chain(other));
    let path = mount.example_path();
    let _ = write!(
        text,
        "\n\nFiles:\n  {file}\n    your sources: a table [sources.NAME] for each\n  \
         '{path} info' prints the paths in use"
    );
    let codes = EXIT_CODES.map(|(code, meaning)| (code.to_owned(), meaning));
    section(&mut text, "Exit codes", codes);
    text
}

/// Appends a heading and lines of names and meanings.
fn section(
    text: &mut String,
    heading: &str,
    lines: impl IntoIterator<Item = (String, &'static str)>,
) {
    let lines: Vec<_> = lines.into_iter().collect();
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let _ = write!(text, "\n\n{heading}:");
    for (name, meaning) in lines {
        let _ = write!(text, "\n  {name:width$}  {meaning}");
    }
}
