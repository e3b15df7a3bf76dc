//! A payload of any bytes on every route of every adapter: strict JSON, the schema, the mapping, the draft.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use crossdock::canonical::intake;
use crossdock::config::binding::Binding;
use crossdock::normalize::{AdapterSet, Route, cases};
use crossdock::schema::Catalogue;
use crossdock::verify::{Context, Verified};

/// Each route with a binding it maps for.
static ROUTES: LazyLock<Vec<(Arc<Route>, Arc<Binding>)>> = LazyLock::new(|| {
    let adapters = AdapterSet::load(Path::new("mappings"), Path::new("schemas")).expect("the shipped adapters");
    let mut routes = Vec::new();
    for adapter in adapters.iter() {
        let binding = Arc::new(cases::binding(adapter).expect("the binding of the cases"));
        routes.extend(adapter.routes().iter().map(|route| (Arc::clone(route), Arc::clone(&binding))));
    }
    routes
});

pub static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::load(Path::new("schemas")).expect("the shipped schemas"));

/// `data`: a byte that chooses the route, then the body.
pub fn json(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let (route, binding) = &ROUTES[usize::from(*choice) % ROUTES.len()];
    let context = Context { received_from: "http".to_owned(), ..Context::default() };
    let delivery = Verified::by_operator(Arc::clone(binding), Bytes::copy_from_slice(body), context);

    let draft = route.normalize(&delivery).expect("no payload makes a mapping defective");

    // Whatever came of it can be put on the log and read back: nobody behind the door meets a draft they cannot read.
    let value = intake::encode(&CATALOGUE, &draft).expect("a draft can be written");
    intake::decode(&CATALOGUE, &value).expect("what was written can be read");
}
