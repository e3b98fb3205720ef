//! The connection to the daemon: which of the ways to one is taken.

use crate::abi::{Bool, Id};
use crate::foundation;
use crate::framework::Framework;
use crate::messages::*;

/// A client of the daemon.
#[derive(Clone, Copy)]
pub(crate) struct Connection {
    pub(crate) client: Id,
    /// Whether we hold a count of it; shared ones are never released.
    pub(crate) is_ours: bool,
}

impl Framework {
    /// Asks for a client in the order in which other programs do (source: tmc/apple): the private one, which entitled
    /// processes get, the shared one, one of our own with and without restricted access. `None` when there is none.
    pub(crate) fn connect(&self) -> Option<Connection> {
        let _pool = self.pool();
        let class = self.class(CLIENT).id();
        let found = |client: Id, is_ours| (!client.is_nil()).then_some(Connection { client, is_ours });
        if self.has(SHARED_PRIVATE_CONNECTION) && self.has(ECHO) {
            // SAFETY: the class has the message.
            let client = unsafe { self.send(SHARED_PRIVATE_CONNECTION, class, ()) };
            // A process without the entitlement may be given one all the same; the daemon does not talk to it.
            if !client.is_nil() && self.answers(client) {
                return found(client, false);
            }
        }
        // SAFETY: the class has the message, which is of the core.
        let shared = unsafe { self.send(SHARED_CONNECTION, class, ()) };
        if !shared.is_nil() {
            return found(shared, false);
        }
        if self.has(ALLOC_CLIENT) && self.has(INIT_WITH_RESTRICTED_ACCESS) {
            // SAFETY: the class has the message; what `alloc` gives, `init…` takes over, and gives itself or nil.
            let own = unsafe {
                let made = self.send(ALLOC_CLIENT, class, ());
                if made.is_nil() { made } else { self.send(INIT_WITH_RESTRICTED_ACCESS, made, (Bool::YES,)) }
            };
            if !own.is_nil() {
                return found(own, true);
            }
        }
        // SAFETY: the class has the message.
        let new = self.has(NEW_CLIENT).then(|| unsafe { self.send(NEW_CLIENT, class, ()) });
        new.and_then(|client| found(client, true))
    }

    /// Whether the daemon answers a client.
    pub(crate) fn answers(&self, client: Id) -> bool {
        let Ok(text) = foundation::string(self, "anemone") else { return false };
        // SAFETY: callers have looked that there is the message, and give a live client; the daemon sends a string back.
        unsafe { self.send(ECHO, client, (text.id(),)) }.get()
    }
}
