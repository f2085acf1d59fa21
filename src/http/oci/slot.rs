//! What a registry asks for in one area, and what it was given.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use super::area::Area;
use super::challenge::Challenge;
use crate::error::{AuthFailure, ErrorKind};
use crate::http::Failure;
use crate::http::authority::Authorization;
use crate::mutex::Mutex;
use crate::secret::Secret;
use crate::url::Url;

/// How long a denial is taken for an answer: sixteen workers with a wrong password would close the account.
const DENIED: Duration = Duration::from_secs(10);
/// How many scopes one token has at most: a registry that names others with each refusal must come to an end.
const MAX_SCOPES: usize = 16;

/// Guards the state: who holds it may be fetching a token, and the others wait.
#[derive(Debug)]
pub(super) struct Slot(Mutex<State>);

/// What is known of an area.
#[derive(Debug)]
pub(super) struct State {
    pub(super) challenge: Challenge,
    pass: Option<Pass>,
    /// That there is none, and when that became known.
    denial: Option<(Instant, Denial)>,
}

/// What requests are sent with.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    /// The value of the `Authorization` header.
    pub(super) header: Secret,
    /// Where the credentials came from; `None` for what everybody gets.
    pub(super) origin: Option<String>,
    /// When to get another.
    pub(super) until: Option<Instant>,
}

/// The facts of an error that is returned several times.
#[derive(Debug, Clone)]
struct Denial {
    url: Url,
    failure: AuthFailure,
    origin: Option<String>,
    registry: Option<String>,
    reason: Option<String>,
    looked_at: Vec<String>,
}

impl Slot {
    pub(super) fn new(challenge: Challenge) -> Self {
        Self(Mutex::new(State {
            challenge,
            pass: None,
            denial: None,
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl State {
    /// Returns what still lasts, or fails if there was none a moment ago.
    pub(super) fn valid_pass(&self) -> Result<Option<&Pass>, Failure> {
        let now = Instant::now();
        match &self.denial {
            Some((when, denial)) if now.duration_since(*when) < DENIED => Err(denial.failure()),
            _ => {
                let pass = self.pass.as_ref();
                Ok(pass.filter(|pass| pass.until.is_none_or(|until| now < until)))
            }
        }
    }

    /// Keeps what came of getting one.
    pub(super) fn keep(
        &mut self,
        result: Result<Option<Pass>, Failure>,
    ) -> Result<Option<Pass>, Failure> {
        let denial = result.as_ref().err().and_then(Denial::of);
        self.denial = denial.map(|denial| (Instant::now(), denial));
        self.pass = result.as_ref().ok().cloned().flatten();
        result
    }

    /// Learns that a request that was sent with this, or with nothing, was refused with this challenge, if with any.
    pub(super) fn refused(
        &mut self,
        challenge: Option<Challenge>,
        area: &Area,
        sent: Option<&Secret>,
    ) {
        let is_current = sent.is_some() && self.pass.as_ref().map(|pass| &pass.header) == sent;
        let has_grown =
            challenge.is_some_and(|challenge| self.learn(challenge.or_scopes(area.scopes())));
        // Another worker may have got a new one by now.
        if is_current || has_grown {
            self.pass = None;
        }
    }

    /// Returns whether the challenge asks for something new.
    fn learn(&mut self, challenge: Challenge) -> bool {
        match (&mut self.challenge, challenge) {
            (Challenge::Bearer(known), Challenge::Bearer(new))
                if known.realm == new.realm && known.service == new.service =>
            {
                // What a token was good for, the next should be good for, too.
                let before = known.scopes.len();
                for scope in new.scopes {
                    if !known.scopes.contains(&scope) && known.scopes.len() < MAX_SCOPES {
                        known.scopes.push(scope);
                    }
                }
                known.scopes.len() > before
            }
            (known, challenge) => {
                let is_new = *known != challenge;
                *known = challenge;
                is_new
            }
        }
    }
}

impl Pass {
    pub(super) fn authorization(self) -> Authorization {
        Authorization {
            headers: vec![("authorization", self.header)],
            origin: self.origin,
            ..Authorization::default()
        }
    }
}

impl Denial {
    fn of(failure: &Failure) -> Option<Self> {
        match failure.error.kind() {
            ErrorKind::Authentication {
                url,
                failure,
                token_origin,
                registry,
                reason,
                looked_at,
                ..
            } => Some(Self {
                url: (**url).clone(),
                failure: *failure,
                origin: token_origin.clone(),
                registry: registry.clone(),
                reason: reason.clone(),
                looked_at: looked_at.clone(),
            }),
            _ => None,
        }
    }

    fn failure(&self) -> Failure {
        let denial = self.clone();
        Failure::last(ErrorKind::Authentication {
            url: Box::new(denial.url),
            failure: denial.failure,
            token_variable: None,
            token_origin: denial.origin,
            registry: denial.registry,
            reason: denial.reason,
            looked_at: denial.looked_at,
        })
    }
}
