//! What stands in a request line, taken apart before anything is decoded: an encoded slash separates nothing.

/// The path in its segments and the query behind it, both as sent.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) path: &'a str,
    pub(super) query: &'a str,
}

impl<'a> Target<'a> {
    pub(super) fn parse(target: &'a str) -> Self {
        // A client that takes the server for its proxy sends the whole URL.
        let local = match target.strip_prefix("http://") {
            Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => target,
        };
        let (path, query) = local.split_once('?').unwrap_or((local, ""));
        Self { path, query }
    }

    /// The same below a path, empty or beginning with a slash.
    pub(super) fn below(self, folder: &str) -> Option<Self> {
        let path = self.path.strip_prefix(folder)?;
        path.starts_with('/').then_some(Self { path, ..self })
    }

    pub(super) fn segments(self) -> Vec<&'a str> {
        self.path.trim_start_matches('/').split('/').collect()
    }

    /// Every value of a parameter, in order; `name` and `name[]` are the same.
    pub(super) fn values(self, name: &str) -> Vec<String> {
        let pairs = self.pairs().filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(key, _)| decode(key).trim_end_matches("[]") == name)
            .map(|(_, value)| decode(&value.replace('+', " ")))
            .collect()
    }

    pub(super) fn value(self, name: &str) -> Option<String> {
        self.values(name).into_iter().next()
    }

    /// Whether a parameter is there and not false.
    pub(super) fn flag(self, name: &str) -> bool {
        self.value(name)
            .is_some_and(|value| !value.eq_ignore_ascii_case("false"))
    }

    /// The query without one of its parameters.
    pub(super) fn query_without(self, name: &str) -> String {
        let others = self
            .pairs()
            .filter(|pair| pair.split('=').next() != Some(name));
        others.collect::<Vec<_>>().join("&")
    }

    fn pairs(self) -> impl Iterator<Item = &'a str> {
        self.query.split('&').filter(|pair| !pair.is_empty())
    }
}

pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let digits = part.get(..2).unwrap_or_default();
        match u8::from_str_radix(digits, 16) {
            Ok(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            Err(_) => bytes.extend_from_slice(format!("%{part}").as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// As a segment of a path, or the value of a parameter.
pub(super) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = text.bytes().map(|byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}
