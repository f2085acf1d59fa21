//! Checksums: SHA-256 digests and git blob ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, ErrorKind};

/// A SHA-256 digest, shown as 64 lower-case hexadecimal digits and parsed in either case.
///
/// ```
/// use modelrack::Digest;
///
/// let digest = Digest::of(b"weights");
/// let text = digest.to_string();
/// assert_eq!(text, "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c");
/// assert_eq!(text.to_uppercase().parse(), Ok(digest));
/// assert_eq!(Digest::from(*digest.as_bytes()), digest);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of bytes; [`Digest`] has an example.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Parses a digest as files in the wild spell it: bare or prefixed with `sha256:`, with spaces around it. Returns
    /// `None` if it is empty, `none`, or of another algorithm.
    ///
    /// # Errors
    /// [`InvalidDigest`] for anything else.
    pub(crate) fn read(text: &str) -> Result<Option<Self>, InvalidDigest> {
        let text = text.trim();
        let hex = match text.split_once(':') {
            Some((algorithm, hex)) if algorithm.eq_ignore_ascii_case("sha256") => hex.trim(),
            Some(_) => return Ok(None),
            None => text,
        };
        match hex.is_empty() || hex.eq_ignore_ascii_case("none") {
            true => Ok(None),
            false => hex.parse().map(Some),
        }
    }

    /// Returns the 32 bytes of the digest; [`Digest`] has an example.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0_u8; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    let text = text.get(..2 * bytes.len()).ok_or(fmt::Error)?;
    f.pad(std::str::from_utf8(text).map_err(|_| fmt::Error)?)
}

/// Parses exactly `N` bytes in hexadecimal. A large index has 100,000 digests, hence the table.
fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    const NIBBLES: [Option<u8>; 256] = {
        let mut nibbles = [None; 256];
        let mut value = 0;
        while value < 16 {
            let digit = b"0123456789abcdef"[value];
            nibbles[digit as usize] = Some(value as u8);
            nibbles[digit.to_ascii_uppercase() as usize] = Some(value as u8);
            value += 1;
        }
        nibbles
    };
    let nibble = |digit: u8| NIBBLES[usize::from(digit)];
    let pairs = text.as_bytes().chunks_exact(2);
    let mut bytes = [0_u8; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

/// A git blob id: the SHA-1 of a header with the size of a file, and of its bytes. Shown as 40 lower-case hexadecimal
/// digits and parsed in either case.
///
/// ```
/// use modelrack::manifest::GitBlobId;
///
/// // What `git hash-object` prints for a file.
/// let id: GitBlobId = "3ab313fff6f41bb35969cd359e9ddfb8033b3ac2".parse()?;
/// assert_eq!(id.to_string(), "3ab313fff6f41bb35969cd359e9ddfb8033b3ac2");
/// # Ok::<(), modelrack::error::InvalidDigest>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct GitBlobId([u8; 20]);

impl From<[u8; 20]> for GitBlobId {
    fn from(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for GitBlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for GitBlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitBlobId({self})")
    }
}

impl FromStr for GitBlobId {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        read_hex(text).map(Self).ok_or(InvalidDigest)
    }
}

/// Returns whether a text is a commit id: 40 hexadecimal digits, or 64 in a repository that uses SHA-256.
pub(crate) fn is_commit_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_hex(text)
}

/// Returns whether a version can only ever be one state: a commit id, or a digest behind the name of its algorithm.
pub(crate) fn is_immutable_version(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:");
    hex.map_or_else(|| is_commit_id(text), |hex| hex.parse::<Digest>().is_ok())
}

/// Returns whether a text consists of hexadecimal digits.
pub(crate) fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The checksum of a file or part.
///
/// ```
/// use modelrack::Digest;
/// use modelrack::manifest::Checksum;
///
/// let checksum = Checksum::from(Digest::of(b"weights"));
/// assert_eq!(checksum.sha256(), Some(Digest::of(b"weights")));
/// assert_eq!(checksum.git_blob(), None);
/// match checksum {
///     Checksum::Sha256(digest) => println!("sha256:{digest}"),
///     Checksum::GitBlob(id) => println!("git blob {id}"),
///     _ => {}
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Checksum {
    /// A SHA-256 digest.
    Sha256(Digest),
    /// A git blob id, where the source has no SHA-256 digest.
    GitBlob(GitBlobId),
}

impl Checksum {
    /// Returns the SHA-256 digest, if it is one; [`Checksum`] has an example.
    #[must_use]
    pub fn sha256(&self) -> Option<Digest> {
        match self {
            Self::Sha256(digest) => Some(*digest),
            Self::GitBlob(_) => None,
        }
    }

    /// Returns the git blob id, if it is one; [`Checksum`] has an example.
    #[must_use]
    pub fn git_blob(&self) -> Option<GitBlobId> {
        match self {
            Self::Sha256(_) => None,
            Self::GitBlob(id) => Some(*id),
        }
    }
}

impl From<Digest> for Checksum {
    fn from(digest: Digest) -> Self {
        Self::Sha256(digest)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => digest.fmt(f),
            Self::GitBlob(id) => id.fmt(f),
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The error of parsing a digest or git blob id.
///
/// ```
/// use modelrack::Digest;
/// use modelrack::error::InvalidDigest;
///
/// assert_eq!("sha256:9a12".parse::<Digest>(), Err(InvalidDigest));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidDigest;

impl fmt::Display for InvalidDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SHA-256 digest has 64 hexadecimal digits, and a git id has 40")
    }
}

impl std::error::Error for InvalidDigest {}

impl From<InvalidDigest> for Error {
    fn from(error: InvalidDigest) -> Self {
        Self::argument(error.to_string())
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        read_hex(text).map(Self).ok_or(InvalidDigest)
    }
}

impl Serialize for GitBlobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hex;
        impl serde::de::Visitor<'_> for Hex {
            type Value = Digest;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 hexadecimal digits")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digest, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Hex)
    }
}

/// How long a block of SHA-256 is.
const BLOCK_BYTES: u64 = 64;
/// How many bytes each of two hashers takes in turn: two blocks of SHA-256. With 64 it is as fast, with 512 most of the gain is lost,
/// as the processor does not look so far ahead.
const TURN_BYTES: usize = 128;

/// Computes the digest of a stream.
#[derive(Clone, Default)]
pub(crate) struct Hasher {
    sha256: Sha256,
    /// How many bytes were added.
    length: u64,
}

impl Hasher {
    /// Adds the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// Adds the next bytes to two hashers, in short turns: each step of SHA-256 waits for the one before, and meanwhile the processor
    /// takes steps of the other. With its own instructions for SHA-256, both take three quarters of the time of one after the other.
    pub(crate) fn update_both(one: &mut Self, other: &mut Self, bytes: &[u8]) {
        // What begins in the middle of a block would be copied.
        let [own, others] = [&mut *one, &mut *other].map(|hasher| {
            let (rest, blocks) = bytes.split_at(hasher.rest_of_block().min(bytes.len()));
            hasher.update(rest);
            blocks
        });
        let together = own.len().min(others.len()) / TURN_BYTES * TURN_BYTES;
        let [(own, own_end), (others, others_end)] = [own, others].map(|it| it.split_at(together));
        let turns = others.chunks_exact(TURN_BYTES);
        for (own, others) in own.chunks_exact(TURN_BYTES).zip(turns) {
            one.update(own);
            other.update(others);
        }
        one.update(own_end);
        other.update(others_end);
    }

    /// How many bytes are missing in the last block.
    fn rest_of_block(&self) -> usize {
        (self.length.wrapping_neg() % BLOCK_BYTES) as usize
    }

    /// Returns the digest of all bytes added.
    #[must_use]
    pub(crate) fn finish(self) -> Digest {
        Digest(self.sha256.finalize().into())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(…)")
    }
}

/// Computes a checksum of either kind.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    Sha256(Hasher),
    GitBlob(sha1::Sha1),
}

impl Check {
    /// Creates a check of `size_bytes` bytes, of the same kind as `expected`.
    pub(crate) fn of(expected: &Checksum, size_bytes: u64) -> Self {
        match expected {
            Checksum::Sha256(_) => Self::Sha256(Hasher::default()),
            Checksum::GitBlob(_) => {
                let mut hasher = sha1::Sha1::new();
                hasher.update(format!("blob {size_bytes}\0"));
                Self::GitBlob(hasher)
            }
        }
    }

    /// Adds the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::GitBlob(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the checksum of all bytes added.
    #[must_use]
    pub(crate) fn finish(self) -> Checksum {
        match self {
            Self::Sha256(hasher) => Checksum::Sha256(hasher.finish()),
            Self::GitBlob(hasher) => Checksum::GitBlob(GitBlobId(hasher.finalize().into())),
        }
    }
}

/// The check of a stream against its expected checksum, if one is known.
#[derive(Debug)]
pub(crate) struct Expected(Option<(Checksum, Check)>);

impl Expected {
    /// Creates a check of `size_bytes` bytes.
    pub(crate) fn new(checksum: Option<Checksum>, size_bytes: u64) -> Self {
        Self(checksum.map(|checksum| (checksum, Check::of(&checksum, size_bytes))))
    }

    /// Adds the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some((_, check)) = &mut self.0 {
            check.update(bytes);
        }
    }

    /// Compares the checksum of the bytes added with the expected one; `what` names them in the error.
    ///
    /// # Errors
    /// [`ErrorKind::HashMismatch`] if they differ.
    pub(crate) fn met(self, what: impl FnOnce() -> String) -> Result<(), Error> {
        match self.0 {
            Some((expected, check)) => check_digest(what, &expected, &check.finish()),
            None => Ok(()),
        }
    }
}

/// Compares two checksums; `what` names in the error what they are of.
///
/// # Errors
/// [`ErrorKind::HashMismatch`] if they differ.
pub(crate) fn check_digest<T: PartialEq + fmt::Display>(
    what: impl FnOnce() -> String,
    expected: &T,
    actual: &T,
) -> Result<(), Error> {
    if actual == expected {
        return Ok(());
    }
    Err(Error::from(ErrorKind::HashMismatch {
        what: what(),
        expected: expected.to_string(),
        actual: actual.to_string(),
    }))
}

/// Compares two sizes; `what` names in the error what they are of.
///
/// # Errors
/// [`ErrorKind::SizeMismatch`] if they differ.
pub(crate) fn check_size(
    what: impl FnOnce() -> String,
    expected_bytes: u64,
    actual_bytes: u64,
) -> Result<(), Error> {
    if actual_bytes == expected_bytes {
        return Ok(());
    }
    Err(Error::from(ErrorKind::SizeMismatch {
        what: what(),
        expected_bytes,
        actual_bytes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn two_hashers_of_the_same_bytes_have_their_own_digests() {
        let bytes: Vec<u8> = (0..1000_u32).map(|at| (at * 7) as u8).collect();
        for (begin, end) in [
            (0, 0),
            (0, 64),
            (1, 1),
            (63, 64),
            (64, 300),
            (65, 1000),
            (700, 710),
        ] {
            let [mut one, mut other] = [(); 2].map(|()| Hasher::default());
            one.update(&bytes[..begin]);
            Hasher::update_both(&mut one, &mut other, &bytes[begin..end]);
            Hasher::update_both(&mut one, &mut other, &bytes[end..]);
            assert_eq!(one.finish(), Digest::of(&bytes));
            assert_eq!(other.finish(), Digest::of(&bytes[begin..]));
        }
    }

    #[test]
    fn hexadecimal_in_either_case() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(
            EMPTY.to_uppercase().parse::<Digest>().unwrap(),
            Digest::of(b"")
        );
        for bad in [
            "",
            "ab",
            &EMPTY[1..],
            &format!("{EMPTY}0"),
            &EMPTY.replace('e', "g"),
            &"é".repeat(32),
        ] {
            assert_eq!(bad.parse::<Digest>(), Err(InvalidDigest), "{bad}");
        }
    }

    #[test]
    fn digests_are_read_with_and_without_their_algorithm() {
        for text in [
            EMPTY.to_owned(),
            format!(" SHA256: {} ", EMPTY.to_uppercase()),
        ] {
            assert_eq!(Digest::read(&text), Ok(Some(Digest::of(b""))), "{text}");
        }
        for missing in ["", " ", "sha256:", "None", "md5:00", "sha512:zz"] {
            assert_eq!(Digest::read(missing), Ok(None), "{missing}");
        }
        for bad in ["zz", "sha256:zz", &EMPTY[1..]] {
            assert_eq!(Digest::read(bad), Err(InvalidDigest), "{bad}");
        }
    }

    #[test]
    fn commits_have_40_or_64_digits() {
        for (length, expected) in [
            (39, false),
            (40, true),
            (41, false),
            (64, true),
            (65, false),
        ] {
            assert_eq!(
                is_commit_id(&EMPTY.repeat(2)[..length]),
                expected,
                "{length}"
            );
        }
        assert!(!is_commit_id(&"g".repeat(40)));
    }

    #[test]
    fn git_ids_are_those_of_git() {
        // As `git hash-object` gives them.
        for (bytes, expected) in [
            (&b""[..], "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
            (b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
        ] {
            let expected = Checksum::GitBlob(expected.to_uppercase().parse().unwrap());
            let mut check = Check::of(&expected, bytes.len() as u64);
            check.update(bytes);
            assert_eq!(check.finish(), expected);
        }
        assert!("e69de".parse::<GitBlobId>().is_err());
    }

    #[test]
    fn streaming_equals_whole() {
        let mut hasher = Hasher::default();
        hasher.update(b"model");
        hasher.update(b"rack");
        assert_eq!(hasher.finish(), Digest::of(b"modelrack"));
    }
}
