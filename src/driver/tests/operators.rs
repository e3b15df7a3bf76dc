//! Operators' commands: on held keys, and on dead records.

use super::script::{OUTSIDE, rejected};
use super::world::{Engines, World, policy};
use crate::lane::batch::CommandOutcome;
use crate::lane::command::Verb;
use crate::lane::{OnDead, Policy, header};
use crate::log::{Record, Stored};

async fn outcomes(world: &World, ids: &[&str]) -> Vec<Option<CommandOutcome>> {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let rows = world.store.command_outcomes(ids).await.unwrap();
    rows.into_iter().map(|row| row.map(|row| row.outcome)).collect()
}

pub async fn a_held_key_is_retried_edited_skipped_and_purged(engines: Engines) {
    let world = World::new(engines, OUTSIDE, policy()).await;
    let mut owner = world.owner().await.unwrap();
    world.append(&[("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "b2"), ("c", "c1"), ("c", "c2"), ("c", "c3")]).await;
    world.script.answers("a1", [rejected(), rejected()]);
    for dead in ["b1", "c1"] {
        world.script.answers(dead, [rejected()]);
    }
    world.settle(&mut owner).await.unwrap();
    assert_eq!(owner.lane.balance().held, 7);
    world.script.asked();

    let nothing = Record::default;
    world.command("retry", "a", Verb::Retry, nothing()).await;
    world.command("retry", "a", Verb::Retry, nothing()).await;
    world.settle(&mut owner).await.unwrap();
    assert_eq!(world.script.asked(), [("a1".to_owned(), 2, None)], "once, however often it is written");
    let edited = Record { value: Some("a1 edited".into()), ..Record::default() };
    world.command("edit", "a", Verb::Edit { seq: 0 }, edited).await;
    world.settle(&mut owner).await.unwrap();
    let edit = Some("edit".to_owned());
    assert_eq!(world.script.asked(), [("a1 edited".to_owned(), 3, edit), ("a2".to_owned(), 1, None)]);
    world.command("skip", "b", Verb::Skip { seq: 2 }, nothing()).await;
    world.command("purge", "c", Verb::Purge { through: 6 }, nothing()).await;
    world.command("none", "d", Verb::Retry, nothing()).await;
    world.settle(&mut owner).await.unwrap();

    assert_eq!(world.script.values(), ["b2"]);
    let balance = owner.lane.balance();
    assert_eq!((balance.applied, balance.skipped, balance.held, balance.taken), (3, 4, 0, 7));
    let done = Some(CommandOutcome::Done);
    let expected = [done, done, done, done, Some(CommandOutcome::Nothing)];
    assert_eq!(outcomes(&world, &["retry", "edit", "skip", "purge", "none"]).await, expected);
    let mut next = world.owner().await.unwrap();
    world.settle(&mut next).await.unwrap();
    assert_eq!((world.script.values(), next.lane.outstanding()), (Vec::new(), Vec::new()), "nothing is left");
}

pub async fn a_dead_record_is_replayed_once(engines: Engines) {
    let world = World::new(engines, OUTSIDE, Policy { on_dead: OnDead::Continue, ..policy() }).await;
    let mut owner = world.owner().await.unwrap();
    world.append(&[("a", "a1"), ("b", "b1"), ("b", "b2")]).await;
    for dead in ["a1", "b1"] {
        world.script.answers(dead, [rejected()]);
    }
    world.settle(&mut owner).await.unwrap();
    world.script.asked();
    let letters = world.records(&world.topics().await.dead).await;
    let letter = |seq: i64| {
        let is_it = |letter: &&Stored| letter.record.header(header::ORIGIN).unwrap().ends_with(&format!("/{seq}"));
        let record = letters.iter().find(is_it).unwrap().record.clone();
        let number = |name| record.header(name).unwrap().parse::<u32>().unwrap();
        let (hop, attempts) = (number(header::HOP), number(header::ATTEMPT) as u16);
        move |is_forced| (Verb::Replay { seq, hop, attempts, is_forced }, record.clone())
    };
    let (first, second) = (letter(0), letter(1));
    let write = async |id: &str, key: &str, (verb, record): (Verb, Record)| world.command(id, key, verb, record).await;

    write("r1", "a", first(false)).await;
    world.settle(&mut owner).await.unwrap();
    write("r2", "a", first(false)).await;
    write("r3", "b", second(false)).await;
    world.settle(&mut owner).await.unwrap();
    assert_eq!(world.script.asked(), [("a1".to_owned(), 2, None)], "not twice, and not behind its successor");
    write("r4", "b", second(true)).await;
    world.settle(&mut owner).await.unwrap();

    assert_eq!(world.script.values(), ["b1"], "unless it is forced");
    let (done, overtaken) = (Some(CommandOutcome::Done), Some(CommandOutcome::Overtaken));
    assert_eq!(outcomes(&world, &["r1", "r2", "r3", "r4"]).await, [done, overtaken, overtaken, done]);
    let balance = owner.lane.balance();
    assert_eq!((balance.taken, balance.applied, balance.dead), (3, 3, 0));
}
