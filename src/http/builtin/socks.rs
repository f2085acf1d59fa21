//! Connections through SOCKS proxies. ureq speaks the protocol, but knows only the first address of a server; a proxy that
//! looks no names up is asked for all of them, in the way that direct connections are tried.

use std::net::SocketAddr;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, Either, NextTimeout, SocksConnector, Transport,
};
use ureq::{Error, Timeout};

use super::dial::Dialer;
use super::proxy::speaks_http;
use super::time_left;

/// Connects to servers through the SOCKS proxy of the configuration, if there is one.
#[derive(Debug)]
pub(super) struct Socks {
    dialer: Dialer,
}

impl Socks {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self { dialer }
    }
}

impl<In: Transport> Connector<In> for Socks {
    type Out = Either<In, Box<dyn Transport>>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let proxy = details.config.proxy().filter(|proxy| !speaks_http(proxy));
        let (None, Some(proxy)) = (&chained, proxy) else {
            return Ok(chained.map(Either::A));
        };
        // Without an address, the proxy gets the name.
        if details.addrs.is_empty() {
            return through(details).map(|connection| Some(Either::B(connection)));
        }
        let left = time_left(details);
        let proxy = Known(
            details
                .resolver
                .resolve(proxy.uri(), details.config, left)?,
        );
        let (uri, config) = (details.uri.clone(), details.config.clone());
        let (current_time, run_connector) =
            (details.current_time.clone(), details.run_connector.clone());
        let register_shutdown = details.register_shutdown.clone();
        let connect = move |address: SocketAddr, limit: Duration| {
            let mut addrs = proxy.empty();
            addrs.push(address);
            let one = ConnectionDetails {
                uri: &uri,
                addrs,
                config: &config,
                request_level: false,
                resolver: &proxy,
                now: current_time(),
                timeout: NextTimeout {
                    after: limit.into(),
                    reason: Timeout::Connect,
                    ..left
                },
                current_time: current_time.clone(),
                run_connector: run_connector.clone(),
                register_shutdown: register_shutdown.clone(),
            };
            through(&one).map_err(Error::into_io)
        };
        let connection = self.dialer.dial(details, connect)?;
        Ok(Some(Either::B(connection)))
    }
}

/// Connects to the first address, or else the host, through the proxy.
fn through(details: &ConnectionDetails<'_>) -> Result<Box<dyn Transport>, Error> {
    match SocksConnector::default().connect(details, None::<()>)? {
        Some(Either::B(connection)) => Ok(connection.boxed()),
        _ => Err(Error::ConnectionFailed),
    }
}

/// The addresses of a proxy.
#[derive(Debug, Clone)]
struct Known(ResolvedSocketAddrs);

impl Resolver for Known {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use super::*;

    /// Addresses for documentation: nobody has them.
    const DEAD: [u8; 4] = [192, 0, 2, 1];
    const ALIVE: [u8; 4] = [192, 0, 2, 2];

    #[derive(Debug)]
    struct Fixed {
        proxy: SocketAddr,
    }

    impl Resolver for Fixed {
        fn resolve(
            &self,
            uri: &Uri,
            _: &Config,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, Error> {
            let mut addresses = self.empty();
            if uri.host() == Some("models.example") {
                addresses.push((DEAD, 80).into());
                addresses.push((ALIVE, 80).into());
            } else {
                addresses.push(self.proxy);
            }
            Ok(addresses)
        }
    }

    /// Says what it is asked for, stays silent about the dead address, and is itself every server.
    fn serve(mut client: TcpStream, asked: &Sender<Vec<u8>>) -> Option<()> {
        let mut greeting = [0; 3];
        client.read_exact(&mut greeting).ok()?;
        client.write_all(&[5, 0]).ok()?;
        let mut request = [0; 5];
        client.read_exact(&mut request).ok()?;
        let length = match request[3] {
            1 => 3,
            _ => usize::from(request[4]),
        };
        let mut rest = vec![0; length + 2];
        client.read_exact(&mut rest).ok()?;
        let target = match request[3] {
            1 => [&request[4..], &rest[..3]].concat(),
            _ => rest[..length].to_vec(),
        };
        let is_dead = target == DEAD;
        asked.send(target).ok()?;
        if is_dead {
            let _ = client.read(&mut [0]);
            return None;
        }
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
        client.write_all(answer).ok()
    }

    /// Requests something twice, on a connection each; returns what the proxy was asked for.
    fn targets(scheme: &str) -> Vec<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = listener.local_addr().unwrap();
        let (sender, asked) = channel();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || serve(client, &sender));
            }
        });
        let config = ureq::Agent::config_builder()
            .proxy(Some(
                ureq::Proxy::new(&format!("{scheme}://{proxy}")).unwrap(),
            ))
            .timeout_connect(Some(Duration::from_secs(20)))
            .build();
        let chain = ().chain(Socks::new(Dialer::default()));
        let agent = ureq::Agent::with_parts(config, chain, Fixed { proxy });
        for _ in 0..2 {
            let response = agent.get("http://models.example/").call().unwrap();
            assert_eq!(response.status(), 204);
        }
        asked.try_iter().collect()
    }

    #[test]
    fn a_dead_address_does_not_keep_a_proxy_from_the_next_one() {
        assert_eq!(targets("socks5"), [DEAD, ALIVE, ALIVE].map(Vec::from));
    }

    #[test]
    fn a_proxy_that_looks_names_up_gets_the_name() {
        let name = b"models.example".to_vec();
        assert_eq!(targets("socks5h"), [name.clone(), name]);
    }
}
