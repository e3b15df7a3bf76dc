//! What a lane keeps in memory of records that wait: counted at the allocator, on a lane that is rebuilt as at a start.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::collections::BTreeMap;

use crossdock::lane::batch::Role;
use crossdock::lane::moved::Moved;
use crossdock::lane::plan::{Standing, plan};
use crossdock::lane::{Key, Lane, Place, Policy, Recovery, Topic};
use crossdock::log::Bounds;
use mimalloc::MiMalloc;

use crate::measured::report::Samples;
use crate::notifications::Notifications;

/// Records of a key.
const OF_A_KEY: usize = 100;
/// Of one lane; in all, they are as many as asked for.
const OF_A_LANE: usize = 10_000;

/// Bytes this thread has allocated and not freed, as they were asked for.
pub struct Counting;

thread_local! {
    static ALLOCATED: Cell<isize> = const { Cell::new(0) };
}

/// Bytes a record: keys included, without what the driver and the store keep.
pub fn bytes(records: usize) -> Samples {
    let mut samples = Samples::default();
    let lanes = records.div_ceil(OF_A_LANE);
    let before = ALLOCATED.get();
    let lanes: Vec<_> = (0..lanes).map(|_| lane(OF_A_LANE.min(records))).collect();
    let taken = ALLOCATED.get() - before;
    let outstanding: usize = lanes.iter().map(|lane| lane.outstanding().len()).sum();
    samples.add(taken as f64 / outstanding as f64);
    samples
}

/// Half of the records are held, the others are in a retry topic; the first of each key has failed.
fn lane(records: usize) -> Lane {
    let plan = plan(&Standing::default(), Bounds { start: 0, end: 0 }, false).expect("a new lane");
    let mut recovery = Recovery::new(Policy::default(), &plan, 0);
    let half = records as i64 / 2;
    for (topic, prefix, first) in [(Topic::Held, "HELD", 0), (Topic::Tier(0), "RETRY", half)] {
        let notifications = Notifications::new(prefix, (records / 2 / OF_A_KEY).max(1));
        recovery.until(topic, half);
        for offset in 0..half {
            let number = offset as usize;
            let role = if number < notifications.keys { Role::Head } else { Role::Follower };
            let key = Key::new(notifications.key(number).as_bytes()).expect("a key");
            let moved = Moved { seq: first + offset, key, hop: 1, attempts: 1, round: 0, role, is_passing: false };
            recovery.copy(Place::new(topic, offset), 0, &moved, None);
        }
    }
    recovery.finish(&BTreeMap::new()).expect("everything was read")
}

fn count(bytes: isize) {
    // Gone already, where a thread ends.
    let _ = ALLOCATED.try_with(|allocated| allocated.set(allocated.get() + bytes));
}

// SAFETY: everything is mimalloc's to do; the count is a thread's own and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's.
        unsafe { MiMalloc.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's.
        unsafe { MiMalloc.realloc(at, layout, size) }
    }
}
