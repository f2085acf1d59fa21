//! The environment of the process, read only here.
//!
//! An [`Environment`] is a value: a test, or a program that isolates itself, creates its own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::platform::{self, System};

/// The processor's architecture, by the name that the compiler has for it.
pub(crate) const ARCHITECTURE: &str = std::env::consts::ARCH;

/// Environment variables, command-line arguments, the home folder and the name of this boot, as a value.
///
/// A manager reads that of the process, unless it is given another one:
///
/// ```
/// use modelrack::config::System;
/// use modelrack::{Config, Environment, ModelManager};
///
/// let isolated = Environment::empty(System::Linux, "/home/tester")
///     .variable("TOOL_MODELS_OFFLINE", "1")
///     .arguments(["tool", "models"]);
/// let manager = ModelManager::builder(Config::new("tool")).environment(isolated).build();
///
/// // A program that only adds to its own:
/// let extended = Environment::of_process().variable("HF_TOKEN", "hf_abc");
/// ```
#[derive(Clone)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    arguments: Vec<OsString>,
    home: Option<PathBuf>,
    system: System,
    boot: Option<String>,
    /// The number of the user, if it is that of this process and the system has one.
    user: Option<u32>,
}

impl Environment {
    /// Reads the environment of this process; [`Environment`] has an example.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            arguments: std::env::args_os().collect(),
            home: std::env::home_dir(),
            system: platform::SYSTEM,
            boot: platform::boot_id(),
            user: platform::user_id(),
        }
    }

    /// Creates an environment with nothing but a home folder; [`Environment`] has an example.
    #[must_use]
    pub fn empty(system: System, home: impl Into<PathBuf>) -> Self {
        Self {
            variables: BTreeMap::new(),
            arguments: Vec::new(),
            home: Some(home.into()),
            system,
            boot: None,
            user: None,
        }
    }

    /// Sets a variable; [`Environment`] has an example.
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Sets the command line, starting with the program's name; messages quote it. [`Environment`] has an example.
    #[must_use]
    pub fn arguments<I: IntoIterator<Item = T>, T: Into<OsString>>(mut self, arguments: I) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Sets what names this run of the system, from its start to its end: whatever a restart changes.
    ///
    /// Without it, a pull [waits until the disk has the files](crate::installed#after-a-power-cut). [`Environment::of_process`]
    /// takes it from the system, if that is Linux. A test can tell what another boot finds:
    ///
    /// ```
    /// use modelrack::Environment;
    /// use modelrack::config::System;
    ///
    /// let before = Environment::empty(System::Linux, "/home/tester").boot("1");
    /// let after = before.clone().boot("2");
    /// ```
    #[must_use]
    pub fn boot(mut self, id: impl Into<String>) -> Self {
        self.boot = Some(id.into());
        self
    }

    pub(crate) fn system(&self) -> System {
        self.system
    }

    pub(crate) fn boot_id(&self) -> Option<&str> {
        self.boot.as_deref()
    }

    /// Returns the text of a variable, trimmed; an empty one counts as unset.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let text = clean(&self.variables.get(OsStr::new(name))?.to_string_lossy()).to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// Returns the name of the first of several variables that is set.
    pub(crate) fn first_set(&self, names: &[&'static str]) -> Option<&'static str> {
        let mut names = names.iter().copied();
        names.find(|name| self.get(name).is_some())
    }

    /// Returns the first of several variables that is set.
    pub(crate) fn first(&self, names: &[&'static str]) -> Option<String> {
        self.get(self.first_set(names)?)
    }

    /// Returns a variable that holds a path. A home folder and variables in it are expanded as a shell does: unit files and
    /// files of containers have no shell. What is unknown stays as it is.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name)?;
        Some(self.expanded(self.variables.get(OsStr::new(name))?))
    }

    /// Returns a variable that holds a list of paths, in the form of this system; each is expanded.
    pub(crate) fn paths(&self, name: &str) -> Vec<PathBuf> {
        let list = self.variables.get(OsStr::new(name)).into_iter();
        let paths = list.flat_map(std::env::split_paths);
        let paths = paths.map(|path| self.expanded(path.as_os_str()));
        paths.filter(|path| !path.as_os_str().is_empty()).collect()
    }

    fn expanded(&self, path: &OsStr) -> PathBuf {
        let path = match path.to_str() {
            Some(text) => PathBuf::from(self.expand(clean(text))),
            None => PathBuf::from(path),
        };
        match (path.strip_prefix("~"), &self.home) {
            (Ok(below), Some(home)) => home.join(below),
            _ => path,
        }
    }

    /// Replaces `$NAME` and `${NAME}` by variables that are set.
    fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let plain = after.find(|c| !is_of_name(c)).unwrap_or(after.len());
            let (name, length) = match after.strip_prefix('{').and_then(|it| it.split_once('}')) {
                Some((name, _)) => (name, name.len() + 2),
                None => (&after[..plain], plain),
            };
            match self.get(name) {
                Some(value) => expanded.push_str(&value),
                None => expanded.extend(["$", &after[..length]]),
            }
            rest = &after[length..];
        }
        expanded + rest
    }

    /// Returns whether a switch is on: set to anything but `0`, `false`, `no` or `off`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| {
            !matches!(
                value.to_ascii_lowercase().as_str(),
                "0" | "false" | "no" | "off"
            )
        })
    }

    /// Returns whether more than ASCII can be shown: unless the locale names another encoding than UTF-8. Consoles of Windows
    /// show all there is, in every code page, and where there is no locale, as in containers, terminals take UTF-8.
    #[cfg_attr(
        not(feature = "cli"),
        allow(dead_code, reason = "only commands show anything")
    )]
    pub(crate) fn is_utf8(&self) -> bool {
        let locale = self.first(&["LC_ALL", "LC_CTYPE", "LANG"]);
        let is_utf8 = |locale: String| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        };
        self.system == System::Windows || locale.is_none_or(is_utf8)
    }

    #[cfg_attr(
        not(feature = "cli"),
        allow(dead_code, reason = "only messages of commands quote the command line")
    )]
    pub(crate) fn command_line(&self) -> &[OsString] {
        &self.arguments
    }

    /// Returns the folder for user data: `$XDG_DATA_HOME` or `~/.local/share`, `~/Library/Application Support`,
    /// `%APPDATA%`.
    pub(crate) fn data_dir(&self) -> Result<PathBuf> {
        match self.system {
            System::Linux => self.xdg("XDG_DATA_HOME", &[".local", "share"]),
            System::MacOs => self.in_home(&["Library", "Application Support"]),
            System::Windows => self.roaming(),
        }
    }

    /// Returns the folder for user configuration: `$XDG_CONFIG_HOME` or `~/.config`, `%APPDATA%`.
    pub(crate) fn config_dir(&self) -> Result<PathBuf> {
        match self.system {
            System::Linux | System::MacOs => self.xdg("XDG_CONFIG_HOME", &[".config"]),
            System::Windows => self.roaming(),
        }
    }

    /// Returns the folder for caches: `$XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches`,
    /// `%LOCALAPPDATA%`.
    pub(crate) fn cache_dir(&self) -> Result<PathBuf> {
        match self.system {
            System::Linux => self.xdg("XDG_CACHE_HOME", &[".cache"]),
            System::MacOs => self.in_home(&["Library", "Caches"]),
            System::Windows => match self.path("LOCALAPPDATA") {
                Some(path) => Ok(path),
                None => self.in_home(&["AppData", "Local"]),
            },
        }
    }

    /// Returns the folder of the Hub's own tools: `$HF_HOME`, or `huggingface` in `$XDG_CACHE_HOME` or `~/.cache`, on
    /// every system ([source]).
    ///
    /// [source]: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    pub(crate) fn hub_home(&self) -> Result<PathBuf> {
        if let Some(home) = self.path("HF_HOME") {
            return Ok(home);
        }
        let cache = self.xdg("XDG_CACHE_HOME", &[".cache"])?;
        Ok(cache.join("huggingface"))
    }

    /// Returns the folders in which the tools of containers keep a file of credentials, in the order in which they look
    /// ([containers-auth.json]).
    ///
    /// [containers-auth.json]: https://man.archlinux.org/man/containers-auth.json.5
    pub(crate) fn container_dirs(&self) -> Vec<PathBuf> {
        let runtime = self.path("XDG_RUNTIME_DIR");
        // What these tools take where a login has no such folder, as that of root.
        let of_user = self.user.filter(|_| self.system == System::Linux);
        let runtime = runtime.map(|dir| dir.join("containers"));
        let runtime = runtime.or(of_user.map(|id| format!("/run/containers/{id}").into()));
        let config = self.xdg("XDG_CONFIG_HOME", &[".config"]).ok();
        let config = config.map(|dir| dir.join("containers"));
        runtime.into_iter().chain(config).collect()
    }

    /// Returns a command that runs a program of the search path, or at a path, in this environment, and nothing else; `None`
    /// if there is no such program.
    pub(crate) fn program(&self, name: &str) -> Option<Command> {
        let is_path = |name: &OsStr| match self.system {
            System::Windows => name.eq_ignore_ascii_case("PATH"),
            _ => name == "PATH",
        };
        let suffix = std::env::consts::EXE_SUFFIX;
        let file = format!("{}{suffix}", name.strip_suffix(suffix).unwrap_or(name));
        let program = if Path::new(name).is_absolute() {
            Some(file.into()).filter(|it: &PathBuf| it.is_file())?
        } else {
            let mut variables = self.variables.iter();
            let (_, path) = variables.find(|(name, _)| is_path(name))?;
            // A folder without a root would be that of whatever is worked on.
            let mut folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
            folders.find_map(|folder| Some(folder.join(&file)).filter(|it| it.is_file()))?
        };
        let mut command = Command::new(program);
        command.env_clear().envs(&self.variables);
        Some(command)
    }

    /// Returns a file of the AWS tools: that of a variable, or the one of this name in `~/.aws`; `None` if there is no home
    /// folder ([source]).
    ///
    /// [source]: https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html
    pub(crate) fn aws_file(&self, variable: &str, name: &str) -> Option<PathBuf> {
        let own = || self.in_home(&[".aws", name]).ok();
        self.path(variable).or_else(own)
    }

    // A relative path must be ignored: <https://specifications.freedesktop.org/basedir-spec/latest/>.
    fn xdg(&self, name: &str, default: &[&str]) -> Result<PathBuf> {
        match self.path(name).filter(|path| path.is_absolute()) {
            Some(path) => Ok(path),
            None => self.in_home(default),
        }
    }

    fn roaming(&self) -> Result<PathBuf> {
        match self.path("APPDATA") {
            Some(path) => Ok(path),
            None => self.in_home(&["AppData", "Roaming"]),
        }
    }

    /// Returns a folder in the home folder.
    pub(crate) fn in_home(&self, below: &[&str]) -> Result<PathBuf> {
        // A relative one would be another folder in each.
        let home = self.home.clone().filter(|home| home.has_root());
        let home = home.ok_or_else(|| Error::config("the home folder is unknown: set HOME"))?;
        Ok(below.iter().fold(home, |path, name| path.join(name)))
    }
}

/// Takes away what editors, shells and line ends leave around a text.
pub(crate) fn clean(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

impl fmt::Debug for Environment {
    /// Shows only the names of the variables: their values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("system", &self.system)
            .field("home", &self.home)
            .field("variables", &self.variables.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_follow_the_system_s_conventions() {
        let home = std::env::temp_dir();
        let at = |below: &str| {
            below
                .split('/')
                .fold(home.clone(), |path, name| path.join(name))
        };
        let dirs = |env: &Environment| {
            [env.data_dir(), env.config_dir(), env.cache_dir()].map(Result::unwrap)
        };
        let linux = Environment::empty(System::Linux, &home);
        assert_eq!(
            dirs(&linux),
            [at(".local/share"), at(".config"), at(".cache")]
        );
        let set = linux
            .clone()
            .variable("XDG_DATA_HOME", at("d"))
            .variable("XDG_CACHE_HOME", "relative");
        assert_eq!(dirs(&set), [at("d"), at(".config"), at(".cache")]);
        let mac = Environment::empty(System::MacOs, &home);
        assert_eq!(
            dirs(&mac),
            [
                at("Library/Application Support"),
                at(".config"),
                at("Library/Caches")
            ]
        );
        let windows = Environment::empty(System::Windows, &home);
        assert_eq!(
            dirs(&windows),
            [
                at("AppData/Roaming"),
                at("AppData/Roaming"),
                at("AppData/Local")
            ]
        );
        let set = windows
            .variable("APPDATA", "R")
            .variable("LOCALAPPDATA", "L");
        assert_eq!(dirs(&set), ["R", "R", "L"].map(PathBuf::from));
    }

    #[test]
    fn container_tools_have_folders_of_their_own() {
        let home = std::env::temp_dir();
        let linux = Environment::empty(System::Linux, &home);
        let config = home.join(".config").join("containers");
        assert_eq!(linux.container_dirs(), std::slice::from_ref(&config));
        let run = home.join("run");
        let set = linux.clone().variable("XDG_RUNTIME_DIR", &run);
        assert_eq!(
            set.container_dirs(),
            [run.join("containers"), config.clone()]
        );
        let user = Some(1000);
        let without_runtime = Environment { user, ..linux };
        let expected = [PathBuf::from("/run/containers/1000"), config];
        assert_eq!(without_runtime.container_dirs(), expected);
    }

    #[test]
    fn programs_are_found_by_the_search_path_alone() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let file = format!("tool{}", std::env::consts::EXE_SUFFIX);
        std::fs::write(folders[1].path().join(&file), "").unwrap();
        let paths = [
            ".".into(),
            folders[0].path().to_owned(),
            folders[1].path().to_owned(),
        ];
        let path = std::env::join_paths(paths).unwrap();
        let env = Environment::empty(platform::SYSTEM, "/").variable("A", "1");
        assert!(env.program("tool").is_none());
        let env = env.variable("PATH", path);
        let command = env.program("tool").unwrap();
        assert_eq!(command.get_program(), folders[1].path().join(&file));
        assert!(
            command
                .get_envs()
                .any(|(name, value)| name == "A" && value == Some("1".as_ref()))
        );
        assert!(env.program("other").is_none());
    }

    #[test]
    fn switches_are_read_as_people_write_them() {
        for (value, expected) in [
            ("1", true),
            ("yes", true),
            ("TRUE\r\n", true),
            ("", false),
            (" \n", false),
            ("0", false),
            ("0\n", false),
            ("False", false),
            (" no ", false),
            ("OFF\r\n", false),
        ] {
            let env = Environment::empty(System::Linux, "/").variable("A", value);
            assert_eq!(env.flag("A"), expected, "{value:?}");
        }
        assert!(!Environment::empty(System::Linux, "/").flag("A"));
    }

    #[test]
    fn texts_are_trimmed_and_the_first_that_is_set_counts() {
        let env = Environment::empty(System::Linux, "/")
            .variable("A", " \n")
            .variable("B", "\u{feff}b \r\n")
            .variable("C", "c");
        assert_eq!(env.get("A"), None);
        assert_eq!(env.first(&["A", "B", "C"]).as_deref(), Some("b"));
        assert_eq!(env.first_set(&["A", "C", "B"]), Some("C"));
        assert!(!format!("{:?}", env.variable("TOKEN", "s3cret")).contains("s3cret"));
    }

    #[test]
    fn paths_are_expanded_as_a_shell_does() {
        let home = std::env::temp_dir();
        let env = Environment::empty(System::Linux, &home)
            .variable("BASE", "data")
            .variable("LOOP", "$LOOP");
        for (value, expected) in [
            ("~", home.clone()),
            ("~/a/b\n", home.join("a/b")),
            ("$BASE/x", "data/x".into()),
            ("${BASE}x/$BASE", "datax/data".into()),
            ("~/$BASE", home.join("data")),
            ("$LOOP/x", "$LOOP/x".into()),
            ("$OTHER/${OTHER}/c$/${", "$OTHER/${OTHER}/c$/${".into()),
            ("a/~/b", "a/~/b".into()),
            ("~other/x", "~other/x".into()),
        ] {
            let path = env.clone().variable("P", value).path("P");
            assert_eq!(path, Some(expected), "{value:?}");
        }
        let list = std::env::join_paths(["~/a", "", " ", "b "]).unwrap();
        let paths = env.variable("P", list).paths("P");
        assert_eq!(paths, [home.join("a"), "b".into()]);
    }
}
