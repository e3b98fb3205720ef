//! What is known, and how, as JSON: the same words in every command.

use anemone::place;
use serde::Serialize;

/// Where a fact is from, and how sure it is.
#[derive(Serialize)]
pub(super) struct Evidence {
    source: &'static str,
    confidence: &'static str,
    os: Option<&'static str>,
}

impl Evidence {
    pub(super) fn of(evidence: anemone::chip::Evidence) -> Self {
        let anemone::chip::Evidence { source, confidence, os } = evidence;
        Self { source, confidence: confidence.word(), os }
    }
}

/// Four facts of an op, each by itself; null where nobody is known to have tried.
#[derive(Serialize)]
pub(super) struct Facts {
    attested: Option<bool>,
    compiles: Option<bool>,
    runs: Option<bool>,
    correct: Option<bool>,
}

impl Facts {
    pub(super) fn of(facts: place::Facts) -> Self {
        let place::Facts { attested, compiles, runs, correct } = facts;
        Self { attested, compiles, runs, correct }
    }
}
