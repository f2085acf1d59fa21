//! The XML that object stores and token services speak: elements and their text.
//!
//! Attributes, comments and processing instructions are passed over, and prefixes of names dropped. There are no document
//! types, so no entities but the five that every document has.

/// How deep elements are nested at most; those of object stores reach 5.
const MAX_DEPTH: usize = 16;
/// How many elements are read at most; a list of 1,000 objects has about 10,000.
const MAX_ELEMENTS: usize = 100_000;

/// An element with what is in it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Element {
    pub(crate) name: String,
    /// Its own text, trimmed.
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// Returns the first element of a name in this one.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Returns the text of the first element of a name in this one; an empty one counts as none.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let text = self.child(name)?.text.as_str();
        Some(text).filter(|text| !text.is_empty())
    }
}

/// Reads a document; `None` if it is not XML, or not of the plain kind that is expected.
pub(crate) fn parse(text: &str) -> Option<Element> {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    // The elements that are open, outermost first, and what is outside of all.
    let mut open = vec![Element::default()];
    let mut elements = 0;
    loop {
        let (text, tag) = rest.split_once('<').unwrap_or((rest, ""));
        let current = open.last_mut()?;
        current.text.push_str(&unescape(text)?);
        if tag.is_empty() {
            break;
        }
        if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->")?.1;
        } else if let Some(data) = tag.strip_prefix("![CDATA[") {
            let (data, behind) = data.split_once("]]>")?;
            current.text.push_str(data);
            rest = behind;
        } else if let Some(instruction) = tag.strip_prefix('?') {
            rest = instruction.split_once("?>")?.1;
        } else if let Some(end) = tag.strip_prefix('/') {
            let (name, behind) = end.split_once('>')?;
            let mut element = open.pop()?;
            if element.name != local(name.trim()) {
                return None;
            }
            element.text = element.text.trim().to_owned();
            open.last_mut()?.children.push(element);
            rest = behind;
        } else {
            let (name, is_empty, behind) = start(tag)?;
            elements += 1;
            if open.len() > MAX_DEPTH || elements > MAX_ELEMENTS {
                return None;
            }
            let element = Element {
                name: local(name).to_owned(),
                ..Element::default()
            };
            match is_empty {
                true => open.last_mut()?.children.push(element),
                false => open.push(element),
            }
            rest = behind;
        }
    }
    let [document] = open.as_mut_slice() else {
        return None;
    };
    let is_alone = document.children.len() == 1 && document.text.trim().is_empty();
    document.children.pop().filter(|_| is_alone)
}

/// Reads the tag that an element begins with: its name, whether it is the end as well, and what is behind it.
fn start(tag: &str) -> Option<(&str, bool, &str)> {
    let mut quote = None;
    let is_end = |c: char| {
        match quote {
            Some(mark) if c == mark => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        c == '>' && quote.is_none()
    };
    let end = tag.find(is_end)?;
    let (inner, is_empty) = match tag[..end].strip_suffix('/') {
        Some(inner) => (inner, true),
        None => (&tag[..end], false),
    };
    let name = inner.split_ascii_whitespace().next()?;
    // `<!DOCTYPE` and whatever else is no element.
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    is_name.then_some((name, is_empty, &tag[end + 1..]))
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (entity, behind) = after.split_once(';')?;
        out.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = entity.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)?
            }
        });
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}

/// What an object store or a token service says is wrong.
#[derive(Debug, PartialEq)]
pub(crate) struct XmlFault {
    /// Such as `NoSuchKey`.
    pub(crate) code: String,
    pub(crate) message: Option<String>,
    /// The region of the bucket, if that is what is wrong.
    pub(crate) region: Option<String>,
}

/// The longest message that is passed on, in characters: those of AWS have up to 200.
const MAX_MESSAGE_CHARS: usize = 300;

impl XmlFault {
    /// Reads the body of an error: `<Error><Code>…`, which token services wrap in `<ErrorResponse>`.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let document = parse(std::str::from_utf8(body).ok()?)?;
        let fault = match document.name.as_str() {
            "Error" => &document,
            _ => document.child("Error")?,
        };
        let bounded = |text: &str| -> String {
            let chars = text.chars().take(MAX_MESSAGE_CHARS);
            chars
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect()
        };
        Some(Self {
            code: bounded(fault.text("Code")?),
            message: fault.text("Message").map(bounded),
            region: fault.text("Region").map(bounded),
        })
    }

    /// The code and the message in one line.
    pub(crate) fn shown(&self) -> String {
        let message = self.message.as_deref().unwrap_or_default();
        let message = message.trim_end_matches('.');
        match message {
            "" => self.code.clone(),
            message => format!("{}: {message}", self.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_with_their_text() {
        let text = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a > b -->\n\
            <s3:List xmlns:s3='urn:a>b'><Name> a &amp; b&#x21;&#33; </Name><Empty/><Key>1</Key>\
            <Key a=\"/\"><![CDATA[<2>]]></Key></s3:List>\n";
        let list = parse(text).unwrap();
        assert_eq!(list.name, "List");
        assert_eq!(list.text("Name"), Some("a & b!!"));
        assert_eq!(list.text("Empty"), None);
        let texts: Vec<&str> = list.children.iter().map(|child| &*child.text).collect();
        assert_eq!(texts, ["a & b!!", "", "1", "<2>"]);
    }

    #[test]
    fn what_is_no_plain_document_is_refused() {
        let deep = "<a>".repeat(100) + &"</a>".repeat(100);
        let many = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS));
        for text in [
            "",
            "text",
            "<",
            "<a",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<a/>text",
            "<a>&unknown;</a>",
            "<a>&#xd800;</a>",
            "<a>&</a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a/>",
            "<a><!-- </a>",
            "<a><![CDATA[ </a>",
            "<a b=\"></a>",
            "{\"a\": 1}",
            deep.as_str(),
            many.as_str(),
        ] {
            assert_eq!(parse(text), None, "{}", &text[..text.len().min(40)]);
        }
    }

    #[test]
    fn faults_of_stores_and_of_token_services_are_read() {
        let fault = XmlFault::parse(
            b"<?xml version=\"1.0\"?><Error><Code>AuthorizationHeaderMalformed</Code>\
            <Message>the region 'us-east-1' is wrong; expecting 'eu-west-3'.</Message><Region>eu-west-3</Region></Error>",
        );
        let fault = fault.unwrap();
        assert_eq!(fault.region.as_deref(), Some("eu-west-3"));
        assert_eq!(
            fault.shown(),
            "AuthorizationHeaderMalformed: the region 'us-east-1' is wrong; expecting 'eu-west-3'"
        );
        let fault = XmlFault::parse(
            b"<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code></Error></ErrorResponse>",
        );
        assert_eq!(fault.unwrap().shown(), "ExpiredToken");
        assert_eq!(XmlFault::parse(b"<html><body/></html>"), None);
        assert_eq!(XmlFault::parse(b"\xff"), None);
    }
}
