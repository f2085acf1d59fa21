//! How a registry lets somebody in.
//!
//! The registry decides, by its challenge. What it is answered comes from the source's URL or from the files and helpers
//! that the tools of containers use, so whoever has logged in with one of these is logged in here:
//!
//! | challenge | answer |
//! |---|---|
//! | `Basic` | user and password, with every request |
//! | `Bearer` | a token for the repository and what is done with it, from the token service that the registry names |
//! | none | nothing |
//!
//! The first request is sent alone, and the others once it has been answered. Tokens are kept for as long as they last, and
//! one is fetched at a time for each repository. Nobody needs credentials for
//! what is public; then the token is one for everybody. Credentials that a token service does not accept do not close what
//! is public, either.
//!
//! Credentials are only sent to the registry and to a token service that [belongs to it](realm::is_trusted), over https or
//! on this machine, and never along a redirect.

mod account;
mod area;
mod challenge;
mod helper;
mod login_file;
mod realm;
mod reason;
mod search;
mod slot;
#[cfg(test)]
mod tests;
mod tokens;

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, MutexGuard};

use tracing::warn;

use crate::env::Environment;
use crate::error::{AuthFailure, ErrorKind};
use crate::http::Failure;
use crate::http::authority::{Authority, Authorization};
use crate::http::exchange::Exchange;
use crate::http::outgoing::Outgoing;
use crate::http::reason::Reason;
use crate::http::transport::Response;
use crate::mutex::Mutex;
use crate::oci::docker_hub;
use crate::secret::Secret;
use crate::url::Url;

use account::{Account, Login};
use area::Area;
use challenge::{BearerChallenge, Challenge};
use helper::Helpers;
use search::Search;
use slot::{Pass, Slot, State};
use tokens::{TokenRequest, is_denial};

/// Authorizes requests to one registry. It reads files and runs helpers once the registry asks for something.
#[derive(Debug)]
pub(crate) struct RegistryAuthority {
    registry: Url,
    environment: Environment,
    helpers: Helpers,
    /// What the registry asks for, and was given, by what requests are about.
    slots: Mutex<HashMap<Area, Arc<Slot>>>,
    /// What it asked for last: likely the same for other repositories.
    last: Mutex<Option<Challenge>>,
    /// Whether somebody has begun to find out how it lets in who reads, and who writes.
    begun: [Mutex<bool>; 2],
    /// Where credentials were looked for last.
    looked_at: Mutex<Vec<String>>,
}

impl RegistryAuthority {
    /// `registry` may have a user and a password, which come before those of files.
    pub(crate) fn new(registry: &Url, environment: &Environment) -> Self {
        Self {
            registry: registry.clone(),
            environment: environment.clone(),
            helpers: Helpers::new(environment),
            slots: Mutex::default(),
            last: Mutex::default(),
            begun: Default::default(),
            looked_at: Mutex::default(),
        }
    }

    /// Returns what is known of an area, or can be concluded from others.
    fn slot(&self, area: &Area) -> Option<Arc<Slot>> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(area) {
            return Some(slot.clone());
        }
        let scopes = area.scopes();
        let challenge = match self.last.lock().clone()? {
            Challenge::Bearer(_) if scopes.is_empty() => return None,
            Challenge::Bearer(last) => Challenge::Bearer(BearerChallenge { scopes, ..last }),
            Challenge::Basic => Challenge::Basic,
        };
        let slot = Arc::new(Slot::new(challenge));
        slots.insert(area.clone(), slot.clone());
        Some(slot)
    }

    /// Returns what is known of an area that was refused, which is at least the challenge.
    fn slot_of_refused(&self, area: &Area, challenge: Option<&Challenge>) -> Option<Arc<Slot>> {
        let mut slots = self.slots.lock();
        if let Some(challenge) = challenge
            && !slots.contains_key(area)
        {
            let challenge = challenge.clone().or_scopes(area.scopes());
            slots.insert(area.clone(), Arc::new(Slot::new(challenge)));
        }
        slots.get(area).cloned()
    }

    /// Returns what an area's requests are sent with, and gets it if there is nothing, or nothing that still lasts.
    fn pass(
        &self,
        state: &mut State,
        area: &Area,
        exchange: &Exchange<'_>,
    ) -> Result<Option<Pass>, Failure> {
        if let Some(pass) = state.valid_pass()? {
            return Ok(Some(pass.clone()));
        }
        let pass = match state.challenge.clone() {
            Challenge::Basic => Ok(self.basic(area, exchange)?),
            Challenge::Bearer(challenge) => self.bearer(&challenge, area, exchange).map(Some),
        };
        state.keep(pass)
    }

    fn basic(&self, area: &Area, exchange: &Exchange<'_>) -> Result<Option<Pass>, Failure> {
        let account = self.search(area, exchange)?.account;
        Ok(account.and_then(|account| match account.login {
            Login::Basic(header) => Some(Pass {
                header,
                origin: Some(account.origin),
                until: None,
            }),
            // Only a token service takes it.
            Login::Identity(_) => None,
        }))
    }

    fn bearer(
        &self,
        challenge: &BearerChallenge,
        area: &Area,
        exchange: &Exchange<'_>,
    ) -> Result<Pass, Failure> {
        let realm = self.realm(challenge)?;
        let search = self.search_for(&realm, area, exchange)?;
        let fetch = |search: &Search, account: Option<&Account>| {
            let request = TokenRequest {
                realm: &realm,
                challenge,
                account,
                registry: self.name(),
                looked_at: &search.looked_at,
            };
            let token = tokens::fetch(&request, exchange)?;
            Ok(Pass {
                header: Secret::new(format!("Bearer {}", token.text.expose())),
                origin: account.map(|account| account.origin.clone()),
                until: Some(token.until),
            })
        };
        let result = fetch(&search, search.account.as_ref());
        let (Err(denial), Some(account)) = (&result, &search.account) else {
            return result;
        };
        if !is_denial(denial) {
            return result;
        }
        // A helper may have a new one by now.
        self.helpers.forget();
        let again = self.search_for(&realm, area, exchange)?;
        if let Some(other) = &again.account
            && other.login != account.login
        {
            return fetch(&again, Some(other));
        }
        if area.is_written {
            return result;
        }
        let origin = &account.origin;
        match fetch(&search, None) {
            Ok(pass) => {
                let host = realm.authority();
                warn!("{host} refuses the login of {origin}, so requests go on without it");
                // Should the registry want more, the login is to blame.
                Ok(Pass {
                    origin: Some(origin.clone()),
                    ..pass
                })
            }
            Err(_) => result,
        }
    }

    /// The name that people log in to.
    fn name(&self) -> &str {
        docker_hub::canonical(self.registry.authority())
    }

    fn realm(&self, challenge: &BearerChallenge) -> Result<Url, Failure> {
        let realm = Url::parse(&challenge.realm).ok();
        let realm = realm.filter(|realm| realm::is_allowed(&self.registry, realm));
        realm.ok_or_else(|| {
            Failure::last(ErrorKind::Authentication {
                url: Box::new(self.registry.clone()),
                failure: AuthFailure::UnsafeTokenService,
                token_variable: None,
                token_origin: None,
                registry: Some(self.name().to_owned()),
                reason: Some(challenge.realm.clone()),
                looked_at: Vec::new(),
            })
        })
    }

    /// Looks for credentials that a token service may learn.
    fn search_for(
        &self,
        realm: &Url,
        area: &Area,
        exchange: &Exchange<'_>,
    ) -> Result<Search, Failure> {
        let mut search = self.search(area, exchange)?;
        let is_named = |host: &str| search::is_named(&self.environment, host);
        if let Some(account) = &search.account
            && !realm::is_trusted(&self.registry, realm, is_named)
        {
            let (origin, host) = (&account.origin, realm.authority());
            // In the place of the line that says that there is one.
            search.looked_at.pop();
            search.looked_at.push(format!(
                "the login of {origin} is not sent to {host}, where this registry's tokens come from: \
                 an entry for {host} in the file would allow it"
            ));
            self.looked_at.lock().clone_from(&search.looked_at);
            search.account = None;
        }
        Ok(search)
    }

    /// Looks for credentials: in the source's URL, then in files.
    fn search(&self, area: &Area, exchange: &Exchange<'_>) -> Result<Search, Failure> {
        if let Some(header) = self.registry.basic_authorization() {
            let setting = self.registry.setting();
            let origin = setting.map_or("the URL of the source", |setting| &**setting);
            return Ok(Search {
                account: Some(Account {
                    login: Login::Basic(header),
                    origin: origin.to_owned(),
                }),
                looked_at: Vec::new(),
            });
        }
        let name = (self.registry.authority(), &*area.repository);
        let search = search::search(&self.environment, &self.helpers, name, exchange.cancel());
        exchange.cancel().check().map_err(Failure::last)?;
        self.looked_at.lock().clone_from(&search.looked_at);
        Ok(search)
    }
}

impl Authority for RegistryAuthority {
    fn is_for(&self, url: &Url) -> bool {
        self.registry.same_origin(url)
    }

    fn authorize(
        &self,
        request: &Outgoing<'_>,
        exchange: &Exchange<'_>,
    ) -> Result<Authorization, Failure> {
        let area = Area::of(request);
        let Some(slot) = self.slot(&area) else {
            return Ok(Authorization::default());
        };
        // Whoever else needs the same token waits for it here.
        let pass = self.pass(&mut slot.lock(), &area, exchange)?;
        Ok(pass.map(Pass::authorization).unwrap_or_default())
    }

    fn refused(
        &self,
        request: &Outgoing<'_>,
        sent: &Authorization,
        response: &mut Response,
        exchange: &Exchange<'_>,
    ) -> Result<bool, Failure> {
        let mut headers = sent.headers.iter();
        let sent = headers.find_map(|(name, value)| (*name == "authorization").then_some(value));
        let had_token = sent.is_some_and(|header| header.expose().starts_with("Bearer "));
        // The public registry of Amazon says 400 to a token that has expired.
        if response.status != 401 && !(response.status == 400 && had_token) {
            return Ok(false);
        }
        let area = Area::of(request);
        let own = || {
            self.registry
                .basic_authorization()
                .map(|_| Challenge::Basic)
        };
        let challenge = Challenge::of(response).or_else(own);
        if let Some(challenge) = &challenge {
            *self.last.lock() = Some(challenge.clone());
        }
        let Some(slot) = self.slot_of_refused(&area, challenge.as_ref()) else {
            return Ok(false);
        };
        let mut state = slot.lock();
        state.refused(challenge, &area, sent);
        if sent.is_some() && state.challenge == Challenge::Basic {
            self.helpers.forget();
        }
        let pass = self.pass(&mut state, &area, exchange)?;
        Ok(pass.is_some_and(|pass| Some(&pass.header) != sent))
    }

    /// Without it, a dozen workers that begin at once are all refused before one of them has a token.
    fn turn(&self, request: &Outgoing<'_>) -> Option<MutexGuard<'_, bool>> {
        let mut has_begun = self.begun[usize::from(request.method.is_write())].lock();
        (!mem::replace(&mut *has_begun, true)).then_some(has_begun)
    }

    fn reason(&self, body: &[u8]) -> Option<Reason> {
        reason::read(body)
    }

    fn registry(&self) -> Option<&str> {
        Some(self.name())
    }

    fn looked_at(&self) -> Vec<String> {
        self.looked_at.lock().clone()
    }
}
