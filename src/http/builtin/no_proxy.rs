//! Which hosts are reached without the proxy.

use std::net::IpAddr;

/// Returns whether one of the exceptions covers a host. They are read as curl and Go read `NO_PROXY`:
///
/// | exception | covers |
/// |---|---|
/// | `*` | every host |
/// | `example.org`, `.example.org` | that host and those below it |
/// | `*.example.org` | the hosts below it |
/// | `192.0.2.7`, `2001:db8::7`, `[2001:db8::7]` | that address, however it is written |
/// | `192.0.2.0/24`, `2001:db8::/32` | the addresses that start with these bits |
/// | one of them with `:8080`, an IPv6 address in brackets | the same, on that port only |
pub(super) fn covers(exceptions: &[String], host: &str, port: u16) -> bool {
    let host = bare(host);
    let address = address(host);
    let mut exceptions = exceptions.iter();
    exceptions.any(|exception| is_covered(exception, host, address, port))
}

fn is_covered(exception: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if exception == "*" {
        return true;
    }
    if let (Some((network, bits)), Some(address)) = (exception.split_once('/'), address) {
        return self::address(bare(network))
            .zip(bits.parse().ok())
            .is_some_and(|(network, bits)| is_within(address, network, bits));
    }
    let (name, wanted_port) = split_port(exception);
    if wanted_port.is_some_and(|wanted| wanted != port) {
        return false;
    }
    let name = bare(name);
    match address {
        Some(address) => self::address(name) == Some(address),
        None => is_at_or_below(host, name),
    }
}

/// An address or name without brackets and without the dot of the root.
fn bare(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host.strip_suffix('.').unwrap_or(host))
}

/// An IPv4 address within IPv6 is the IPv4 address.
fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse::<IpAddr>().ok()?.to_canonical())
}

fn split_port(exception: &str) -> (&str, Option<u16>) {
    match exception.rsplit_once(':') {
        // The colons of a bare IPv6 address are its own.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (exception, None),
        },
        _ => (exception, None),
    }
}

fn is_at_or_below(host: &str, name: &str) -> bool {
    let (domain, only_below) = match name.strip_prefix('*') {
        Some(domain) => (domain, true),
        None => (name, false),
    };
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    if domain.is_empty() || domain.len() > host.len() {
        return false;
    }
    let (below, end) = host.as_bytes().split_at(host.len() - domain.len());
    end.eq_ignore_ascii_case(domain.as_bytes())
        && (below.ends_with(b".") || below.is_empty() && !only_below)
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (address, network, length) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (address.to_bits().into(), network.to_bits().into(), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    let different: u128 = address ^ network;
    bits <= length && different.checked_shr(length - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_cover_what_curl_and_go_understand() {
        for (exception, host, covered) in [
            ("*", "a.example", true),
            ("a.example", "a.example", true),
            ("A.Example", "a.example", true),
            ("a.example", "a.example.", true),
            ("a.example.", "a.example", true),
            ("example", "a.b.example", true),
            (".example", "a.example", true),
            (".a.example", "a.example", true),
            ("*.a.example", "b.a.example", true),
            ("*.a.example", "a.example", false),
            ("ample", "a.example", false),
            (".ample", "a.example", false),
            ("b.a.example", "a.example", false),
            ("", "a.example", false),
            (".", "a.example", false),
            ("a.*", "a.example", false),
            ("a.example:80", "a.example", true),
            ("a.example:443", "a.example", false),
            (".example:80", "a.example", true),
            ("a.example:x", "a.example", false),
            ("::1", "[::1]", true),
            ("[::1]", "[::1]", true),
            ("0:0:0:0:0:0:0:1", "[::1]", true),
            ("[::1]:80", "[::1]", true),
            ("[::1]:81", "[::1]", false),
            ("::2", "[::1]", false),
            ("1", "[::1]", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1:80", "127.0.0.1", true),
            ("127.0.0.1:81", "127.0.0.1", false),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            ("0.0.1", "127.0.0.1", false),
            (".0.0.1", "127.0.0.1", false),
            ("127.0.0.0/8", "127.9.9.9", true),
            ("127.0.0.0/8", "128.0.0.1", false),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("10.1.2.3/31", "10.1.2.4", false),
            ("0.0.0.0/0", "10.1.2.3", true),
            ("0.0.0.0/0", "[::1]", false),
            ("0.0.0.0/33", "10.1.2.3", false),
            ("0.0.0.0/x", "10.1.2.3", false),
            ("10.0.0.0/8", "a.example", false),
            ("fd00::/8", "[fd12::1]", true),
            ("[fd00::]/8", "[fd12::1]", true),
            ("fd00::/8", "[fe80::1]", false),
            ("::/0", "[fe80::1]", true),
        ] {
            assert_eq!(
                covers(&[exception.into()], host, 80),
                covered,
                "{exception} {host}"
            );
        }
    }
}
