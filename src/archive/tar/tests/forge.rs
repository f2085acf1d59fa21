//! Tars that say what a test wants them to say.

use crate::archive::tar::{BLOCK_BYTES, CHECKSUM, SIZE, TYPE};

/// An entry as it is in an archive, whatever it says.
pub(crate) struct Forged {
    pub(super) name: Vec<u8>,
    pub(super) kind: u8,
    pub(super) size: Vec<u8>,
    pub(super) magic: &'static [u8],
    pub(super) prefix: &'static [u8],
    pub(super) content: Vec<u8>,
}

impl Forged {
    pub(crate) fn new(kind: u8, name: &str, content: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            kind,
            size: format!("{:011o}\0", content.len()).into_bytes(),
            magic: b"ustar\x0000",
            prefix: b"",
            content: content.to_vec(),
        }
    }

    pub(crate) fn file(name: &str, content: &[u8]) -> Self {
        Self::new(b'0', name, content)
    }

    /// An extended header with these records.
    pub(super) fn pax(kind: u8, records: &[(&str, &str)]) -> Self {
        let records = records.iter().map(|(key, value)| {
            let rest = format!(" {key}={value}\n");
            let length = |digits: usize| rest.len() + digits;
            let length = match length(2) {
                two @ ..100 => two,
                _ => length(3),
            };
            format!("{length}{rest}")
        });
        Self::new(kind, "PaxHeaders/x", records.collect::<String>().as_bytes())
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The same entry with this size in octal digits, whatever its content.
    pub(crate) fn with_size(self, digits: &str) -> Self {
        self.with(|it| it.size = format!("{digits}\0").into_bytes())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut header = vec![0; BLOCK_BYTES];
        header[..self.name.len()].copy_from_slice(&self.name);
        header[100..108].copy_from_slice(b"0000644\0");
        header[SIZE].copy_from_slice(&self.size);
        header[TYPE] = self.kind;
        header[257..][..self.magic.len()].copy_from_slice(self.magic);
        header[345..][..self.prefix.len()].copy_from_slice(self.prefix);
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        let sum = sum + 8 * u64::from(b' ');
        header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header.extend(&self.content);
        header.resize(header.len().next_multiple_of(BLOCK_BYTES), 0);
        header
    }
}

pub(crate) fn tar(entries: &[Forged]) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.iter().flat_map(Forged::bytes).collect();
    bytes.extend([0; 2 * BLOCK_BYTES]);
    bytes
}
