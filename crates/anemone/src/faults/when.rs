//! When a fault strikes.

use std::fmt;
use std::str::FromStr;

use super::Fault;
use super::seed::scatter;

/// Which calls a fault strikes, of those that it can. Calls are counted from 1.
///
/// ```
/// use anemone::faults::When;
/// for text in ["always", "3", "..2", "100..", "1/10"] {
///     assert_eq!(text.parse::<When>()?.to_string(), text);
/// }
/// assert_eq!("..2".parse(), Ok(When::First(2)));
/// assert_eq!("100..".parse(), Ok(When::From(100)));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// All of them.
    Always,
    /// This one.
    Nth(u64),
    /// The first so many.
    First(u64),
    /// This one, and all after it.
    From(u64),
    /// One of so many; the seed says which ones.
    OneIn(u64),
}

impl When {
    /// Whether the call of this number is struck.
    pub(super) fn strikes(self, number: u64, seed: u64, fault: Fault) -> bool {
        match self {
            When::Always => true,
            When::Nth(n) => number == n,
            When::First(n) => number <= n,
            When::From(n) => number >= n,
            When::OneIn(n) => scatter(seed, fault as u64, number).is_multiple_of(n.max(1)),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Always => f.write_str("always"),
            When::Nth(n) => write!(f, "{n}"),
            When::First(n) => write!(f, "..{n}"),
            When::From(n) => write!(f, "{n}.."),
            When::OneIn(n) => write!(f, "1/{n}"),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().ok().filter(|&n| n > 0);
        let when = if text == "always" {
            Some(When::Always)
        } else if let Some(n) = text.strip_prefix("..") {
            number(n).map(When::First)
        } else if let Some(n) = text.strip_suffix("..") {
            number(n).map(When::From)
        } else if let Some(n) = text.strip_prefix("1/") {
            number(n).map(When::OneIn)
        } else {
            number(text).map(When::Nth)
        };
        when.ok_or_else(|| {
            format!("`{text}` is no choice of calls: write `always`, `3`, `..3` (the first three), `3..` (from the third on) or `1/3`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_struck_as_it_is_written() {
        let struck = |when: &str| -> Vec<u64> {
            let when: When = when.parse().unwrap();
            (1..=6).filter(|&n| when.strikes(n, 7, Fault::LoadBusy)).collect()
        };
        assert_eq!(struck("always"), [1, 2, 3, 4, 5, 6]);
        assert_eq!(struck("3"), [3]);
        assert_eq!(struck("..2"), [1, 2]);
        assert_eq!(struck("5.."), [5, 6]);
        assert_eq!(struck("1/1"), [1, 2, 3, 4, 5, 6]);
        for wrong in ["", "0", "..0", "..", "1/0", "2/3", "-1", "never"] {
            assert!(wrong.parse::<When>().is_err(), "{wrong}");
        }
    }

    /// About as many as it says, others for another fault, and the same ones again.
    #[test]
    fn a_seed_scatters() {
        let struck = |seed, fault| -> Vec<u64> {
            (1..=1000).filter(|&n| When::OneIn(10).strikes(n, seed, fault)).collect()
        };
        let one = struck(1, Fault::Slow);
        assert!((60..150).contains(&one.len()), "{}", one.len());
        assert_eq!(one, struck(1, Fault::Slow));
        assert_ne!(one, struck(2, Fault::Slow));
        assert_ne!(one, struck(1, Fault::ZeroOutputs));
    }
}
