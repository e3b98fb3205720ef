//! Evaluations that are waited for only so long.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::request::Request;
use crate::error::Error;

impl Request {
    /// Runs the function on a thread of its own, and waits for it only so long.
    ///
    /// Nothing can stop an evaluation that has begun, and until its end the engine may write the surfaces. So a request
    /// that was not done in time is not given back: its thread keeps it, with its surfaces, which nobody can lock, and
    /// its model, which stays loaded, and drops all when the engine has answered.
    ///
    /// # Errors
    ///
    /// As [`Request::run`], and [`Error::TimedOut`]. The request is dropped then.
    pub fn run_within(mut self, time: Duration) -> Result<Self, Error> {
        let (done, waiting) = mpsc::channel();
        let thread = std::thread::Builder::new().name("anemone evaluation".into());
        let work = move || {
            let result = self.run();
            // Nobody may be waiting any more; then the request ends here.
            let _ = done.send(result.map(|()| self));
        };
        let started = thread.spawn(work);
        let handle = started.map_err(|e| Error::Invalid(format!("no thread could be started: {e}")))?;
        match waiting.recv_timeout(time) {
            Ok(result) => {
                // It has sent the last that it had: nobody is left behind.
                let _ = handle.join();
                result
            }
            Err(RecvTimeoutError::Timeout) => {
                Err(Error::TimedOut { what: "the evaluation".into(), within: time })
            }
            Err(RecvTimeoutError::Disconnected) => match handle.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => unreachable!("the thread ends after it has sent"),
            },
        }
    }
}
