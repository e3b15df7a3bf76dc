//! Whether the gateway can do its work: each part says so for itself, under its name.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Parts by name, each ready or with the reason why not. A gateway is ready when all of its parts are.
///
/// Names and reasons are shown to anyone: no addresses, no names of partners, no secrets.
#[derive(Debug, Default)]
pub struct Readiness {
    parts: Mutex<BTreeMap<String, Option<String>>>,
    /// By part; no part without one.
    remarks: Mutex<BTreeMap<String, Vec<String>>>,
}

impl Readiness {
    /// The part works.
    pub fn ready(&self, part: &str) {
        self.set(part, None);
    }

    /// The part does not work now, or does not work yet.
    pub fn not_ready(&self, part: &str, reason: impl Into<String>) {
        self.set(part, Some(reason.into()));
    }

    /// What an operator should see to though the part works: a load balancer has no reason to look elsewhere. Replaces
    /// the part's earlier remarks.
    pub fn remark(&self, part: &str, remarks: Vec<String>) {
        let mut all = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        if remarks.is_empty() {
            all.remove(part);
        } else {
            all.insert(part.to_owned(), remarks);
        }
    }

    /// All remarks, by part.
    pub fn remarks(&self) -> BTreeMap<String, Vec<String>> {
        self.remarks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The part is gone and counts no more.
    pub fn forget(&self, part: &str) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// All parts by name; `None` is ready.
    pub fn parts(&self) -> BTreeMap<String, Option<String>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there are parts and all are ready: before the first one has spoken, nothing is known to work.
    pub fn is_ready(&self) -> bool {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        !parts.is_empty() && parts.values().all(Option::is_none)
    }

    fn set(&self, part: &str, reason: Option<String>) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        match parts.get_mut(part) {
            Some(known) => *known = reason,
            None => {
                parts.insert(part.to_owned(), reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_ready_when_all_of_its_parts_are() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready(), "nothing has started");

        readiness.ready("log");
        readiness.not_ready("sequencer", "recovering lane 3");
        assert!(!readiness.is_ready());

        readiness.ready("sequencer");
        assert!(readiness.is_ready());

        readiness.remark("reader", vec!["sales.t/0 stands still".to_owned()]);
        assert!(readiness.is_ready(), "a remark is no reason");
        assert_eq!(readiness.remarks()["reader"], ["sales.t/0 stands still"]);
        readiness.remark("reader", vec![]);
        assert!(readiness.remarks().is_empty());

        readiness.not_ready("log", "disk full");
        readiness.forget("log");
        assert!(readiness.is_ready());
    }
}
