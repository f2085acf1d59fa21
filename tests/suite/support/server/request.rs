//! A request, as the server remembers it.

/// One request and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// As sent, in capitals: `GET`.
    pub(crate) method: String,
    /// The path, percent-decoded, and the query behind it as sent: `/a b?c=%20`.
    pub(crate) path: String,
    /// What stood in the request line; a whole URL when the server was used as a proxy.
    pub(crate) target: String,
    /// Names in lower case, in the order sent.
    pub(crate) headers: Vec<(String, String)>,
    /// What it carries.
    pub(crate) body: Vec<u8>,
    /// The connection it came on, counted from 1 over the life of the server.
    pub(crate) connection: u64,
    /// How many requests were being answered when it came, itself included.
    pub(crate) in_flight: usize,
    /// How many connections the server had refused when it came.
    pub(crate) refused: u64,
    /// The status answered; 0 while there is none.
    pub(crate) status: u16,
    /// Body bytes sent, without the framing of chunks.
    pub(crate) body_bytes: u64,
    /// Where the query begins in `path`.
    query_at: usize,
}

impl Request {
    pub(super) fn parse(head: &[u8], connection: u64) -> Option<Self> {
        let head = std::str::from_utf8(head).ok()?;
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let (path, query) = parts(&target);
        let mut path = decode(path);
        let query_at = path.len();
        path.push_str(query);
        Some(Self {
            method,
            path,
            target,
            headers,
            body: Vec::new(),
            connection,
            in_flight: 0,
            refused: 0,
            status: 0,
            body_bytes: 0,
            query_at,
        })
    }

    /// The first header of that name; give it in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// The decoded path without the query.
    pub(crate) fn path_only(&self) -> &str {
        &self.path[..self.query_at]
    }

    /// The path as sent, so that an encoded slash separates nothing.
    pub(crate) fn raw_path(&self) -> &str {
        parts(&self.target).0
    }

    /// Every value of a parameter, in order; `name` and `name[]` are the same.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let pairs = self
            .query()
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(key, _)| decode(key).trim_end_matches("[]") == name)
            .map(|(_, value)| decode(&value.replace('+', " ")))
            .collect()
    }

    pub(crate) fn value(&self, name: &str) -> Option<String> {
        self.values(name).into_iter().next()
    }

    /// Whether a parameter is there and not false.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let value = self.value(name);
        value.is_some_and(|value| !value.eq_ignore_ascii_case("false"))
    }

    /// The query as sent, without its question mark.
    pub(crate) fn query(&self) -> &str {
        parts(&self.target).1.trim_start_matches('?')
    }
}

/// Path and query of what stood in the request line.
fn parts(target: &str) -> (&str, &str) {
    let local = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    local.split_at(local.find('?').unwrap_or(local.len()))
}

pub(crate) fn decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part
            .get(..2)
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match digits {
            Some(byte) => bytes.extend([&[byte], &part.as_bytes()[2..]].concat()),
            None => bytes.extend([b"%", part.as_bytes()].concat()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// As a segment of a path, or the value of a parameter.
pub(crate) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = text.bytes().map(|byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}
