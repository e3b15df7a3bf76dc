//! What is kept of an answer for the operator: without secrets, and not all that a target may send.

use bytes::Bytes;
use reqwest::header::HeaderMap;

use crate::config::secret::Secret;

const MASK: &str = "***";
const MOST_HEADERS: usize = 64;
const MOST_HEADER_BYTES: usize = 8 * 1024;
/// A shorter text is found by chance.
const SHORTEST_SECRET: usize = 6;

/// Parts of names whose values let somebody in.
const SENSITIVE: [&str; 8] = ["auth", "cookie", "token", "secret", "password", "session", "api-key", "apikey"];
/// Says what is wrong with a credential, not what it is.
const CHALLENGES: [&str; 2] = ["www-authenticate", "proxy-authenticate"];

/// The first of the headers, values that are no text left out.
pub(super) fn headers<'a>(
    headers: &HeaderMap,
    secrets: impl Iterator<Item = &'a Secret> + Clone,
) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    let mut bytes = 0_usize;
    for (name, value) in headers.iter().take(MOST_HEADERS) {
        let Ok(value) = value.to_str() else { continue };
        let name = name.as_str();
        let is_sensitive = SENSITIVE.iter().any(|part| name.contains(part)) && !CHALLENGES.contains(&name);
        let value = if is_sensitive { MASK.to_owned() } else { masked_text(value, secrets.clone()) };
        bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
        if bytes > MOST_HEADER_BYTES {
            break;
        }
        kept.push((name.to_owned(), value));
    }
    kept
}

/// The body; what the target repeats of our secrets is masked.
pub(super) fn body<'a>(body: Bytes, secrets: impl Iterator<Item = &'a Secret>) -> Bytes {
    let mut kept = body;
    for secret in secrets.flat_map(forms) {
        if let Some(masked) = without(&kept, secret.as_bytes()) {
            kept = masked;
        }
    }
    kept
}

fn masked_text<'a>(text: &str, secrets: impl Iterator<Item = &'a Secret>) -> String {
    secrets.flat_map(forms).fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
}

/// A secret, and of `user:password` the password alone.
fn forms(secret: &Secret) -> impl Iterator<Item = &str> {
    let password = secret.reveal().split_once(':').map(|(_, password)| password);
    [Some(secret.reveal()), password].into_iter().flatten().filter(|form| form.len() >= SHORTEST_SECRET)
}

/// `None` if `secret` is not in `bytes`.
fn without(bytes: &[u8], secret: &[u8]) -> Option<Bytes> {
    let position = |bytes: &[u8]| bytes.windows(secret.len()).position(|window| window == secret);
    let mut masked = Vec::new();
    let mut rest = bytes;
    while let Some(start) = position(rest) {
        let (before, from) = rest.split_at(start);
        masked.extend_from_slice(before);
        masked.extend_from_slice(MASK.as_bytes());
        rest = from.get(secret.len()..).unwrap_or_default();
    }
    (rest.len() < bytes.len()).then(|| {
        masked.extend_from_slice(rest);
        masked.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_let_somebody_in_are_masked_wherever_they_stand() {
        let secrets = [Secret::new("t0ken-of-ours"), Secret::new("anna:passw0rd"), Secret::new("ab")];
        let mut map = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "id=1"),
            ("x-csrf-token", "abc"),
            ("www-authenticate", "Bearer error=\"invalid_token\""),
            ("x-echo", "got t0ken-of-ours"),
            ("retry-after", "7"),
        ] {
            map.insert(name, value.parse().unwrap());
        }

        let kept = headers(&map, secrets.iter());
        let text = body(Bytes::from_static(b"about: t0ken-of-ours, passw0rd, t0ken-of-ours!"), secrets.iter());

        let expected = [
            ("set-cookie", "***"),
            ("x-csrf-token", "***"),
            ("www-authenticate", "Bearer error=\"invalid_token\""),
            ("x-echo", "got ***"),
            ("retry-after", "7"),
        ];
        assert_eq!(kept, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(text, "about: ***, ***, ***!");
    }

    #[test]
    fn no_more_is_kept_than_an_operator_reads() {
        let mut map = HeaderMap::new();
        for number in 0..100 {
            map.append("x-a", number.to_string().parse().unwrap());
        }
        assert_eq!(headers(&map, [].iter()).len(), MOST_HEADERS);

        let mut map = HeaderMap::new();
        map.insert("x-a", "x".repeat(MOST_HEADER_BYTES).parse().unwrap());
        assert_eq!(headers(&map, [].iter()), []);
    }
}
