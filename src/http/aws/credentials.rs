//! Where keys come from, [in the order of the AWS tools][order]: variables, a profile, a token of the machine's identity, a
//! service of the container, and last the metadata service of a machine in the cloud.
//!
//! They are read when a request needs them, once, and again shortly before they expire.
//!
//! [order]: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html

use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::keys::{KEY_ID, Keys, KeysWire, MAX_ANSWER_BYTES, SECRET_KEY};
use super::profile::Profile;
use super::services;
use crate::env::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Failure;
use crate::http::exchange::Exchange;
use crate::mutex::Mutex;
use crate::program::{Question, Silence, ask, quoted};
use crate::secret::Secret;

/// How long before they expire keys are renewed: [as the SDKs do][sdk], so that a request that waits in a queue still has some.
///
/// [sdk]: https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html
const RENEWED_BEFORE: Duration = Duration::from_secs(300);
/// How often keys that are about to expire are asked for anew.
const ASKED_EVERY: Duration = Duration::from_secs(60);
/// How long the program of a profile may take: it may have to ask a server for the keys, but nobody is there to type a
/// password.
const PROGRAM_TIME: Duration = Duration::from_secs(60);

/// The keys of one run, or that there are none.
#[derive(Debug)]
pub(super) struct Credentials {
    environment: Environment,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<Keys>>,
    /// The places without keys; `None` until they have been looked at.
    looked_at: Option<Vec<String>>,
    /// When they were asked for last.
    asked: Option<Instant>,
    /// Whether the machine's metadata service has been asked.
    has_asked_machine: bool,
    /// Whether a server called the keys expired, and others were not asked for since.
    has_expired: bool,
}

impl State {
    /// How long keys must last to be used: what gives keys may give the same for a while, and is not asked all the time.
    fn wanted_for(&self) -> Duration {
        let is_new = self
            .asked
            .is_some_and(|asked| asked.elapsed() < ASKED_EVERY);
        if is_new {
            Duration::ZERO
        } else {
            RENEWED_BEFORE
        }
    }
}

impl Credentials {
    pub(super) fn new(environment: &Environment) -> Self {
        Self {
            environment: environment.clone(),
            state: Mutex::default(),
        }
    }

    /// Returns the keys, if there are any. Workers that need them at once wait for one that fetches them.
    pub(super) fn keys(
        &self,
        profile: &Profile,
        exchange: &Exchange<'_>,
    ) -> Result<Option<Arc<Keys>>, Failure> {
        let mut state = self.state.lock();
        let has_expired = mem::take(&mut state.has_expired);
        let old = match &state.keys {
            Some(keys) if keys.lasts(state.wanted_for()) => return Ok(Some(keys.clone())),
            None if state.looked_at.is_some() && !has_expired => return Ok(None),
            keys => keys.clone(),
        };
        state.asked = Some(Instant::now());
        let found = match state.has_asked_machine {
            true => services::of_machine(&self.environment, exchange),
            false => self.find(profile, &mut state, exchange),
        };
        match (found, old) {
            (Ok(Some(found)), _) => state.keys = Some(Arc::new(found)),
            // The service of the machine, which gave these, does not answer now.
            (Ok(None), Some(old)) if old.lasts(Duration::ZERO) => {
                let origin = &old.origin;
                warn!(origin, "the keys of {origin} cannot be renewed yet");
                return Ok(Some(old));
            }
            (Ok(None), _) => state.keys = None,
            (Err(failure), Some(old)) if old.lasts(Duration::ZERO) => {
                let (origin, error) = (&old.origin, failure.error.to_string());
                warn!(origin, error, "the keys of {origin} cannot be renewed yet");
                return Ok(Some(old));
            }
            (Err(failure), _) => return Err(failure),
        }
        if let Some(keys) = &state.keys {
            let (origin, key_id) = (&keys.origin, shortened(&keys.key_id));
            debug!(origin, key_id, "keys for object stores");
        }
        Ok(state.keys.clone())
    }

    /// Asks the metadata service of the machine, once: where there is none, that takes a second. Returns whether it has keys.
    pub(super) fn ask_machine(&self, exchange: &Exchange<'_>) -> Result<bool, Failure> {
        let mut state = self.state.lock();
        if state.keys.is_some() {
            return Ok(true);
        }
        if state.has_asked_machine || self.environment.flag("AWS_EC2_METADATA_DISABLED") {
            return Ok(false);
        }
        state.has_asked_machine = true;
        let looked_at = state.looked_at.get_or_insert_default();
        looked_at.push("the machine has no metadata service with a key".into());
        state.keys = services::of_machine(&self.environment, exchange)?.map(Arc::new);
        Ok(state.keys.is_some())
    }

    /// Forgets the keys of a session that a server calls expired. Returns whether there may be others.
    pub(super) fn expired(&self, session_token: Option<&Secret>) -> bool {
        let mut state = self.state.lock();
        match &state.keys {
            Some(keys) if keys.session_token.as_ref() == session_token => {
                let is_renewable = keys.expires.is_some();
                state.has_expired = state.keys.take_if(|_| is_renewable).is_some();
                state.has_expired
            }
            // Another request has renewed them.
            _ => true,
        }
    }

    /// Returns the places that were looked at in vain.
    pub(super) fn looked_at(&self) -> Vec<String> {
        self.state.lock().looked_at.clone().unwrap_or_default()
    }

    fn find(
        &self,
        profile: &Profile,
        state: &mut State,
        exchange: &Exchange<'_>,
    ) -> Result<Option<Keys>, Failure> {
        let environment = &self.environment;
        let mut looked_at = vec!["AWS_ACCESS_KEY_ID is not set".to_owned()];
        if let Some(keys) = of_variables(environment).map_err(Failure::last)? {
            return Ok(Some(keys));
        }
        profile.check().map_err(Failure::last)?;
        let paths = profile.paths();
        looked_at.extend(paths.map(|path| format!("{} has no key", profile.called(path))));
        if let Some(keys) = of_profile(profile, environment, exchange)? {
            return Ok(Some(keys));
        }
        looked_at.push("AWS_WEB_IDENTITY_TOKEN_FILE is not set".into());
        if let Some(keys) = services::of_identity(environment, profile, exchange)? {
            return Ok(Some(keys));
        }
        looked_at.push("AWS_CONTAINER_CREDENTIALS_FULL_URI is not set".into());
        if let Some(keys) = services::of_container(environment, exchange)? {
            return Ok(Some(keys));
        }
        state.looked_at = Some(looked_at);
        Ok(None)
    }
}

/// The beginning of the public half of a key, which tells people which one it is.
fn shortened(key_id: &str) -> String {
    let begin: String = key_id.chars().take(8).collect();
    format!("{begin}…")
}

fn of_variables(environment: &Environment) -> Result<Option<Keys>> {
    let get = |name: &str| environment.get(name).map(Secret::new);
    let Some(key_id) = environment.get(KEY_ID) else {
        return Ok(None);
    };
    let Some(secret) = get(SECRET_KEY) else {
        let message = format!("{KEY_ID} is set, but {SECRET_KEY} is not");
        return Err(Error::config(message));
    };
    let token = get("AWS_SESSION_TOKEN");
    Keys::new(KEY_ID, &key_id, &secret, token.as_ref()).map(Some)
}

fn of_profile(
    profile: &Profile,
    environment: &Environment,
    exchange: &Exchange<'_>,
) -> Result<Option<Keys>, Failure> {
    // A role is one that the keys of another profile take on, or that a token of the machine's identity stands for.
    if profile.text("role_arn").is_some() && profile.text("web_identity_token_file").is_none() {
        return Err(Failure::last(delegated(
            profile,
            "role_arn",
            "assumes a role",
        )));
    }
    if let Some((key_id, path)) = profile.get("aws_access_key_id") {
        let origin = profile.called(path);
        let secret = profile.get("aws_secret_access_key");
        let (secret, _) = secret.ok_or_else(|| {
            let message = format!("{origin} has aws_access_key_id, but no aws_secret_access_key");
            Failure::last(Error::config(message))
        })?;
        let token = profile.get("aws_session_token").map(|(token, _)| token);
        let keys = Keys::new(origin, key_id.expose(), secret, token);
        return keys.map(Some).map_err(Failure::last);
    }
    if let Some((line, path)) = profile.get("credential_process") {
        let origin = format!("credential_process in {}", profile.called(path));
        return of_program(line.expose(), &origin, environment, exchange).map(Some);
    }
    for setting in ["sso_session", "sso_start_url"] {
        if profile.text(setting).is_some() {
            return Err(Failure::last(delegated(
                profile,
                setting,
                "signs in with a browser",
            )));
        }
    }
    Ok(None)
}

/// The error of a profile whose keys only the AWS tools can get, and how to have them do it.
fn delegated(profile: &Profile, setting: &str, what: &str) -> Error {
    let path = profile.get(setting).map_or(Path::new(""), |(_, path)| path);
    let (called, name) = (profile.called(path), profile.name.escape_debug());
    Error::config(format!(
        "{called} {what}, which is left to the AWS tools: in another profile, set \
         credential_process = aws configure export-credentials --profile {name} --format process"
    ))
}

/// Runs the [program] of a profile.
///
/// [program]: https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
fn of_program(
    line: &str,
    origin: &str,
    environment: &Environment,
    exchange: &Exchange<'_>,
) -> Result<Keys, Failure> {
    let unusable = |what: &str| Failure::last(Error::config(format!("{origin} {what}")));
    let words = words(line);
    let Some((name, arguments)) = words.split_first() else {
        return Err(unusable("is empty"));
    };
    let program = environment.program(name);
    let mut command = program.ok_or_else(|| unusable("names a program that is not installed"))?;
    command.args(arguments);
    let question = Question {
        input: "",
        patience: PROGRAM_TIME,
        max_output_bytes: MAX_ANSWER_BYTES as usize,
    };
    let reply = ask(command, question, exchange.cancel()).map_err(|silence| match silence {
        Silence::Cancelled => Failure::last(ErrorKind::Cancelled),
        silence => unusable(&silence.to_string()),
    })?;
    if !reply.is_success {
        let said = quoted(reply.complaint.lines());
        let said = said.as_deref().unwrap_or("nothing");
        return Err(unusable(&format!("fails and says '{said}'")));
    }
    KeysWire::keys(&reply.output, origin).map_err(Failure::last)
}

/// Splits a command line at spaces outside of quotes. A backslash stands for itself, as paths of Windows have it, but before a
/// quote within quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match quote {
            Some(mark) if c == mark => quote = None,
            Some('"') if c == '\\' && rest.peek() == Some(&'"') => {
                word.get_or_insert_default().extend(rest.next());
            }
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_split_without_a_shell() {
        for (line, expected) in [
            (
                "aws-vault  exec 'my profile' --json",
                vec!["aws-vault", "exec", "my profile", "--json"],
            ),
            (
                r#""C:\Program Files\x.exe" a"b c"d ''"#,
                vec![r"C:\Program Files\x.exe", "ab cd", ""],
            ),
            (r#"say "a \"b\"" $HOME;"#, vec!["say", "a \"b\"", "$HOME;"]),
            ("  ", vec![]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn half_a_key_is_an_error() {
        let env = Environment::empty(crate::platform::System::Linux, "/");
        assert!(of_variables(&env).unwrap().is_none());
        let env = env.variable("AWS_ACCESS_KEY_ID", "A");
        assert_eq!(of_variables(&env).unwrap_err().code(), "CONFIG_ERROR");
        let env = env
            .variable("AWS_SECRET_ACCESS_KEY", " s\n")
            .variable("AWS_SESSION_TOKEN", "t");
        let keys = of_variables(&env).unwrap().unwrap();
        assert_eq!(keys.secret_key.expose(), "s");
        assert_eq!(keys.session_token.unwrap().expose(), "t");
    }
}
