//! Executes operators' commands. One on a record that is under way waits for what becomes of it.

use crate::lane::batch::{CommandOutcome, Executed, Ruling};
use crate::lane::command::{Command, Verb};
use crate::lane::index::KeyId;
use crate::lane::machine::{Lane, Pending};
use crate::lane::place::{Key, Place, Seq, Topic};

impl Lane {
    /// Takes the next record of the control topic. `is_known`: the store has a command of this id as executed.
    pub fn command(&mut self, offset: i64, command: Command, is_known: bool) {
        if !self.take_command(offset, command, is_known) {
            return;
        }
        self.evaluate(offset);
    }

    /// As [`Lane::command`], without beginning to execute it.
    pub(super) fn take_command(&mut self, offset: i64, command: Command, is_known: bool) -> bool {
        let seq = match command.verb {
            Verb::Edit { seq } | Verb::Skip { seq } | Verb::Replay { seq, .. } => seq,
            Verb::Retry | Verb::Purge { .. } => Seq::MAX,
        };
        if !self.read_copy(Place::new(Topic::Control, offset), seq) {
            return false;
        }
        let is_again = is_known || self.has_read(&command.id);
        self.commands.insert(offset, Pending { command, seq: None });
        if is_again {
            self.finish_command(offset, CommandOutcome::Repeated);
        }
        !is_again
    }

    /// Whether a command of this id was read that the store may not know yet.
    fn has_read(&self, id: &str) -> bool {
        let on_its_way = self.batch.iter().flat_map(|batch| &batch.commands);
        self.commands.values().any(|pending| pending.command.id == id)
            || self.executed.iter().chain(on_its_way).any(|executed| executed.id == id)
    }

    pub(super) fn evaluate_commands(&mut self) {
        let waiting = self.commands.iter().filter(|(_, pending)| pending.seq.is_none()).map(|(offset, _)| *offset);
        for offset in waiting.collect::<Vec<_>>() {
            self.evaluate(offset);
        }
    }

    /// What the decision about `seq` brings to an end.
    pub(super) fn finish_commands_of(&mut self, seq: Seq) {
        let ended = self.commands.iter().filter(|(_, pending)| pending.seq == Some(seq)).map(|(offset, _)| *offset);
        for offset in ended.collect::<Vec<_>>() {
            self.finish_command(offset, CommandOutcome::Done);
        }
    }

    pub(super) fn finish_command(&mut self, offset: i64, outcome: CommandOutcome) {
        if let Some(Pending { command, .. }) = self.commands.remove(&offset) {
            self.executed.push_back(Executed { offset, id: command.id, outcome });
        }
    }

    /// Begins a command, if that is possible now.
    fn evaluate(&mut self, offset: i64) {
        let Some(Pending { command, seq: None }) = self.commands.get(&offset).cloned() else { return };
        let outcome = match command.verb {
            Verb::Retry => self.retry(offset, &command.key, None),
            Verb::Edit { seq } => self.retry(offset, &command.key, Some(seq)),
            Verb::Skip { seq } => self.skip(offset, &command.key, seq),
            Verb::Purge { through } => self.purge(&command.key, through),
            Verb::Replay { seq, .. } => self.replay(offset, &command, seq),
        };
        if let Some(outcome) = outcome {
            self.finish_command(offset, outcome);
        }
    }

    /// `None`: it has begun, or waits.
    fn retry(&mut self, offset: i64, key: &Key, edited: Option<Seq>) -> Option<CommandOutcome> {
        let Some(id) = self.index.id_of(key) else { return Some(CommandOutcome::Nothing) };
        let Some(head) = self.index.first(id) else { return Some(CommandOutcome::Nothing) };
        let can_end = self.can_end(offset);
        let entry = self.index.get_mut(head)?;
        if !entry.is_waiting() || !can_end {
            return None;
        }
        if !entry.is_held_head() || entry.is_commanded {
            return Some(CommandOutcome::Nothing);
        }
        if edited.is_some_and(|seq| seq != head) {
            return Some(CommandOutcome::NotHead);
        }
        entry.is_commanded = true;
        if edited.is_some() {
            self.edits.insert(head, offset);
        }
        self.await_decision(offset, head);
        self.reconsider(id);
        None
    }

    fn skip(&mut self, offset: i64, key: &Key, seq: Seq) -> Option<CommandOutcome> {
        let is_of_key = self.index.key_of(seq).is_some_and(|state| state.name == *key);
        let entry = self.index.get(seq).filter(|entry| is_of_key && entry.topic != Topic::Control);
        let Some(entry) = entry else { return Some(CommandOutcome::Nothing) };
        if !entry.is_waiting() {
            return None;
        }
        self.await_decision(offset, seq);
        self.end_by_command(seq);
        None
    }

    fn purge(&mut self, key: &Key, through: Seq) -> Option<CommandOutcome> {
        let Some(id) = self.index.id_of(key) else { return Some(CommandOutcome::Done) };
        let named: Vec<_> = self.index.key(id)?.seqs.range(..=through).copied().collect();
        let mut is_done = true;
        for seq in named {
            let Some(entry) = self.index.get(seq).filter(|entry| entry.topic != Topic::Control) else { continue };
            is_done = false;
            if entry.is_waiting() {
                self.end_by_command(seq);
            }
        }
        is_done.then_some(CommandOutcome::Done)
    }

    /// Skips a record. The head of a key is claimed first: an owner before this one may have an attempt under way that
    /// would reach the target behind its successors.
    fn end_by_command(&mut self, seq: Seq) {
        let Some(entry) = self.index.get(seq) else { return };
        if self.index.first(entry.key) != Some(seq) {
            return self.push(seq, Ruling::Skipped, None);
        }
        if let Some(entry) = self.index.get_mut(seq) {
            entry.is_doomed = true;
        }
        self.doomed.insert(seq);
    }

    fn replay(&mut self, offset: i64, command: &Command, seq: Seq) -> Option<CommandOutcome> {
        // One that ran and could not be finished would hold back the one below it in the topic that waits for it.
        if !self.can_end(offset) {
            return None;
        }
        if self.index.get(seq).is_some() {
            return Some(CommandOutcome::Nothing);
        }
        let id = self.insert_replay(offset, command)?;
        self.await_decision(offset, seq);
        self.reconsider(id);
        None
    }

    /// Takes in a record that comes back from the dead letters: it lies in the command's own record.
    pub(super) fn insert_replay(&mut self, offset: i64, command: &Command) -> Option<KeyId> {
        let Verb::Replay { seq, hop, attempts, is_forced } = command.verb else { return None };
        let id = self.index.insert(seq, &command.key, Place::new(Topic::Control, offset), hop);
        let entry = self.index.get_mut(seq)?;
        (entry.attempts, entry.is_commanded) = (attempts, is_forced);
        Some(id)
    }

    /// Refuses replays behind a held head. They would wait for an operator, and their commands would keep his from
    /// being read.
    pub(super) fn dismiss_replays(&mut self, id: KeyId) {
        let is_held = |seq| self.index.get(seq).is_some_and(|entry| entry.is_held_head() && !entry.is_commanded);
        if self.commands.is_empty() || !self.index.first(id).is_some_and(is_held) {
            return;
        }
        let is_behind = |seq: &Seq| {
            let entry = self.index.get(*seq);
            entry.is_some_and(|entry| entry.key == id && entry.topic == Topic::Control && entry.is_waiting())
        };
        let behind = self.commands.values().filter_map(|pending| pending.seq).filter(is_behind);
        for seq in behind.collect::<Vec<_>>() {
            self.refuse_replay(seq, CommandOutcome::NotHead);
        }
    }

    /// Whether the end of the command could be committed with what it does. Otherwise it would be executed again after
    /// a crash.
    fn can_end(&self, offset: i64) -> bool {
        self.fits(Place::new(Topic::Control, offset))
    }

    fn await_decision(&mut self, offset: i64, seq: Seq) {
        if let Some(pending) = self.commands.get_mut(&offset) {
            pending.seq = Some(seq);
        }
    }
}
