//! What `check` found as SARIF 2.1.0, which code hosts show beside the lines.

use std::collections::BTreeMap;

use anemone::source::{Code, Diagnostic, Severity, Source};
use serde_json::{Value, json};

use super::Found;

/// The report. Places are those of the text at `path`; of a package, which has no text, only the package is named.
pub(super) fn of(path: &str, found: &[Found]) -> Value {
    let all = || found.iter().flat_map(|f| f.diagnostics.iter().map(move |d| (f.source.as_ref(), d)));
    let codes: BTreeMap<&str, &'static Code> = all().map(|(_, d)| (d.code.name, d.code)).collect();
    let rules: Vec<Value> = codes.values().map(|c| rule(c)).collect();
    let index = |code: &str| codes.keys().position(|&c| c == code);
    let results: Vec<Value> = all()
        .map(|(source, d)| {
            let mut result = json!({
                "ruleId": d.code.name,
                "ruleIndex": index(d.code.name),
                "level": level(d.severity),
                "message": { "text": message(d) },
            });
            result["locations"] = json!([{ "physicalLocation": location(path, source, d) }]);
            result
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "anemone",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn rule(code: &Code) -> Value {
    json!({
        "id": code.name,
        "shortDescription": { "text": code.summary },
        "help": { "text": code.page, "markdown": code.page },
        "defaultConfiguration": { "level": level(code.severity) },
    })
}

/// The sentence, with the notes and the help behind it.
fn message(d: &Diagnostic) -> String {
    let mut message = d.message.clone();
    for note in &d.notes {
        message += &format!("\n{note}");
    }
    if let Some(help) = &d.help {
        message += &format!("\nhelp: {help}");
    }
    message
}

fn location(path: &str, source: Option<&Source>, d: &Diagnostic) -> Value {
    // An address has no backslashes and no spaces.
    let uri: String = path.replace('\\', "/").replace('%', "%25").replace(' ', "%20");
    let mut location = json!({ "artifactLocation": { "uri": uri } });
    let is_text = path.ends_with(".mil");
    if let (true, Some(source), Some(span)) = (is_text, source, d.span().filter(|s| !s.is_none())) {
        let (start, end) = (source.line_column(span.start), source.line_column(span.end));
        location["region"] = json!({
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        });
    }
    location
}
