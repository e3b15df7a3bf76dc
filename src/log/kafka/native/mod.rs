//! The calls of librdkafka that its Rust wrapper lacks, and all `unsafe` code of this engine.
//!
//! - [`groups`]: offsets of any group with one client, without a consumer for each; the wrapper would need one, and
//!   panics on metadata that is not UTF-8.
//! - [`transaction`]: group metadata without a member, and a flush that does not poll in steps of 100 ms.
//! - [`record`]: headers whose names are not UTF-8 (the wrapper panics), and one partition's position.

pub mod groups;
pub mod record;
pub mod transaction;

use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;

/// A failed call: what librdkafka says of it, and what can be done about it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct CallError {
    pub code: RDKafkaErrorCode,
    pub reason: String,
    /// The client cannot be used any more.
    pub fatal: bool,
    /// The same call goes on where it stopped.
    pub retriable: bool,
    /// Nothing but an abort helps the transaction.
    pub abort: bool,
}

impl CallError {
    pub fn new(code: RDKafkaErrorCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), fatal: false, retriable: false, abort: false }
    }
}

/// Something librdkafka made for us, given back when dropped.
struct Owned<T> {
    pointer: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// # Safety
    /// `pointer` is null or ours alone, and `destroy` is the function that gives it back.
    unsafe fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        NonNull::new(pointer).map(|pointer| Self { pointer, destroy })
    }

    fn as_ptr(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: by the contract of `new`, and nobody uses it after this.
        unsafe { (self.destroy)(self.pointer.as_ptr()) }
    }
}

/// What a call returned: null is success.
///
/// # Safety
/// `error` is null or an error that librdkafka hands over to the caller.
unsafe fn outcome(error: *mut sys::rd_kafka_error_t) -> Result<(), CallError> {
    // SAFETY: an error handed over is the caller's to destroy.
    let Some(error) = (unsafe { Owned::new(error, sys::rd_kafka_error_destroy) }) else { return Ok(()) };
    // SAFETY: alive until `error` is dropped at the end.
    Err(unsafe { describe(error.as_ptr()) })
}

/// # Safety
/// `error` is an error that outlives the call.
unsafe fn describe(error: *const sys::rd_kafka_error_t) -> CallError {
    // SAFETY: the functions only read the error; the string belongs to it and is copied.
    unsafe {
        CallError {
            code: sys::rd_kafka_error_code(error).into(),
            reason: text(sys::rd_kafka_error_string(error)),
            fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            retriable: sys::rd_kafka_error_is_retriable(error) != 0,
            abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
        }
    }
}

/// A copy of a C string; what is not UTF-8 in it is replaced.
///
/// # Safety
/// `text` is null or ends with a zero byte.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by the contract of this function.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
