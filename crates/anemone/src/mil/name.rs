//! Names.

use std::collections::HashSet;
use std::sync::Arc;

/// An identifier of a program. Cloning one copies a pointer.
///
/// ```
/// use anemone::mil::Name;
/// let name = Name::from("x");
/// assert!(name == "x" && name.clone().as_str() == "x");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(s: &str) -> Self {
        Self(s.into())
    }
}

impl From<String> for Name {
    fn from(s: String) -> Self {
        Self(s.into())
    }
}

impl From<Name> for Arc<str> {
    fn from(n: Name) -> Self {
        n.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.0, f)
    }
}

/// The names of one text, each kept once: a door asks here, so that a name that occurs often is stored once.
///
/// ```
/// use anemone::mil::Names;
/// let mut names = Names::default();
/// let (a, b) = (names.get("weight"), names.get("weight"));
/// assert!(a == b && std::ptr::eq(a.as_str(), b.as_str()), "kept once");
/// ```
#[derive(Default)]
pub struct Names(HashSet<Name>);

impl Names {
    /// The name of this text.
    pub fn get(&mut self, text: &str) -> Name {
        if let Some(name) = self.0.get(text) {
            return name.clone();
        }
        let name = Name::from(text);
        self.0.insert(name.clone());
        name
    }
}
