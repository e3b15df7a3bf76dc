//! Headers as one column: for each, the length and bytes of its name, then the length and bytes of its value.
//!
//! Lengths are LEB128 (seven bits a byte, lowest first). Nothing is escaped, so any bytes come back as they were.

use bytes::Bytes;

use crate::log::Header;

/// Writes `headers` to `column`, replacing what it held; no headers are no bytes.
pub fn encode(headers: &[Header], column: &mut Vec<u8>) {
    column.clear();
    for header in headers {
        put_length(header.name.len(), column);
        column.extend_from_slice(header.name.as_bytes());
        put_length(header.value.len(), column);
        column.extend_from_slice(&header.value);
    }
}

/// The headers of a column; `None` if no [`encode`] can have written it.
pub fn decode(column: &[u8]) -> Option<Vec<Header>> {
    if column.is_empty() {
        return Some(Vec::new());
    }
    // One copy that all values share: they are short, and read together.
    let column = Bytes::copy_from_slice(column);
    let mut headers = Vec::new();
    let mut at = 0;
    while at < column.len() {
        let name = take(&column, &mut at)?;
        let name = std::str::from_utf8(&name).ok()?.to_owned();
        let value = take(&column, &mut at)?;
        headers.push(Header { name, value });
    }
    Some(headers)
}

fn put_length(mut length: usize, column: &mut Vec<u8>) {
    while length >= 0x80 {
        column.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    column.push(length as u8);
}

fn take(column: &Bytes, at: &mut usize) -> Option<Bytes> {
    let mut length = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let byte = *column.get(*at)?;
        *at += 1;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            let end = at.checked_add(length).filter(|end| *end <= column.len())?;
            let part = column.slice(*at..end);
            *at = end;
            return Some(part);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &[u8]) -> Header {
        Header { name: name.to_owned(), value: Bytes::copy_from_slice(value) }
    }

    #[test]
    fn headers_come_back_as_they_were() {
        for headers in [
            vec![],
            vec![header("", b"")],
            vec![header("trace", b"00-ab"), header("trace", b"00-cd"), header("größe", &[0xff, 0, 0xfe])],
            vec![header(&"n".repeat(127), &[1; 128]), header(&"n".repeat(128), &[2; 70_000])],
        ] {
            let mut column = vec![9; 3];

            encode(&headers, &mut column);

            assert_eq!(decode(&column), Some(headers));
        }
    }

    #[test]
    fn a_column_cut_short_or_overlong_is_refused() {
        let mut column = Vec::new();
        encode(&[header("trace", b"00-ab")], &mut column);
        for length in 1..column.len() {
            assert_eq!(decode(&column[..length]), None, "{length} bytes");
        }
        for damaged in [&[0xff; 12][..], &[0x80, 0x80], &[1, 0xff, 0], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0]] {
            assert_eq!(decode(damaged), None, "{damaged:?}");
        }
    }
}
