//! Bearer tokens: which owner, if any, a token belongs to.

use std::collections::HashMap;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::canonical::ids::Sha256Digest;
use crate::config::secret::Secret;
use crate::verify::Refusal;

/// Owners by the SHA-256 of their tokens: how long a look-up takes says nothing about a token, because what is
/// compared is a digest the sender cannot steer.
#[derive(Debug, Clone)]
pub struct Tokens<T> {
    owners: HashMap<Sha256Digest, T>,
}

impl<T> Tokens<T> {
    /// The index of `owners`, each with one of its tokens. Configuration refuses two owners of one token; should it
    /// happen here, the first keeps it. An empty token belongs to nobody.
    pub fn new<'a>(owners: impl IntoIterator<Item = (&'a Secret, T)>) -> Self {
        let mut index = HashMap::new();
        for (token, owner) in owners {
            if !token.reveal().is_empty() {
                index.entry(Sha256Digest::of(token.reveal().as_bytes())).or_insert(owner);
            }
        }
        Self { owners: index }
    }

    pub fn owner(&self, token: &str) -> Option<&T> {
        self.owners.get(&Sha256Digest::of(token.as_bytes()))
    }
}

/// The token of `Authorization: Bearer <token>`.
///
/// # Errors
/// The header is missing, repeated, of another scheme or without a token.
///
/// Source: RFC 6750 section 2.1; the scheme's name is case-insensitive (RFC 9110 section 11.1).
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let name = AUTHORIZATION.as_str();
    let value = only_value(headers, name)?;
    let ill_formed = Refusal::IllFormedHeader { header: name.to_owned(), expected: "`Bearer <token>`" };
    let Some((scheme, token)) = value.split_once(' ') else { return Err(ill_formed) };
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains(' ') {
        return Err(ill_formed);
    }
    Ok(token)
}

/// The text of a header that must be there exactly once.
pub(super) fn only_value<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| Refusal::MissingHeader { header: name.to_owned() })?;
    if values.next().is_some() {
        return Err(Refusal::RepeatedHeader { header: name.to_owned() });
    }
    value.to_str().map_err(|_| Refusal::IllFormedHeader { header: name.to_owned(), expected: "printable ASCII" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_read_from_exactly_one_well_formed_header() {
        for (values, expected) in [
            (&["Bearer abc"][..], Some("abc")),
            (&["bearer abc"], Some("abc")),
            (&["BEARER   abc"], Some("abc")),
            (&[], None),
            (&["Bearer abc", "Bearer abc"], None), // which of the two counts is for nobody to guess
            (&["Bearer "], None),
            (&["Bearer"], None),
            (&["Basic abc"], None),
            (&["Bearer a b"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(bearer_token(&headers).ok(), expected, "{values:?}");
        }
    }

    #[test]
    fn a_token_has_the_owner_it_was_given_to_and_an_empty_one_has_none() {
        let [first, second, empty] = ["one", "two", ""].map(Secret::new);

        let tokens = Tokens::new([(&first, 1), (&second, 2), (&empty, 3)]);

        for (token, expected) in [("one", Some(&1)), ("two", Some(&2)), ("", None), ("three", None)] {
            assert_eq!(tokens.owner(token), expected, "{token}");
        }
    }
}
