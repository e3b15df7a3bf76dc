//! Where a test can stop the process dead (cargo feature `failpoints`; without it none of this is compiled in).
//!
//! `CROSSDOCK_CRASH=<point>:<n>` makes the process kill itself with SIGKILL at the n-th pass of the fail point.
//! The points are listed in `docs/fail-points.md`.

use std::sync::atomic::{AtomicU32, Ordering};

/// Arms the point named by `CROSSDOCK_CRASH`, if any.
///
/// # Errors
/// A text that says what was expected, if the variable is ill-formed.
pub fn arm_from_environment() -> Result<(), String> {
    let Ok(wish) = std::env::var("CROSSDOCK_CRASH") else { return Ok(()) };
    let parsed = wish.split_once(':').and_then(|(point, count)| Some((point, count.parse::<u32>().ok()?)));
    let Some((point, count)) = parsed else {
        return Err(format!("CROSSDOCK_CRASH: expected <point>:<count>, found `{wish}`"));
    };
    let left = AtomicU32::new(count);
    fail::cfg_callback(point, move || {
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // SIGKILL and not abort: no handler, no destructor and no buffer gets a chance.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            std::process::abort();
        }
    })
}
