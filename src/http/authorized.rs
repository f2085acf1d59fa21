//! Sending requests with what an authority adds to them.

use std::io::Read;
use std::sync::Arc;

use super::authority::{Authority, Authorization};
use super::exchange::Exchange;
use super::outgoing::Outgoing;
use super::reason::{Explanation, MAX_REASON_BYTES};
use super::transport::Response;
use super::{Client, Failure};
use crate::progress::CancelToken;
use crate::secret::Secret;
use crate::url::Url;

impl Client {
    /// Returns the client whose requests this authorizes, if there is one.
    pub(crate) fn with_authority(&self, authority: &Arc<dyn Authority>) -> Self {
        Self {
            authority: Some(authority.clone()),
            ..self.clone()
        }
    }

    pub(super) fn authority_for(&self, url: &Url) -> Option<&dyn Authority> {
        let authority = self.authority.as_deref();
        authority.filter(|authority| authority.is_for(url))
    }

    /// Sends a request, authorized if there is an authority for its URL; returns the response whatever its status, and what
    /// it was sent with. No redirect is followed.
    pub(crate) fn exchange(
        &self,
        request: &Outgoing<'_>,
        cancel: &CancelToken,
    ) -> Result<(Response, Authorization), Failure> {
        let authority = self.authority_for(request.url);
        let authority = authority.filter(|_| !self.is_offline());
        let Some(authority) = authority else {
            let response = self.transmit(request, None, cancel)?;
            return Ok((response, Authorization::default()));
        };
        let exchange = Exchange {
            client: self,
            cancel,
        };
        let _turn = authority.turn(request);
        let mut repeats = 0;
        loop {
            let authorization = authority.authorize(request, &exchange)?;
            let mut response = self.transmit(request, Some(&authorization), cancel)?;
            let is_refusal = !response.is_success() && response.status != 304;
            if repeats == authority.most_repeats()
                || !is_refusal
                || !authority.refused(request, &authorization, &mut response, &exchange)?
            {
                return Ok((response, authorization));
            }
            repeats += 1;
        }
    }

    /// Finds out from a refusal's body what its server says, and where credentials for it were looked for.
    pub(super) fn explanation(&self, url: &Url, response: &mut Response) -> Explanation {
        let Some(authority) = self.authority_for(url) else {
            return Explanation::default();
        };
        let mut body = Vec::new();
        let mut reader = (&mut response.body).take(MAX_REASON_BYTES);
        let is_read = reader.read_to_end(&mut body).is_ok();
        Explanation {
            reason: authority.reason(&body).filter(|_| is_read),
            registry: authority.registry().map(str::to_owned),
            looked_at: authority.looked_at(),
        }
    }

    /// Makes the failure of a response that is not what the request is for. `origin` is where the credentials came from.
    pub(crate) fn refusal(
        &self,
        url: &Url,
        mut response: Response,
        origin: Option<&str>,
    ) -> Failure {
        let access = super::answer::Access {
            authorization: origin.map(|_| Secret::new("")),
            origin,
            token_variable: None,
        };
        let explanation = self.explanation(url, &mut response);
        super::answer::refusal(url.clone(), &response, &access, explanation)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::config::RetryPolicy;
    use crate::http::GetOptions;
    use crate::http::reason::Reason;
    use crate::http::transport::Method;
    use crate::http::transport::{Request, Transport, TransportError};
    use crate::mutex::Mutex;
    use crate::settings::Offline;
    use crate::url::Scheme;

    /// Serves whoever has the token, redirects `/moved` to another host, and remembers what was asked.
    #[derive(Debug, Default)]
    struct Server(Mutex<Vec<String>>);

    impl Server {
        fn asked(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock())
        }
    }

    impl Transport for Server {
        fn get(&self, request: &Request<'_>) -> Result<Response, TransportError> {
            self.send(request)
        }

        fn send(&self, request: &Request<'_>) -> Result<Response, TransportError> {
            let mut headers = request.headers.iter();
            let token = headers.find(|(name, _)| *name == "authorization");
            let token = token.map_or("nothing", |(_, token)| token.expose());
            let (method, url) = (request.method, request.url);
            self.0.lock().push(format!("{method} {url} with {token}"));
            let (status, headers, body) = match url.to_string() {
                url if url.ends_with("/moved") => {
                    (307, vec![("location", "https://cdn.example/blob")], "")
                }
                url if url.ends_with("/down") => {
                    (307, vec![("location", "http://cdn.example/blob")], "")
                }
                url if url.contains("cdn.example") || token == "second" => (200, vec![], "bytes"),
                _ => (401, vec![], "DENIED a \u{1b}[31mreason"),
            };
            let headers = headers.into_iter();
            Ok(Response {
                status,
                headers: headers
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                body: Box::new(Cursor::new(body)),
            })
        }
    }

    /// Authorizes what goes to one host, with another token after each refusal.
    #[derive(Debug)]
    struct Tokens(Mutex<usize>);

    impl Authority for Tokens {
        fn is_for(&self, url: &Url) -> bool {
            url.authority() == "registry.example"
        }

        fn authorize(&self, _: &Outgoing<'_>, _: &Exchange<'_>) -> Result<Authorization, Failure> {
            let token = ["first", "second", "third", "fourth"][*self.0.lock()];
            Ok(Authorization {
                url: None,
                is_signature: false,
                headers: vec![("authorization", Secret::new(token))],
                origin: Some("tokens.json".to_owned()),
            })
        }

        fn refused(
            &self,
            _: &Outgoing<'_>,
            _: &Authorization,
            response: &mut Response,
            _: &Exchange<'_>,
        ) -> Result<bool, Failure> {
            *self.0.lock() += 1;
            Ok(response.status == 401)
        }

        fn reason(&self, body: &[u8]) -> Option<Reason> {
            let text = std::str::from_utf8(body).ok()?;
            let (code, message) = text.split_once(' ')?;
            Some(Reason {
                code: code.to_owned(),
                message: message.to_owned(),
            })
        }
    }

    fn client() -> (Arc<Server>, Client) {
        let server = Arc::new(Server::default());
        let client = Client::new(server.clone(), RetryPolicy::default(), Offline::No);
        (server, client)
    }

    fn authorized(client: &Client, refusals: usize) -> Client {
        let tokens: Arc<dyn Authority> = Arc::new(Tokens(Mutex::new(refusals)));
        client.with_authority(&tokens)
    }

    #[test]
    fn a_refused_request_is_authorized_anew_once() {
        let (server, client) = client();
        let client = authorized(&client, 0);
        let url = Url::parse("https://registry.example/manifest").unwrap();
        let request = Outgoing::new(Method::Head, &url);
        let cancel = CancelToken::new();
        let (response, sent) = client.exchange(&request, &cancel).unwrap();
        assert_eq!(
            (response.status, sent.origin.as_deref()),
            (200, Some("tokens.json"))
        );
        let head = |token: &str| format!("HEAD {url} with {token}");
        assert_eq!(server.asked(), [head("first"), head("second")]);

        // The third token is refused, and so is the fourth.
        let client = authorized(&client, 2);
        let failure = client.body(&url, &GetOptions::default(), &cancel);
        let error = failure.map(|_| ()).unwrap_err().error;
        assert_eq!(
            error.to_string(),
            "the server refuses the user and password in tokens.json: the server says \
             'DENIED: a \\u{1b}[31mreason' (https://registry.example/manifest)"
        );
        let get = |token: &str| format!("GET {url} with {token}");
        assert_eq!(server.asked(), [get("third"), get("fourth")]);
    }

    #[test]
    fn a_redirect_to_another_host_takes_nothing_along() {
        let (server, client) = client();
        let client = authorized(&client, 0);
        let url = Url::parse("https://registry.example/moved").unwrap();
        let options = GetOptions::default();
        let mut body = client.body(&url, &options, &CancelToken::new()).unwrap();
        assert_eq!(body.read_whole(10, &CancelToken::new()).unwrap(), b"bytes");
        assert_eq!(
            server.asked().last().map(String::as_str),
            Some("GET https://cdn.example/blob with nothing")
        );
    }

    /// Sends what is for a bucket to a host, over https.
    #[derive(Debug)]
    struct Bucket;

    impl Authority for Bucket {
        fn is_for(&self, url: &Url) -> bool {
            url.scheme() == Scheme::S3
        }

        fn authorize(
            &self,
            request: &Outgoing<'_>,
            _: &Exchange<'_>,
        ) -> Result<Authorization, Failure> {
            let place = format!("https://store.example{}", request.url.path());
            Ok(Authorization {
                url: Some(Url::parse(&place).unwrap()),
                ..Authorization::default()
            })
        }

        fn refused(
            &self,
            _: &Outgoing<'_>,
            _: &Authorization,
            _: &mut Response,
            _: &Exchange<'_>,
        ) -> Result<bool, Failure> {
            Ok(false)
        }
    }

    #[test]
    fn a_bucket_behind_https_is_not_left_for_plain_http() {
        let (server, client) = client();
        let bucket: Arc<dyn Authority> = Arc::new(Bucket);
        let client = client.with_authority(&bucket);
        let (options, cancel) = (GetOptions::default(), CancelToken::new());
        let url = Url::parse("s3://models/down").unwrap();
        let refused = client.body(&url, &options, &cancel).map(|_| ());
        assert_eq!(
            refused.unwrap_err().error.to_string(),
            "the server redirects from https to plain http (s3://models/down)"
        );
        assert_eq!(
            server.asked(),
            ["GET https://store.example/down with nothing"]
        );
        // Elsewhere over https is fine.
        let url = Url::parse("s3://models/moved").unwrap();
        assert!(client.body(&url, &options, &cancel).is_ok());
    }
}
