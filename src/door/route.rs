//! The seam to the adapters: what the door asks of one inbound route.

use std::sync::Arc;

use axum::http::Method;

use crate::canonical::draft::Draft;
use crate::canonical::rejection::Rejection;
use crate::config::binding::Binding;
use crate::normalize::{Defect, Messages};
use crate::verify::{Gate, Tokens, Verified};

/// One inbound route, as an adapter's manifest declares it. Pure: it does no I/O, and the same delivery always gives
/// the same draft.
pub trait InboundRoute: Send + Sync + 'static {
    /// The adapter's name: only its bindings may deliver here.
    fn adapter(&self) -> &str;
    fn method(&self) -> Method;
    /// From the root, parameters in braces: `/api/v1/…/orders/{order_id}/cancellation`.
    fn path(&self) -> &str;
    /// Media types accepted, without parameters, lower case.
    fn media_types(&self) -> &[String];
    /// Inclusive.
    fn max_body_bytes(&self) -> usize;
    /// How its senders prove who they are. `tokens`: of all bindings; by default the token names the binding.
    fn gate(&self, tokens: &Arc<Tokens<Arc<Binding>>>) -> Gate {
        Gate::House { adapter: self.adapter().to_owned(), tokens: Arc::clone(tokens) }
    }
    /// Whether it wants to see this header, named in lower case. What authenticates is seen by the gate alone.
    fn reads_header(&self, _name: &str) -> bool {
        false
    }
    /// Decodes, validates and maps. A payload that fails a check becomes a draft with a rejection in it.
    ///
    /// # Errors
    /// The adapter itself is at fault; the sender is asked to come again.
    fn normalize(&self, delivery: &Verified) -> Result<Messages, Defect>;
    /// The draft that carries `rejection`, found before decoding.
    fn refuse(&self, delivery: &Verified, rejection: Rejection) -> Draft;
}

/// A route's path with its parameters renamed by position, so that two adapters may name one position differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// What the router is given: `/orders/{p0}`.
    pub matched: String,
    /// The parameters' own names, by position.
    pub names: Vec<String>,
}

impl Pattern {
    /// `None` unless `path` is made of literal segments and `{name}` segments, with no name twice.
    pub fn parse(path: &str) -> Option<Self> {
        let mut pattern = Self { matched: String::with_capacity(path.len()), names: Vec::new() };
        for segment in path.strip_prefix('/')?.split('/') {
            pattern.matched.push('/');
            match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) if is_name(name) && !pattern.names.iter().any(|known| known == name) => {
                    pattern.matched.push_str(&format!("{{p{}}}", pattern.names.len()));
                    pattern.names.push(name.to_owned());
                }
                None if is_literal(segment) => pattern.matched.push_str(segment),
                _ => return None,
            }
        }
        Some(pattern)
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The unreserved characters of RFC 3986: nothing a router or a client would read in another way.
fn is_literal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_literal_segments_and_named_parameters() {
        for (path, expected) in [
            ("/api/v1/orders", Some(("/api/v1/orders", vec![]))),
            ("/orders/{order_id}/lines/{line}", Some(("/orders/{p0}/lines/{p1}", vec!["order_id", "line"]))),
            ("orders", None),
            ("", None),
            ("/", None),
            ("/orders/", None),
            ("/orders/{}", None),
            ("/orders/{*rest}", None), // would swallow other adapters' routes
            ("/orders/{a}/{a}", None),
            ("/orders/x{a}", None),
            ("/orders/:a:b c", None),
        ] {
            let pattern = Pattern::parse(path);

            let found = pattern.as_ref().map(|pattern| {
                (pattern.matched.as_str(), pattern.names.iter().map(String::as_str).collect::<Vec<_>>())
            });
            assert_eq!(found, expected, "{path}");
        }
    }
}
