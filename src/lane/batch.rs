//! What a lane wants done, and what it is told: the types between the state machine and whoever drives it.
//!
//! A [`Batch`] becomes durable in two steps: one write to the store (decisions with their exact effects, claims,
//! executed commands, the checkpoint last seen confirmed), then one commit to the log (the appends the decisions stand
//! for, and the offsets of every topic). Attempts whose claims were granted begin after the first step.

use crate::lane::checkpoint::Checkpoint;
use crate::lane::place::{Key, Place, Seq, Topic};

/// One step of a lane, to be made durable before the next is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// In the order in which their appends go to the log.
    pub decisions: Vec<Decision>,
    /// Held copies that mean nothing any more, by record: a tombstone each.
    pub tombstones: Vec<(Seq, Key)>,
    pub claims: Vec<Claim>,
    /// Commands that are done with.
    pub commands: Vec<Executed>,
    /// What the log is to say once this batch is committed.
    pub checkpoint: Checkpoint,
    /// What the log said before.
    pub confirmed: Checkpoint,
}

/// What was decided about one copy of a record. It is finished by it; written to the store under its origin, the
/// exact appends with it, so that the same bytes go to the log however often the origin is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Number of the batch it is part of; of a known one, of the batch it was part of first.
    pub batch: u64,
    pub origin: Place,
    pub seq: Seq,
    pub key: Key,
    /// Moves the record had behind it at `origin`.
    pub hop: u32,
    /// Attempts that counted so far.
    pub attempts: u16,
    /// Where the bytes to be moved are: `origin`, or the command that carries an edited value.
    pub payload: Place,
    pub ruling: Ruling,
    /// What the last attempt failed of.
    pub failure: Option<Failure>,
    /// The decision was found in the store: its recorded appends are repeated, nothing is written there.
    pub is_known: bool,
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// Its effects are done, whatever they say. Appends: what the attempt gave.
    Applied,
    /// It waits in the store for something else, and is not outstanding here.
    Parked,
    /// A later record of its key made it void. No append.
    Superseded,
    /// An operator said so. No append.
    Skipped,
    /// Append: the dead letter.
    Dead(Disposition),
    /// Append: the copy in `to`, and the dead letter if it says so.
    Moved(Move),
}

/// Where a record goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// A tier or the held topic.
    pub to: Topic,
    pub role: Role,
    /// Attempts that counted so far.
    pub attempts: u16,
    /// Second rounds so far.
    pub round: u8,
    /// Failed for a passing cause: a second round may help.
    pub is_passing: bool,
    /// Why the record is dead, if it is now: its copy goes to the dead letters as well.
    pub disposition: Option<Disposition>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Failed itself.
    Head,
    /// Waits behind one that failed.
    Follower,
}

/// Why a record is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    AttemptsExhausted,
    /// Repeating cannot help.
    Rejected,
    Undecodable,
    /// Its key has as many outstanding records as it may.
    KeyOverflow,
    /// The head of its key is dead, and takes with it what waits.
    Flushed,
}

/// What an attempt failed of, for headers and the ledger; never a payload value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// A short name of the cause.
    pub class: String,
    pub http_status: Option<u16>,
    pub message: String,
}

/// Asks the store for the right to one attempt, or to end a record without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub seq: Seq,
    pub key: Key,
    /// From 1. With `seq` the identity of the attempt.
    pub attempt: u16,
    /// Only for a record that comes back from the dead letters.
    pub guard: Option<Guard>,
}

/// What the store checks in the write that grants the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Moves behind the copy that comes back. One that ended with as many or more has come back already.
    pub hop: u32,
    /// Whether it may run although a later record of its key was attempted.
    pub is_forced: bool,
}

/// What the store says to a [`Claim`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimAnswer {
    Granted,
    /// This attempt was made, by whomever, and its answer is known.
    Settled(Answer),
    /// An earlier owner may still be at it: leave the record alone until `until_ms`, by the lane's clock.
    Busy {
        until_ms: i64,
    },
    /// [`Guard`]: a later record of the key was attempted, or this copy has come back already.
    Overtaken,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Applied,
    Parked,
    /// The record's fault, or one that may pass; counts as an attempt.
    Failed(Failure),
    /// Repeating cannot help; counts as an attempt.
    Rejected(Failure),
    /// There is nothing in the record that could be attempted, now or later: it is dead, and its key goes on whatever
    /// the policy says. No attempt was made.
    Undecodable(Failure),
    /// The target's fault, or the attempt was never made: does not count. The lane pauses until it is told that the
    /// target is available.
    TargetFailed,
}

/// An attempt to be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub seq: Seq,
    pub key: Key,
    pub attempt: u16,
    /// Where to read the record.
    pub payload: Place,
    /// The copy the lane has it from.
    pub origin: Place,
}

/// A command that is done with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    pub offset: i64,
    pub id: String,
    pub outcome: CommandOutcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandOutcome {
    /// What it asked for happened, whatever came of an attempt.
    Done,
    /// There was nothing to do: the key is not held, or the record is not outstanding.
    Nothing,
    /// A command of this id was read before. The store does not take note of this one: the first may not be done.
    Repeated,
    /// A later record of the key was attempted, or the record has come back already.
    Overtaken,
    /// An earlier record of the key is held: that one is to be settled first.
    NotHead,
}

/// Whether attempts may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Available,
    /// One attempt at a time.
    Probing,
    /// None, and nothing is taken.
    Paused,
}

impl Decision {
    /// What the dead letter says that the decision writes, if it does.
    pub fn dead_letter(&self) -> Option<Move> {
        match self.ruling {
            Ruling::Dead(disposition) => Some(Move {
                to: self.origin.topic,
                role: Role::Head,
                attempts: self.attempts,
                round: 0,
                is_passing: false,
                disposition: Some(disposition),
            }),
            Ruling::Moved(moved) => moved.disposition.map(|_| moved),
            _ => None,
        }
    }

    /// Whether a tombstone takes the record out of the held topic: another copy there has the same key.
    pub fn releases_held(&self) -> bool {
        let stays = matches!(self.ruling, Ruling::Moved(Move { to: Topic::Held, .. }));
        self.origin.topic == Topic::Held && !stays
    }
}

impl Ruling {
    /// The record is not outstanding any more.
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Moved(_))
    }
}
