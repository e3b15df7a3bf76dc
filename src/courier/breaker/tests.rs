use super::*;
use crate::config::courier::{CourierSettings, Profile};

const NOW_MS: i64 = 1_772_612_130_000;

fn breaker(profile: Profile) -> Breaker {
    Breaker::new(CourierSettings::of(profile).breaker)
}

fn record(name: &str) -> Sha256Digest {
    Sha256Digest::of(name.as_bytes())
}

/// Plays `trace`: `+60` lets seconds pass, every other word is a request of its own record that ends so; `401a` and
/// `401b` name theirs. Returns the state at the end, and whether the last request was no attempt.
fn play(breaker: &mut Breaker, trace: &str, now_ms: &mut i64) -> Result<(State, bool), NotMade> {
    let mut is_failed_probe = false;
    for word in trace.split_whitespace() {
        if let Some(seconds) = word.strip_prefix('+') {
            *now_ms += seconds.parse::<i64>().unwrap() * 1_000;
            continue;
        }
        let effect = match word {
            "ok" => Effect::Success,
            "refused" => Effect::Opens,
            "503" => Effect::Counts,
            "404" => Effect::Nothing,
            "401a" | "401b" => Effect::Unauthorized,
            _ => panic!("{word} is no word of a trace"),
        };
        let permit = breaker.admit(*now_ms)?;
        is_failed_probe = breaker.settle(permit, effect, record(word), *now_ms);
    }
    Ok((breaker.condition(*now_ms).state, is_failed_probe))
}

#[test]
fn results_and_time_move_it_as_the_contract_says() {
    use State::{Closed, HalfOpen, Open};
    let sales = Profile::Sales;
    for (profile, trace, expected) in [
        (sales, "503 503 503 503", Ok((Closed, false))),
        (sales, "503 503 503 503 503", Ok((Open, false))),
        (sales, "503 503 503 503 ok 503", Ok((Closed, false))),
        (sales, "503 503 503 503 404 503", Ok((Open, false))), // a wrong record says nothing of the target
        (sales, "404 404 404 404 404 404", Ok((Closed, false))),
        (sales, "refused", Ok((Open, false))),
        (sales, "refused ok", Err(NotMade::Open)),
        (sales, "refused +59 ok", Err(NotMade::Open)),
        (sales, "refused +60", Ok((HalfOpen, false))),
        (sales, "refused +60 ok", Ok((HalfOpen, false))),
        (sales, "refused +60 ok ok", Ok((Closed, false))),
        (sales, "refused +60 503", Ok((Open, true))), // a failed probe is no attempt
        (sales, "refused +60 refused", Ok((Open, true))),
        (sales, "refused +60 401a", Ok((Open, true))),
        (sales, "refused +60 503 +59 ok", Err(NotMade::Open)),
        (sales, "refused +60 503 +60 ok ok", Ok((Closed, false))),
        (sales, "refused +60 ok 503", Ok((Open, true))),
        (sales, "refused +60 ok 404 ok", Ok((Closed, false))),
        (sales, "refused +60 404 404", Ok((HalfOpen, false))),
        (sales, "refused +60 ok ok 503 503 503 503", Ok((Closed, false))), // it counts anew
        (sales, "401a", Ok((Closed, false))),
        (sales, "401a 401b", Ok((Open, false))),
        (sales, "401a 401a", Ok((Closed, false))), // one record, tried again by hand
        (sales, "401a ok 401b", Ok((Closed, false))),
        (sales, "401a 404 401b", Ok((Closed, false))), // the credential was taken in between
        (sales, "401a 503 401b", Ok((Closed, false))),
        (Profile::Erp, "503 503 503", Ok((Open, false))),
        (Profile::Erp, "503 503 503 +119 ok", Err(NotMade::Open)),
        (Profile::Erp, "503 503 503 +120 ok ok", Ok((Closed, false))),
        (Profile::Esignature, "503 503 503 503 503 +299 ok", Err(NotMade::Open)),
        (Profile::Esignature, "503 503 503 503 503 +300 ok ok", Ok((HalfOpen, false))),
        (Profile::Esignature, "503 503 503 503 503 +300 ok ok ok", Ok((Closed, false))),
    ] {
        let found = play(&mut breaker(profile), trace, &mut NOW_MS.clone());

        assert_eq!(found, expected, "{profile:?}: {trace}");
    }
}

#[test]
fn one_probe_at_a_time_and_one_that_is_given_up_makes_room() {
    let mut breaker = breaker(Profile::Sales);
    let mut now_ms = NOW_MS;
    play(&mut breaker, "refused +60", &mut now_ms).unwrap();

    let probe = breaker.admit(now_ms).unwrap();
    assert_eq!(breaker.admit(now_ms), Err(NotMade::Probing));
    assert!(breaker.condition(now_ms).is_probing);
    breaker.abandon(probe);

    assert!(breaker.admit(now_ms).is_ok());
}

#[test]
fn what_was_begun_before_it_opened_neither_opens_nor_closes_it_later() {
    for late in [Effect::Success, Effect::Opens, Effect::Counts, Effect::Unauthorized] {
        let mut breaker = breaker(Profile::Sales);
        let mut now_ms = NOW_MS;
        let before = breaker.admit(now_ms).unwrap();
        play(&mut breaker, "refused +60 ok", &mut now_ms).unwrap();

        assert!(!breaker.settle(before, late, record("late"), now_ms), "{late:?} was an attempt");

        assert_eq!(breaker.condition(now_ms).state, State::HalfOpen, "{late:?}");
    }
}

#[test]
fn a_pause_stops_everything_for_as_long_as_it_was_asked_for_and_300_seconds_at_most() {
    for (seconds, expected) in [(7, 7), (300, 300), (86_400, 300)] {
        let mut breaker = breaker(Profile::Sales);
        breaker.pause(Duration::from_secs(seconds), NOW_MS);
        breaker.pause(Duration::from_secs(1), NOW_MS); // a shorter one does not end it

        assert_eq!(breaker.admit(NOW_MS), Err(NotMade::Paused));
        let condition = breaker.condition(NOW_MS);
        assert_eq!(condition.changes_at_ms(), Some(NOW_MS + expected * 1_000));
        assert_eq!(condition.for_lane(), batch::Target::Paused);
        assert_eq!(breaker.admit(NOW_MS + expected * 1_000 - 1), Err(NotMade::Paused));
        assert!(breaker.admit(NOW_MS + expected * 1_000).is_ok());
    }
}

#[test]
fn a_clock_that_goes_back_keeps_nothing_shut_for_longer_than_once_more() {
    let hour_back = NOW_MS - 3_600_000;
    let mut open = breaker(Profile::Sales);
    play(&mut open, "refused", &mut NOW_MS.clone()).unwrap();
    let mut paused = breaker(Profile::Sales);
    paused.pause(Duration::from_secs(300), NOW_MS);

    assert_eq!(open.admit(hour_back), Err(NotMade::Open));
    assert!(open.admit(hour_back + 60_000).is_ok());
    assert_eq!(paused.admit(hour_back), Err(NotMade::Paused));
    assert!(paused.admit(hour_back + 300_000).is_ok());
}

#[test]
fn lanes_are_told_to_go_on_to_probe_or_to_pause() {
    for (trace, expected) in [
        ("ok", batch::Target::Available),
        ("refused", batch::Target::Paused),
        ("refused +60", batch::Target::Probing),
        ("refused +60 ok ok", batch::Target::Available),
    ] {
        let mut breaker = breaker(Profile::Sales);
        let mut now_ms = NOW_MS;
        play(&mut breaker, trace, &mut now_ms).unwrap();

        assert_eq!(breaker.condition(now_ms).for_lane(), expected, "{trace}");
    }
}

/// Any row of events, with requests that overlap: what must hold after each.
#[test]
fn no_row_of_events_lets_two_probes_through_or_shuts_it_for_ever() {
    for seed in 0..2_000_u64 {
        let mut random = seed;
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut breaker = breaker(Profile::Sales);
        let (mut now_ms, mut running, mut opened_ms) = (NOW_MS, Vec::new(), None);
        for _ in 0..60 {
            match draw(4) {
                0 => now_ms += i64::try_from(draw(70_000)).unwrap(),
                1 if !running.is_empty() => {
                    let count = u64::try_from(running.len()).unwrap();
                    let permit: Permit = running.swap_remove(usize::try_from(draw(count)).unwrap());
                    let effects =
                        [Effect::Success, Effect::Opens, Effect::Counts, Effect::Unauthorized, Effect::Nothing];
                    let effect = effects[usize::try_from(draw(5)).unwrap()];
                    let was = breaker.condition(now_ms).state;
                    breaker.settle(permit, effect, record(&draw(3).to_string()), now_ms);
                    if was != State::Open && breaker.condition(now_ms).state == State::Open {
                        opened_ms = Some(now_ms);
                    }
                }
                2 if !running.is_empty() => breaker.abandon(running.swap_remove(0)),
                _ => {
                    if let Ok(permit) = breaker.admit(now_ms) {
                        assert!(opened_ms.is_none_or(|at| now_ms >= at + 60_000), "seed {seed}: asked while open");
                        running.push(permit);
                    }
                }
            }
            let generation = breaker.generation;
            let probes = running.iter().filter(|permit| permit.is_probe && permit.generation == generation).count();
            assert!(probes <= 1, "seed {seed}: {probes} probes");
        }
        for permit in running.drain(..) {
            breaker.abandon(permit);
        }
        assert!(breaker.admit(now_ms + 300_000).is_ok(), "seed {seed}: shut for ever");
    }
}
