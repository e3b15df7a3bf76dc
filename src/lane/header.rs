//! Names of the headers a lane writes.

/// Where the record lies in its lane's own topic: `topic/partition/offset`. The offset is its order in the lane.
pub const ORIGIN: &str = "cd-origin";
/// The record's key where the log's key is another: in the held topic. The key's bytes.
pub const KEY: &str = "cd-key";
/// Append time in the lane's own topic, epoch milliseconds.
pub const SOURCE_TIME: &str = "cd-src-ts";
/// Number of the tier, from 1.
pub const TIER: &str = "cd-tier";
/// Moves so far.
pub const HOP: &str = "cd-hop";
/// Attempts that counted so far.
pub const ATTEMPT: &str = "cd-attempt";
/// Second rounds so far.
pub const ROUND: &str = "cd-round";
/// `head` or `follower`.
pub const ROLE: &str = "cd-role";
/// `1` if the last failure may pass.
pub const PASSING: &str = "cd-passing";
/// Epoch milliseconds.
pub const FIRST_FAILED_AT: &str = "cd-first-failed-at";
/// Why the record is dead.
pub const DISPOSITION: &str = "cd-disposition";
pub const ERROR_CLASS: &str = "cd-error-class";
/// At most 1 KiB.
pub const ERROR: &str = "cd-error";
pub const HTTP_STATUS: &str = "cd-http-status";
/// The command that gave the record the value it has now; absent: it has the one it came with.
pub const EDIT: &str = "cd-edit";

pub(crate) const COMMAND_PREFIX: &str = "cd-command";
pub const COMMAND: &str = "cd-command";
pub const COMMAND_KEY: &str = "cd-command-key";
pub const COMMAND_VERB: &str = "cd-command-verb";
pub const COMMAND_SEQ: &str = "cd-command-seq";
pub const COMMAND_HOP: &str = "cd-command-hop";
pub const COMMAND_ATTEMPTS: &str = "cd-command-attempts";
pub const COMMAND_FORCE: &str = "cd-command-force";

pub(super) const ALL: [&str; 15] = [
    ORIGIN,
    KEY,
    SOURCE_TIME,
    TIER,
    HOP,
    ATTEMPT,
    ROUND,
    ROLE,
    PASSING,
    FIRST_FAILED_AT,
    DISPOSITION,
    ERROR_CLASS,
    ERROR,
    HTTP_STATUS,
    EDIT,
];
