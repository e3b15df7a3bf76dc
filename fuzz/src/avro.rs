//! A log record's value of any bytes, framed and not, of every schema there is.

use bytes::Bytes;

use crate::json::CATALOGUE;

/// `data`: the value as it is; and once more behind a frame whose schema the first byte chooses.
pub fn avro(data: &[u8]) {
    let _ = CATALOGUE.decode(data);
    let Some((choice, body)) = data.split_first() else { return };
    let mut framed = vec![0, 0, 0, 0, *choice];
    framed.extend_from_slice(body);
    let value = Bytes::from(framed);
    if let Ok(decoded) = CATALOGUE.decode(&value) {
        // What was read is a document of its schema.
        let _ = CATALOGUE.encode_json(&decoded.record, &decoded.value);
    }
}
