//! Work that does as it is told, and remembers what it was asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::driver::{Decided, Done, Entry, Job, Reach, Said, Waits, Work};
use crate::lane::batch::{Answer, Failure, Target};
use crate::log::{Append, Record};
use crate::store::lanes::{Link, Parked};

pub const OUTSIDE: Reach = Reach::Outside { timeout: Duration::from_secs(30) };

/// An attempt as it was asked for: the record's value, its number, and the command that edited it.
pub type Asked = (String, u16, Option<String>);

pub struct Script {
    pub reach: Reach,
    /// Where applied records of work inside go.
    pub published: Arc<str>,
    pub target: watch::Sender<Target>,
    /// Answers to attempts at records with that value, first to last; then [`Answer::Applied`].
    answers: Mutex<BTreeMap<String, VecDeque<Answer>>>,
    /// Links that records with that value bring.
    pub links: Mutex<BTreeMap<String, Link>>,
    /// What records with that value wait for, and until when.
    pub waits: Mutex<BTreeMap<String, Waits>>,
    asked: Mutex<Vec<Asked>>,
    /// Attempts at records with these values end when they are let go.
    stuck: Mutex<BTreeSet<String>>,
    let_go: Notify,
    pub begun: Notify,
    /// Answers instead of those above.
    pub judge: OnceLock<Judge>,
}

pub type Judge = Box<dyn Fn(&Job) -> Answer + Send + Sync>;

impl Script {
    pub fn new(reach: Reach, published: &str) -> Self {
        Self {
            reach,
            published: Arc::from(published),
            target: watch::Sender::new(Target::Available),
            answers: Mutex::default(),
            links: Mutex::default(),
            waits: Mutex::default(),
            asked: Mutex::default(),
            stuck: Mutex::default(),
            let_go: Notify::new(),
            begun: Notify::new(),
            judge: OnceLock::new(),
        }
    }

    pub fn answers(&self, value: &str, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().unwrap().entry(value.to_owned()).or_default().extend(answers);
    }

    /// What was attempted since this was asked last.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// The values of [`Self::asked`].
    pub fn values(&self) -> Vec<String> {
        self.asked().into_iter().map(|(value, ..)| value).collect()
    }

    pub fn stick(&self, value: &str) {
        self.stuck.lock().unwrap().insert(value.to_owned());
    }

    pub fn let_go(&self) {
        self.stuck.lock().unwrap().clear();
        self.let_go.notify_waiters();
    }

    fn said(&self, what: &str, record: &Record) -> Said {
        let name = text(record);
        let effect = Record { value: Some(format!("{what} {name}").into()), ..record.clone() };
        let effects = vec![Append { topic: self.published.clone(), partition: Some(0), record: effect }];
        Said { effects, ledger: vec![entry(&format!("{what} {name}"))], ..Said::default() }
    }
}

/// The script, as the lanes share it.
pub struct Scripted(pub Arc<Script>);

impl Work for Scripted {
    fn reach(&self) -> Reach {
        self.0.reach
    }

    fn attempt(&self, job: Job) -> BoxFuture<'static, Done> {
        let script = Arc::clone(&self.0);
        Box::pin(async move {
            let value = text(&job.record);
            script.asked.lock().unwrap().push((value.clone(), job.attempt, job.edit.clone()));
            script.begun.notify_one();
            loop {
                let let_go = script.let_go.notified();
                if !script.stuck.lock().unwrap().contains(&value) {
                    break;
                }
                let_go.await;
            }
            if let Some(judge) = script.judge.get() {
                return Done::of(judge(&job));
            }
            let answer = script.answers.lock().unwrap().get_mut(&value).and_then(VecDeque::pop_front);
            let waits = script.waits.lock().unwrap().get(&value).cloned();
            let answer = answer.unwrap_or(if waits.is_some() { Answer::Parked } else { Answer::Applied });
            let mut done = Done { waits, ..Done::of(answer) };
            done.ledger = vec![entry(&format!("attempt {value}"))];
            if script.reach == Reach::Inside && done.answer == Answer::Applied {
                done.effects = script.said("applied", &job.record).effects;
                done.links.extend(script.links.lock().unwrap().get(&value).cloned());
            }
            done
        })
    }

    fn decided(&self, decided: &Decided<'_>) -> Said {
        match decided.decision.dead_letter() {
            Some(_) => self.0.said("dead", decided.record),
            None => Said::default(),
        }
    }

    fn release(&self, parked: Parked, is_expired: bool) -> BoxFuture<'static, Option<Said>> {
        let record = Record { key: Some(parked.key), value: parked.value, headers: parked.headers };
        let said = self.0.said(if is_expired { "expired" } else { "released" }, &record);
        Box::pin(async { Some(said) })
    }

    fn target(&self) -> watch::Receiver<Target> {
        self.0.target.subscribe()
    }
}

pub fn failed() -> Answer {
    Answer::Failed(Failure { class: "status".to_owned(), http_status: Some(500), message: "broken".to_owned() })
}

pub fn rejected() -> Answer {
    Answer::Rejected(Failure { class: "status".to_owned(), http_status: Some(422), message: "unwanted".to_owned() })
}

pub fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}

fn entry(what: &str) -> Entry {
    Entry { order: Uuid::nil(), detail: format!("{{\"what\":\"{what}\"}}") }
}
