//! Who is let through to the target: breaker, pauses, credentials, slots, deadlines.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::server::{Act, Server, answer, say};
use super::{Partner, bearer, far, request, settings};
use crate::config::courier::CourierSettings;
use crate::courier::credentials::Credentials;
use crate::courier::{Cause, NotMade, State, Verdict};
use crate::lane::batch;

const HANG: Act = Act::SayAndHang(Vec::new());

#[tokio::test]
async fn a_refused_credential_is_refreshed_once_and_the_request_repeated() {
    let server = Server::start([say(401), say(200)]).await;
    let partner = Partner::at(&server.url(), &settings(), bearer(&["new", "old"]));

    let answer = partner.attempt("e1").await;
    let next = partner.attempt("e2").await;

    assert_eq!((answer.verdict, answer.requests), (Verdict::Success, 2));
    let shown: Vec<_> = server.seen().iter().map(|seen| seen.header("authorization").to_owned()).collect();
    assert_eq!(shown, ["Bearer new", "Bearer old", "Bearer old"]);
    let keys: Vec<_> = server.seen().iter().map(|seen| seen.header("x-idempotency-key").to_owned()).collect();
    assert_eq!(keys[0], keys[1], "a repeat of the same call");
    assert_eq!((next.verdict, next.requests), (Verdict::Success, 1));
}

#[tokio::test]
async fn two_records_in_a_row_that_stay_unauthorized_open_the_breaker() {
    let server = Server::start([say(401), say(401), say(401), say(401)]).await;
    let partner = Partner::at(&server.url(), &settings(), bearer(&["t0ken"]));

    let first = partner.attempt("e1").await;
    assert_eq!((first.verdict, first.requests), (Verdict::Permanent(Cause::Status(401)), 2));
    assert_eq!(partner.target.condition().state, State::Closed);
    let second = partner.attempt("e2").await;

    assert_eq!(second.verdict, Verdict::Permanent(Cause::Status(401)));
    assert_eq!(partner.attempt("e3").await.verdict, Verdict::NotMade(NotMade::Open));
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn an_open_breaker_lets_nothing_through_and_a_failed_probe_is_no_attempt() {
    let server = Server::start([say(500), say(500), say(500), say(500), say(500)]).await;
    let partner = Partner::plain(&server.url());
    let mut conditions = partner.target.conditions();
    for event_id in ["e1", "e2", "e3", "e4", "e5"] {
        assert_eq!(partner.attempt(event_id).await.verdict, Verdict::Retry(Cause::Status(500)), "{event_id}");
    }
    assert_eq!(conditions.borrow_and_update().for_lane(), batch::Target::Paused);

    let refused = partner.attempt("e6").await;
    assert_eq!((refused.verdict, refused.requests), (Verdict::NotMade(NotMade::Open), 0));
    assert_eq!(refused.for_lane(), batch::Answer::TargetFailed);

    partner.clock.advance(60_000);
    assert_eq!(partner.target.condition().for_lane(), batch::Target::Probing);
    server.then(say(500));
    assert_eq!(partner.attempt("e6").await.verdict, Verdict::TargetFailed(Cause::Status(500)));
    assert_eq!(partner.target.condition().state, State::Open);

    partner.clock.advance(60_000);
    assert_eq!(partner.attempt("e6").await.verdict, Verdict::Success);
    assert_eq!(partner.attempt("e7").await.verdict, Verdict::Success);
    assert_eq!(conditions.borrow_and_update().for_lane(), batch::Target::Available);
    assert_eq!(server.seen().len(), 8);
}

#[tokio::test]
async fn a_target_that_asks_for_it_is_left_alone_for_as_long() {
    let server = Server::start([Act::Say(answer(429, "retry-after: 7\r\n", ""))]).await;
    let partner = Partner::plain(&server.url());

    assert_eq!(partner.attempt("e1").await.verdict, Verdict::Retry(Cause::Status(429)));

    assert_eq!(partner.attempt("e2").await.verdict, Verdict::NotMade(NotMade::Paused));
    let condition = partner.target.condition();
    assert_eq!((condition.state, condition.paused_until_ms), (State::Closed, Some(super::NOW_MS + 7_000)));
    partner.clock.advance(7_000);
    assert_eq!(partner.attempt("e2").await.verdict, Verdict::Success);
}

#[tokio::test]
async fn nothing_is_begun_unless_a_whole_time_out_is_left() {
    let server = Server::start([]).await;
    let partner = Partner::plain(&server.url());

    for left in [Duration::ZERO, partner.target.timeout() - Duration::from_millis(1)] {
        let answer = partner.target.attempt(request(&partner.url, "e1"), Instant::now() + left).await;
        assert_eq!(answer.verdict, Verdict::NotMade(NotMade::Late), "{left:?}");
    }

    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn who_would_get_a_slot_or_a_turn_too_late_is_told_so_and_sends_nothing() {
    let server = Server::start([HANG]).await;
    let narrow =
        CourierSettings { concurrency: 1, rate_per_minute: 1, timeout: Duration::from_millis(300), ..settings() };
    let partner = Partner::at(&server.url(), &narrow, Credentials::default());
    let soon = || Instant::now() + narrow.timeout + Duration::from_millis(20);

    let (first, second) = tokio::join!(
        partner.attempt("e1"), // holds the one slot for all of its time-out
        partner.target.attempt(request(&partner.url, "e2"), soon()),
    );
    let third = partner.target.attempt(request(&partner.url, "e3"), soon()).await;

    assert_eq!(first.verdict, Verdict::Retry(Cause::TimedOut));
    assert_eq!(second.verdict, Verdict::NotMade(NotMade::Late));
    assert_eq!(third.verdict, Verdict::NotMade(NotMade::Late), "the next token is a minute away");
    assert_eq!(partner.target.wait(), Duration::from_secs(60));
    assert_eq!((first.requests, second.requests, third.requests), (1, 0, 0));
}

#[tokio::test]
async fn a_stop_ends_the_waiting_and_lets_what_is_under_way_go_on() {
    let server = Server::start([say(200), HANG]).await;
    let narrow = CourierSettings { concurrency: 2, rate_per_minute: 1, ..settings() };
    let partner = Partner::at(&server.url(), &narrow, Credentials::default());
    assert_eq!(partner.attempt("e1").await.verdict, Verdict::Success);

    // Waits for its turn, a minute away.
    let (waiting, ()) = tokio::join!(partner.attempt("e2"), async { partner.target.stop() });

    assert_eq!(waiting.verdict, Verdict::NotMade(NotMade::Stopping));
    assert_eq!(partner.attempt("e3").await.verdict, Verdict::NotMade(NotMade::Stopping));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_probe_nobody_waits_for_any_more_makes_room_for_the_next() {
    let server = Server::start([say(503), HANG]).await;
    let mut eager = settings();
    eager.breaker.failures = 1;
    let partner = Partner::at(&server.url(), &eager, Credentials::default());
    partner.attempt("e1").await;
    partner.clock.advance(60_000);

    {
        let probe = partner.attempt("e1");
        tokio::pin!(probe);
        // Polled until it is under way: then the others are turned away.
        let turned_away = async {
            while server.seen().len() < 2 {
                tokio::task::yield_now().await;
            }
            partner.attempt("e2").await
        };
        tokio::select! {
            _ = &mut probe => panic!("it has no answer"),
            answer = turned_away => assert_eq!(answer.verdict, Verdict::NotMade(NotMade::Probing)),
        }
    }

    assert!(!partner.target.condition().is_probing);
    assert_eq!(partner.attempt("e1").await.verdict, Verdict::Success);
}

#[tokio::test]
async fn attempts_of_one_target_run_beside_each_other_on_any_thread() {
    let server = Server::start([HANG]).await;
    let short = CourierSettings { timeout: Duration::from_millis(200), ..settings() };
    let partner = Arc::new(Partner::at(&server.url(), &short, Credentials::default()));
    let other = Arc::clone(&partner);
    let slow = tokio::spawn(async move { other.attempt("e1").await });
    while server.seen().is_empty() {
        tokio::task::yield_now().await;
    }

    let beside = partner.attempt("e2").await;

    assert_eq!(beside.verdict, Verdict::Success);
    assert!(!slow.is_finished());
    assert_eq!(slow.await.expect("no panic").verdict, Verdict::Retry(Cause::TimedOut));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn credentials_are_not_shown_to_another_origin() {
    let (own, other) = (Server::start([]).await, Server::start([]).await);
    let partner = Partner::at(&own.url(), &settings(), bearer(&["t0ken"]));

    let answer = partner.target.attempt(request(&other.url(), "e1"), far()).await;

    assert_eq!((answer.verdict, answer.requests), (Verdict::Permanent(Cause::ForeignOrigin), 0));
    assert_eq!(other.connections(), 0);
}
