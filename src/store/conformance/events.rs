//! Events that were published and that no order's state guards.

use super::Harness;
use super::samples::{event, lane, stored};

pub async fn published_events_are_found_among_those_asked(harness: impl Harness) {
    let store = harness.store();
    stored(store, &lane(0), |write| write.events = vec![event(1, 10), event(2, 10), event(1, 10)]).await;

    for (asked, expected) in
        [(vec![], vec![]), (vec![3], vec![]), (vec![2, 3, 1, 2], vec![1, 2]), (vec![u64::MAX, 2], vec![2])]
    {
        let asked_ids = asked.iter().map(|number| event(*number, 0).id).collect();
        let expected = expected.into_iter().map(|number| event(number, 0).id).collect();
        assert_eq!(store.published_events(asked_ids).await.unwrap(), expected, "{asked:?}");
    }
}

pub async fn an_event_is_found_whatever_lane_published_it(harness: impl Harness) {
    let store = harness.store();
    stored(store, &lane(0), |write| write.events = vec![event(1, 10)]).await;
    stored(store, &lane(1), |write| write.events = vec![event(1, 20), event(2, 20)]).await;

    let ids = vec![event(1, 0).id, event(2, 0).id];
    assert_eq!(store.published_events(ids.clone()).await.unwrap(), ids.into_iter().collect());
}
