//! Decodes a member from a stream.

use std::fmt::Display;
use std::io::{self, BufReader, Read, Take};

use flate2::DecompressError;
use flate2::bufread::DeflateDecoder;

use super::member::{Member, Method};
use super::{ENCRYPTED, Fields, LOCAL_HEADER_BYTES, shown};
use crate::error::{Error, ErrorKind};

const LOCAL_SIGNATURE: [u8; 4] = *b"PK\x03\x04";
/// How much compressed data is taken from the stream at once, in bytes.
const INPUT_BYTES: usize = 32 << 10;

/// Why a member could not be decoded.
#[derive(Debug)]
pub(crate) enum MemberError {
    /// The stream failed, or ended too early.
    Read(io::Error),
    /// The bytes are others than the directory promises: [`ErrorKind::HashMismatch`] or [`ErrorKind::SizeMismatch`] of the
    /// member, or [`ErrorKind::Registry`] when they are no deflated data.
    Damaged(Error),
    /// The archive contradicts itself: [`ErrorKind::Registry`].
    Refused(Error),
}

/// Decodes a member from a stream that stands at its local header, and takes nothing from behind it.
pub(crate) struct MemberReader<'a, R> {
    data: Data<R>,
    member: &'a Member,
    location: &'a dyn Display,
    /// How much was decoded.
    done_bytes: u64,
    crc32: crc32fast::Hasher,
    is_checked: bool,
}

impl<'a, R: Read> MemberReader<'a, R> {
    /// Reads the local header. `location` names the archive in errors.
    ///
    /// # Errors
    /// [`MemberError::Refused`] when it contradicts the directory.
    pub(crate) fn new(
        mut stream: R,
        member: &'a Member,
        location: &'a dyn Display,
    ) -> Result<Self, MemberError> {
        let mut header = [0; LOCAL_HEADER_BYTES as usize];
        stream.read_exact(&mut header).map_err(MemberError::Read)?;
        let refused = |reason| {
            let message = format!("'{}' in the archive {reason}", shown(&member.name));
            MemberError::Refused(Error::registry(location, message))
        };
        let header = LocalHeader::parse(&header).ok_or_else(|| refused("is not where it says"))?;
        if Method::parse(header.method) != Some(member.method) || header.flags & ENCRYPTED != 0 {
            return Err(refused("is stored in another way than the directory says"));
        }
        let name_bytes = usize::from(header.name_bytes);
        let mut names = vec![0; name_bytes + usize::from(header.extra_bytes)];
        let end = member
            .header_offset
            .saturating_add(LOCAL_HEADER_BYTES + names.len() as u64)
            .saturating_add(member.compressed_bytes);
        if end > member.end {
            return Err(refused("reaches into what follows"));
        }
        stream.read_exact(&mut names).map_err(MemberError::Read)?;
        if names[..name_bytes] != *member.name.as_bytes() {
            return Err(refused("has another name than the directory says"));
        }
        Ok(Self {
            data: Data::new(stream, member),
            member,
            location,
            done_bytes: 0,
            crc32: crc32fast::Hasher::new(),
            is_checked: false,
        })
    }

    /// Decodes the next bytes into the buffer and returns how many; zero once all came and were found to be right.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, MemberError> {
        let left = self.member.size_bytes - self.done_bytes;
        if left == 0 {
            return self.check_end().map(|()| 0);
        }
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let buffer = &mut buffer[..wanted];
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.decode(buffer)?;
        if count == 0 {
            return Err(self.wrong_size(self.done_bytes));
        }
        self.crc32.update(&buffer[..count]);
        self.done_bytes += count as u64;
        Ok(count)
    }

    /// Checks, once, that the data ends with the last byte, and what the bytes are.
    fn check_end(&mut self) -> Result<(), MemberError> {
        if self.is_checked {
            return Ok(());
        }
        if self.decode(&mut [0])? > 0 {
            return Err(self.wrong_size(self.done_bytes + 1));
        }
        let unused = self.data.in_stream() + self.data.in_buffer();
        if unused > 0 {
            return Err(MemberError::Damaged(Error::from(ErrorKind::SizeMismatch {
                what: format!("the compressed data of {}", shown(&self.member.name)),
                expected_bytes: self.member.compressed_bytes,
                actual_bytes: self.member.compressed_bytes - unused,
            })));
        }
        let actual = self.crc32.clone().finalize();
        if actual != self.member.crc32 {
            return Err(MemberError::Damaged(Error::from(ErrorKind::HashMismatch {
                what: shown(&self.member.name),
                expected: format!("{:08x}", self.member.crc32),
                actual: format!("{actual:08x}"),
            })));
        }
        self.is_checked = true;
        Ok(())
    }

    /// Decodes bytes without looking at how many there may be; zero when the data ends.
    fn decode(&mut self, buffer: &mut [u8]) -> Result<usize, MemberError> {
        loop {
            match self.data.read(buffer) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    /// Tells data that does not inflate, or ends before it should, from a stream that fails.
    fn failed(&self, error: io::Error) -> MemberError {
        let does_not_inflate =
            matches!(error.get_ref(), Some(inner) if inner.is::<DecompressError>());
        if !does_not_inflate && self.data.in_stream() > 0 {
            return MemberError::Read(error);
        }
        MemberError::Damaged(Error::from(ErrorKind::Registry {
            location: self.location.to_string(),
            message: format!(
                "'{}' in the archive does not inflate",
                shown(&self.member.name)
            ),
            source: Some(error.into()),
        }))
    }

    fn wrong_size(&self, actual_bytes: u64) -> MemberError {
        MemberError::Damaged(Error::from(ErrorKind::SizeMismatch {
            what: shown(&self.member.name),
            expected_bytes: self.member.size_bytes,
            actual_bytes,
        }))
    }
}

/// What is read of a local header; the rest of it is in the directory.
struct LocalHeader {
    flags: u16,
    method: u16,
    name_bytes: u16,
    extra_bytes: u16,
}

impl LocalHeader {
    fn parse(header: &[u8]) -> Option<Self> {
        let mut fields = Fields(header);
        fields.signature(LOCAL_SIGNATURE)?;
        let _version = fields.u16()?;
        let (flags, method, _time) = (fields.u16()?, fields.u16()?, fields.u32()?);
        // Not known yet when the archive was written as a stream.
        let (_crc32, _compressed_bytes, _size_bytes) =
            (fields.u32()?, fields.u32()?, fields.u32()?);
        Some(Self {
            flags,
            method,
            name_bytes: fields.u16()?,
            extra_bytes: fields.u16()?,
        })
    }
}

/// The data of a member in its stream; it ends where the directory says.
enum Data<R> {
    Stored(Take<R>),
    Deflated(DeflateDecoder<BufReader<Take<R>>>),
}

impl<R: Read> Data<R> {
    fn new(stream: R, member: &Member) -> Self {
        let data = stream.take(member.compressed_bytes);
        match member.method {
            Method::Stored => Self::Stored(data),
            Method::Deflated => {
                let capacity = usize::try_from(member.compressed_bytes).unwrap_or(INPUT_BYTES);
                let input = BufReader::with_capacity(capacity.min(INPUT_BYTES), data);
                Self::Deflated(DeflateDecoder::new(input))
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stored(data) => match data.read(buffer)? {
                0 if data.limit() > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
                count => Ok(count),
            },
            Self::Deflated(data) => data.read(buffer),
        }
    }

    /// Returns how much of the data was not yet taken from the stream, in bytes.
    fn in_stream(&self) -> u64 {
        match self {
            Self::Stored(data) => data.limit(),
            Self::Deflated(data) => data.get_ref().get_ref().limit(),
        }
    }

    /// Returns how much of the data was taken from the stream and not used, in bytes.
    fn in_buffer(&self) -> u64 {
        match self {
            Self::Stored(_) => 0,
            Self::Deflated(data) => data.get_ref().buffer().len() as u64,
        }
    }
}
