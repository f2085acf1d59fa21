//! Programs that keep credentials: `docker-credential-NAME get`, which reads the name of a server and answers with JSON
//! ([protocol]).
//!
//! [protocol]: https://github.com/docker/docker-credential-helpers#development

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::account::{Account, Login};
use crate::env::Environment;
use crate::mutex::Mutex;
use crate::program::{Question, Reply, ask, quoted};
use crate::progress::CancelToken;

/// How long a helper may take: some wait for somebody to unlock a key ring.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an answer is: tokens of clouds have a few kilobytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// How long an answer is remembered, so that many repositories of one registry ask once. Tokens of clouds last for hours.
const REMEMBERED: Duration = Duration::from_secs(60);
/// The length of the longest names in use is about 20.
const MAX_NAME_BYTES: usize = 64;
/// What helpers say of a server that they do not know, in all languages.
const NOT_FOUND: &str = "credentials not found";
/// The user of an identity token.
const TOKEN_USER: &str = "<token>";

/// Asks helpers, and remembers for a while what they say.
#[derive(Debug)]
pub(super) struct Helpers {
    environment: Environment,
    patience: Duration,
    /// What helpers said of servers. One is asked at a time: it may have a person answer.
    answers: Mutex<HashMap<(String, String), (Instant, Answer)>>,
}

/// What came of asking a helper.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Found(Account),
    /// It has nothing for this server.
    Nothing,
    /// What went wrong, as the predicate of a sentence about the helper.
    Failed(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnswerWire {
    username: String,
    secret: String,
}

impl Helpers {
    pub(super) fn new(environment: &Environment) -> Self {
        Self {
            environment: environment.clone(),
            patience: PATIENCE,
            answers: Mutex::default(),
        }
    }

    /// Asks a helper, by the name that a configuration file has, for the credentials of a server.
    pub(super) fn get(&self, name: &str, server: &str, cancel: &CancelToken) -> Answer {
        let key = (name.to_owned(), server.to_owned());
        let mut answers = self.answers.lock();
        if let Some((when, answer)) = answers.get(&key)
            && when.elapsed() < REMEMBERED
        {
            return answer.clone();
        }
        let answer = self.run(name, server, cancel);
        if !cancel.is_cancelled() {
            answers.insert(key, (Instant::now(), answer.clone()));
        }
        answer
    }

    /// Forgets what helpers said: a server does not accept it.
    pub(super) fn forget(&self) {
        self.answers.lock().clear();
    }

    fn run(&self, name: &str, server: &str, cancel: &CancelToken) -> Answer {
        if !is_name(name) {
            return Answer::Failed(
                "is not run: its name has a character that no helper's has".into(),
            );
        }
        let program = program(name);
        let Some(mut command) = self.environment.program(&program) else {
            return Answer::Failed("is not in the search path".into());
        };
        command.arg("get");
        let question = Question {
            input: server,
            patience: self.patience,
            max_output_bytes: MAX_ANSWER_BYTES,
        };
        match ask(command, question, cancel) {
            Ok(reply) => read(&program, &reply),
            Err(silence) => Answer::Failed(silence.to_string()),
        }
    }
}

/// The name of a helper's program.
pub(super) fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

fn is_name(name: &str) -> bool {
    let is_of_name = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_of_name)
}

fn read(program: &str, reply: &Reply) -> Answer {
    if !reply.is_success {
        let said = String::from_utf8_lossy(&reply.output);
        if said.contains(NOT_FOUND) || reply.complaint.contains(NOT_FOUND) {
            return Answer::Nothing;
        }
        // The protocol has complaints on the standard output. What looks like an answer may hold a secret.
        let said = match said.trim_start().starts_with('{') {
            true => "",
            false => &*said,
        };
        let lines = said.lines().chain(reply.complaint.lines());
        return Answer::Failed(match quoted(lines) {
            Some(line) => format!("failed: {line}"),
            None => "failed without a word".into(),
        });
    }
    let Ok(wire) = serde_json::from_slice::<AnswerWire>(&reply.output) else {
        return Answer::Failed("answered with something else than credentials".into());
    };
    if wire.secret.is_empty() {
        return Answer::Nothing;
    }
    let login = match &*wire.username {
        TOKEN_USER => Login::identity(&wire.secret),
        user => Login::password(user, &wire.secret),
    };
    Answer::Found(Account {
        login,
        origin: program.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(is_success: bool, output: &str, complaint: &str) -> Answer {
        let reply = Reply {
            is_success,
            output: output.into(),
            complaint: complaint.into(),
        };
        read("docker-credential-x", &reply)
    }

    #[test]
    fn answers_are_told_apart() {
        let Answer::Found(account) = reply(
            true,
            r#"{"ServerURL":"h","Username":"ada","Secret":"s3cret"}"#,
            "unlocked",
        ) else {
            panic!("the credentials are not found");
        };
        assert_eq!(account.origin, "docker-credential-x");
        assert_eq!(account.login, Login::password("ada", "s3cret"));
        let identity = reply(true, r#"{"Username":"<token>","Secret":"t"}"#, "");
        let Answer::Found(account) = identity else {
            panic!("the token is not found");
        };
        assert_eq!(account.login, Login::identity("t"));
        for (is_success, output, complaint, expected) in [
            (
                false,
                "credentials not found in native keychain\n",
                "",
                None,
            ),
            (
                false,
                "",
                "Error: credentials not found in native keychain",
                None,
            ),
            (true, r#"{"Username":"","Secret":""}"#, "", None),
            (
                false,
                "\n the key ring is locked\nmore",
                "",
                Some("failed: the key ring is locked"),
            ),
            (
                false,
                "",
                "no \u{1b}[1mbus",
                Some(r"failed: no \u{1b}[1mbus"),
            ),
            (false, "", "", Some("failed without a word")),
            (
                false,
                r#"{"Username":"ada","Secret":"s3cret"}"#,
                "the key ring is locked",
                Some("failed: the key ring is locked"),
            ),
            (
                true,
                "",
                "",
                Some("answered with something else than credentials"),
            ),
            (
                true,
                "ada:s3cret",
                "",
                Some("answered with something else than credentials"),
            ),
            (
                true,
                r#"{"Username":1}"#,
                "",
                Some("answered with something else than credentials"),
            ),
        ] {
            match (reply(is_success, output, complaint), expected) {
                (Answer::Nothing, None) => {}
                (Answer::Failed(actual), Some(expected)) => assert_eq!(actual, expected),
                (answer, _) => panic!("{output} {complaint}: {answer:?}"),
            }
        }
    }

    #[test]
    fn names_are_checked_before_anything_is_run() {
        let environment = Environment::empty(crate::platform::SYSTEM, "/");
        let helpers = Helpers::new(&environment);
        for name in [
            "",
            "../x",
            "a/b",
            r"a\b",
            "a b",
            "a;b",
            "$(a)",
            "ä",
            &"a".repeat(65),
        ] {
            let Answer::Failed(said) = helpers.get(name, "h", &CancelToken::new()) else {
                panic!("{name} is accepted");
            };
            assert!(said.contains("is not run"), "{said}");
        }
        for name in ["desktop", "ecr-login", "wincred.exe", "gcr_2"] {
            let Answer::Failed(said) = helpers.get(name, "h", &CancelToken::new()) else {
                panic!("{name} is there");
            };
            assert_eq!(said, "is not in the search path");
        }
    }
}
