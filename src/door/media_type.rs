//! Which content types and encodings a route takes.

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::canonical::rejection::{Code, Rejection};

/// Checks `Content-Type` against `accepted` (lower case, without parameters) and that nothing is encoded.
///
/// Parameters are allowed and ignored, but a `charset` must be UTF-8: nothing else is read.
pub(super) fn check(headers: &HeaderMap, accepted: &[String]) -> Result<(), Rejection> {
    let refuse = |message: String| Err(Rejection::one(Code::UnsupportedMediaType, "", message));
    let expected = accepted.join("`, `");
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (content_type, another) = (types.next().and_then(|value| value.to_str().ok()), types.next());
    let (Some(content_type), None) = (content_type, another) else {
        return refuse(format!("expected exactly one readable `Content-Type`, one of `{expected}`"));
    };
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    if !accepted.iter().any(|accepted| accepted.eq_ignore_ascii_case(essence)) {
        return refuse(format!("expected `Content-Type` to be one of `{expected}`"));
    }
    let charset =
        parts.filter_map(|part| part.split_once('=')).filter(|(name, _)| name.eq_ignore_ascii_case("charset"));
    for (_, value) in charset {
        if !value.trim_matches('"').eq_ignore_ascii_case("utf-8") {
            return refuse("expected the `charset` of `Content-Type` to be utf-8".to_owned());
        }
    }
    let encoded = headers.get_all(CONTENT_ENCODING).iter().any(|value| match value.to_str() {
        Ok(list) => !list.split(',').map(str::trim).all(|coding| coding.eq_ignore_ascii_case("identity")),
        Err(_) => true,
    });
    if encoded {
        return refuse("expected no `Content-Encoding`".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_utf_8_without_an_encoding_is_taken_and_nothing_else() {
        let (content_type, encoding) = ("content-type", "content-encoding");
        for (pairs, taken) in [
            (&[(content_type, "application/json")][..], true),
            (&[(content_type, "Application/JSON; charset=UTF-8")], true),
            (&[(content_type, "application/json;charset=\"utf-8\";profile=x")], true),
            (&[(content_type, "application/json"), (encoding, "identity")], true),
            (&[(content_type, "application/json; charset=iso-8859-1")], false),
            (&[(content_type, "application/jsonx")], false),
            (&[(content_type, "text/plain")], false),
            (&[(content_type, "")], false),
            (&[], false),
            (&[(content_type, "application/json"), (content_type, "application/json")], false),
            (&[(content_type, "application/json"), (encoding, "gzip")], false),
            (&[(content_type, "application/json"), (encoding, "identity, br")], false),
            (&[(content_type, "application/json"), (encoding, "identity"), (encoding, "gzip")], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }

            let checked = check(&headers, &["application/json".to_owned()]);

            assert_eq!(checked.is_ok(), taken, "{pairs:?}");
        }
    }
}
