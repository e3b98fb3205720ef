//! Runs of steps at one place on a chip, with what it takes to come there.

use std::io::{self, Write};

use anemone::place::cost::{Cost, SegmentCost};
use serde::Serialize;

use crate::page::{Page, text};
use crate::statistics::duration;
use crate::table::{Align, Table};
use crate::terminal::Terminal;

/// So many are listed.
const LISTED: usize = 24;

/// A run of steps.
#[derive(Serialize)]
pub(crate) struct Segment {
    #[serde(rename = "where")]
    at: &'static str,
    /// The name of its first step; empty where it has none.
    first: String,
    steps: usize,
    /// What its steps take, launching it, and coming to it from another device.
    us: f64,
    dispatch_us: f64,
    switch_us: f64,
}

/// The segments of a function.
pub(crate) fn of(cost: &Cost) -> Vec<Segment> {
    let segment = |s: &SegmentCost| Segment {
        at: s.at.word(),
        first: cost.steps.get(s.steps.start).map_or_else(String::new, |step| step.name.to_string()),
        steps: s.steps.len(),
        us: s.seconds * 1e6,
        dispatch_us: s.dispatch * 1e6,
        switch_us: s.switch * 1e6,
    };
    cost.segments.iter().map(segment).collect()
}

impl Segment {
    fn cells(&self) -> [String; 6] {
        let time = |us: f64| if us > 0.0 { duration(us / 1e3) } else { String::new() };
        let times = [self.us, self.dispatch_us, self.switch_us].map(time);
        let [steps, dispatch, switch] = times;
        [self.at.to_string(), self.first.clone(), self.steps.to_string(), steps, dispatch, switch]
    }
}

/// How many are not listed, in words.
fn others(segments: &[Segment]) -> Option<String> {
    segments.len().checked_sub(LISTED).filter(|&n| n > 0).map(|n| format!("and {n} more, which --json lists"))
}

/// Prints them, if there are several.
pub(crate) fn print(segments: &[Segment], terminal: &mut Terminal) -> io::Result<()> {
    if segments.len() < 2 {
        return Ok(());
    }
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("segment", left),
        ("from", left),
        ("steps", right),
        ("time", right),
        ("dispatch", right),
        ("switch", right),
    ]);
    segments.iter().take(LISTED).for_each(|s| table.row(s.cells()));
    table.print(terminal)?;
    match others(segments) {
        Some(more) => writeln!(terminal, "{more}"),
        None => Ok(()),
    }
}

/// Writes them on a page, if there are several.
pub(crate) fn write(segments: &[Segment], page: &mut Page) {
    if segments.len() < 2 {
        return;
    }
    page.html(
        "<h3>Segments</h3><div class=\"scroll\"><table><tr><th>where<th class=\"left\">from<th>steps<th>time<th>dispatch\
         <th>switch</tr>",
    );
    for segment in segments.iter().take(LISTED) {
        let [at, first, rest @ ..] = segment.cells();
        let rest = rest.map(|cell| format!("<td>{}", text(&cell))).concat();
        page.write(format_args!(
            "<tr><td><i class=\"{at}\"></i>{at}<td class=\"left\">{}{rest}</tr>",
            text(&first)
        ));
    }
    page.html("</table></div>");
    if let Some(more) = others(segments) {
        page.write(format_args!("<p>{more}</p>"));
    }
}
