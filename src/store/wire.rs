//! How values are put into bytes that no engine looks into: LEB128 numbers, texts and bytes with their length in front.
//!
//! A form that uses this begins with its version. What is read is never trusted: damage is an error, not a panic, and
//! asks for no memory before the bytes run out.

use bytes::Bytes;

/// Why bytes are not what they should be. Only damage or a newer build makes such bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("stored bytes have version {found}, expected {expected}")]
    Version { found: u8, expected: u8 },
    #[error("stored bytes end at byte {at}, expected more")]
    Truncated { at: usize },
    #[error("stored bytes hold a number too large at byte {at}")]
    Number { at: usize },
    #[error("stored bytes hold a text that is not UTF-8 at byte {at}")]
    Text { at: usize },
    #[error("stored bytes hold an unknown code {found} before byte {at}")]
    Code { found: u8, at: usize },
    #[error("stored bytes end at byte {end}, found {len} bytes")]
    Trailing { end: usize, len: usize },
}

pub(super) fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

pub(super) fn put_bytes(bytes: &mut Vec<u8>, part: &[u8]) {
    put_number(bytes, part.len() as u64);
    bytes.extend_from_slice(part);
}

pub(super) fn put_optional(bytes: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        None => bytes.push(0),
        Some(part) => {
            put_number(bytes, part.len() as u64 + 1);
            bytes.extend_from_slice(part);
        }
    }
}

/// Reads what the `put_*` wrote. Parts share its memory.
pub(super) struct Cursor {
    bytes: Bytes,
    at: usize,
}

impl Cursor {
    /// # Errors
    /// [`Error::Version`] if the bytes begin with another one than `version`.
    pub(super) fn new(bytes: Bytes, version: u8) -> Result<Self, Error> {
        let mut cursor = Self { bytes, at: 0 };
        match cursor.byte()? {
            found if found == version => Ok(cursor),
            found => Err(Error::Version { found, expected: version }),
        }
    }

    /// # Errors
    /// [`Error::Trailing`] if not everything was read.
    pub(super) fn end(&self) -> Result<(), Error> {
        match self.bytes.len() {
            len if len == self.at => Ok(()),
            len => Err(Error::Trailing { end: self.at, len }),
        }
    }

    /// The error for a code, just read, that means nothing here.
    pub(super) fn unknown(&self, found: u8) -> Error {
        Error::Code { found, at: self.at }
    }

    /// The error for a number, just read, that is too large here.
    pub(super) fn too_large(&self) -> Error {
        Error::Number { at: self.at }
    }

    /// A number that has to fit.
    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Error> {
        let at = self.at;
        T::try_from(self.number()?).map_err(|_| Error::Number { at })
    }

    pub(super) fn text(&mut self) -> Result<String, Error> {
        let at = self.at;
        String::from_utf8(self.sized()?.into()).map_err(|_| Error::Text { at })
    }

    pub(super) fn sized(&mut self) -> Result<Bytes, Error> {
        let len = self.number()?;
        self.take(len)
    }

    pub(super) fn optional(&mut self) -> Result<Option<Bytes>, Error> {
        match self.number()?.checked_sub(1) {
            None => Ok(None),
            Some(len) => self.take(len).map(Some),
        }
    }

    fn take(&mut self, len: u64) -> Result<Bytes, Error> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        match end.filter(|end| *end <= self.bytes.len()) {
            None => Err(Error::Truncated { at: self.bytes.len() }),
            Some(end) => {
                let part = self.bytes.slice(self.at..end);
                self.at = end;
                Ok(part)
            }
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, Error> {
        let at = self.at;
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(Error::Number { at });
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Error::Number { at })
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        let byte = *self.bytes.get(self.at).ok_or(Error::Truncated { at: self.at })?;
        self.at += 1;
        Ok(byte)
    }
}

/// Room for the usual number of things: a damaged count cannot ask for memory before the bytes run out.
pub(super) fn capacity(count: u64) -> usize {
    count.min(64) as usize
}
