//! The files of the AWS tools, [`~/.aws/credentials` and `~/.aws/config`][files]: sections with settings, of which one section
//! is the profile.
//!
//! [files]: https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::env::Environment;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::small_file::read_small;

/// The largest file that is read, in bytes; those with hundreds of profiles have about 100 KiB.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The settings of one profile, and of the section of services that it names.
#[derive(Debug, Default)]
pub(super) struct Profile {
    pub(super) name: String,
    /// The variable that names it; `None` for the default one.
    variable: Option<&'static str>,
    /// The files that have a place, and what each says of the profile: that of credentials first. They need not exist.
    files: Vec<(PathBuf, Settings)>,
    services: Settings,
    is_there: bool,
}

/// Settings by their names in lower case. What is indented below a setting has its name in front: `s3.endpoint_url`.
type Settings = HashMap<String, Secret>;

impl Profile {
    /// Reads the profile that the environment names.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a file cannot be read.
    pub(super) fn read(environment: &Environment) -> Result<Self> {
        let variable = environment.first_set(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        let name = variable.and_then(|variable| environment.get(variable));
        let name = name.unwrap_or_else(|| "default".into());
        let mut profile = Self {
            variable,
            ..Self::default()
        };
        for (variable, file) in [
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            ("AWS_CONFIG_FILE", "config"),
        ] {
            let Some(path) = environment.aws_file(variable, file) else {
                continue;
            };
            let mut sections = sections(&read(&path)?);
            let own = match file {
                "credentials" => sections.remove(&name),
                // In the other, only the default profile may go without the word.
                _ => sections.remove(&format!("profile {name}")).or_else(|| {
                    let is_default = name == "default";
                    sections.remove(&name).filter(|_| is_default)
                }),
            };
            profile.is_there |= own.is_some();
            let own = own.unwrap_or_default();
            if let Some(services) = own.get("services") {
                let section = format!("services {}", services.expose().trim());
                profile.services = sections.remove(&section).unwrap_or_default();
            }
            profile.files.push((path, own));
        }
        profile.name = name;
        Ok(profile)
    }

    /// Checks that the profile is there if the environment names it.
    pub(super) fn check(&self) -> Result<()> {
        match self.variable.filter(|_| !self.is_there) {
            None => Ok(()),
            Some(variable) => {
                let name = self.name.escape_debug();
                let paths = self.paths().map(|path| path.display().to_string());
                let paths = paths.collect::<Vec<_>>().join(" or ");
                let message =
                    format!("the profile '{name}' that {variable} names is not in {paths}");
                Err(Error::config(message))
            }
        }
    }

    /// The files that are looked at, in the order in which they count; they need not exist.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    /// Returns a setting of the profile, and the file that has it.
    pub(super) fn get(&self, name: &str) -> Option<(&Secret, &Path)> {
        let mut files = self.files.iter();
        files.find_map(|(path, settings)| Some((settings.get(name)?, path.as_path())))
    }

    /// Returns the text of a setting that is no secret.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        Some(self.get(name)?.0.expose())
    }

    /// Returns a setting of the section of services that the profile names, such as `s3.endpoint_url`.
    pub(super) fn of_services(&self, name: &str) -> Option<&str> {
        Some(self.services.get(name)?.expose())
    }

    /// How messages call it.
    pub(super) fn called(&self, path: &Path) -> String {
        format!(
            "the profile '{}' of {}",
            self.name.escape_debug(),
            path.display()
        )
    }
}

/// Reads a file, which need not exist.
fn read(path: &Path) -> Result<String> {
    let bytes = read_small(path, MAX_FILE_BYTES)
        .map_err(|error| Error::config_from(format!("cannot read {}", path.display()), error))?;
    Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
}

/// Reads sections and their settings. What is neither is passed over, as the AWS tools do.
fn sections(text: &str) -> HashMap<String, Settings> {
    let mut sections: HashMap<String, Settings> = HashMap::new();
    let mut section = None;
    // The setting without a value of its own that indented ones belong to.
    let mut parent = String::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = trimmed.strip_prefix('[') {
            let name = header.split(']').next().unwrap_or_default();
            let words: Vec<&str> = name.split_whitespace().collect();
            section = Some(words.join(" "));
            parent.clear();
            continue;
        }
        let (Some(section), Some((name, value))) = (&section, trimmed.split_once('=')) else {
            continue;
        };
        let mut name = name.trim().to_lowercase();
        let value = without_comment(value);
        if line.starts_with([' ', '\t']) && !parent.is_empty() {
            name = format!("{parent}.{name}");
        } else if value.is_empty() {
            parent.clone_from(&name);
        } else {
            parent.clear();
        }
        if !value.is_empty() {
            let settings = sections.entry(section.clone()).or_default();
            settings.insert(name, Secret::new(value));
        } else {
            sections.entry(section.clone()).or_default();
        }
    }
    sections
}

/// Takes away what follows ` #` or ` ;`.
fn without_comment(value: &str) -> &str {
    let mut before = ' ';
    let begin = value.char_indices().find(|(_, c)| {
        let is_begin = matches!(c, '#' | ';') && before.is_whitespace();
        before = *c;
        is_begin
    });
    value[..begin.map_or(value.len(), |(at, _)| at)].trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::System;

    #[test]
    fn a_profile_is_read_from_both_files() {
        let dir = tempfile::tempdir().unwrap();
        let (credentials, config) = (dir.path().join("credentials"), dir.path().join("config"));
        std::fs::write(
            &credentials,
            "\u{feff}[default]\r\naws_access_key_id = A ; first\r\n[ work ]\naws_access_key_id=B\naws_secret_access_key=x#y;z\n",
        )
        .unwrap();
        std::fs::write(
            &config,
            "region = none\n# c\n[profile work]\nregion = eu-west-3 # Paris\nservices = mine\nlost\nS3 =\n  endpoint_url = http://ignored\n\
             [work]\nregion = wrong\n[services mine]\ns3 =\n  endpoint_url = http://127.0.0.1:1\nsts =\n  endpoint_url = http://127.0.0.1:2\n",
        )
        .unwrap();
        let env = Environment::empty(System::Linux, dir.path())
            .variable("AWS_SHARED_CREDENTIALS_FILE", &credentials)
            .variable("AWS_CONFIG_FILE", &config);
        let default = Profile::read(&env).unwrap();
        assert_eq!(default.text("aws_access_key_id"), Some("A"));
        assert_eq!(default.text("region"), None);

        let work = Profile::read(&env.clone().variable("AWS_PROFILE", "work")).unwrap();
        assert!(work.check().is_ok());
        assert_eq!(work.text("aws_access_key_id"), Some("B"));
        assert_eq!(work.text("aws_secret_access_key"), Some("x#y;z"));
        assert_eq!(work.get("region").unwrap().1, config);
        assert_eq!(work.text("region"), Some("eu-west-3"));
        assert_eq!(work.text("s3.endpoint_url"), Some("http://ignored"));
        assert_eq!(
            work.of_services("s3.endpoint_url"),
            Some("http://127.0.0.1:1")
        );
        assert_eq!(
            work.of_services("sts.endpoint_url"),
            Some("http://127.0.0.1:2")
        );
        assert!(!format!("{work:?}").contains("x#y"));

        let other = Profile::read(&env.variable("AWS_PROFILE", "other")).unwrap();
        let error = other.check().unwrap_err();
        assert_eq!(error.code(), "CONFIG_ERROR");
        let expected = format!(
            "the profile 'other' that AWS_PROFILE names is not in {} or {}",
            credentials.display(),
            config.display()
        );
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn without_a_home_the_file_of_a_variable_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(&path, "[default]\nregion = eu-west-3\n").unwrap();
        let env = Environment::empty(System::Linux, "").variable("AWS_CONFIG_FILE", &path);
        let profile = Profile::read(&env).unwrap();
        assert!(profile.paths().eq([&*path]));
        assert_eq!(profile.text("region"), Some("eu-west-3"));
    }

    #[test]
    fn files_that_are_missing_are_empty_and_those_too_large_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let env = Environment::empty(System::Linux, dir.path());
        let profile = Profile::read(&env).unwrap();
        assert_eq!(
            profile.paths().collect::<Vec<_>>(),
            ["credentials", "config"].map(|name| dir.path().join(".aws").join(name))
        );
        assert!(profile.check().is_ok());
        let large = dir.path().join("large");
        std::fs::write(&large, vec![b'#'; MAX_FILE_BYTES as usize + 1]).unwrap();
        let error = Profile::read(&env.variable("AWS_CONFIG_FILE", &large)).unwrap_err();
        assert_eq!(error.code(), "CONFIG_ERROR");
    }
}
