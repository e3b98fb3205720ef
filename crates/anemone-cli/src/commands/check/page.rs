//! What `check --chip` says, as a page: the program as a graph coloured by placement, why, a roofline, hazards, time.

use std::collections::HashMap;

use anemone::place::cost::StepCost;
use anemone::place::{Placement, Where};
use anemone::source::{Diagnostic, Severity, Span};
use anemone::verify::Function;

use super::Found;
use super::chips::{Placed, groups};
use super::graph::{self, DRAWN, class_of};
use crate::page::{Page, text};
use crate::roofline::{Dot, Roof, picture};
use crate::segments;
use crate::statistics::{bytes, count, duration, short};

/// How many of the slowest steps are listed.
const SLOWEST: usize = 20;

/// How many different things are said, and how many lines of each are named.
const SAID: usize = 200;
const LINES: usize = 12;

/// The page.
pub(super) fn of(path: &str, found: &[Found], errors: usize) -> String {
    let verdict = match errors {
        0 => "no errors".to_string(),
        1 => "1 error".to_string(),
        n => format!("{n} errors"),
    };
    let ops: usize = found.iter().flat_map(|f| &f.functions).map(|f| f.ops).sum();
    let mut page = Page::new(&format!("{path}: check"), path, &format!("{ops} ops, {verdict}"));
    let sections: Vec<Section<'_>> = found
        .iter()
        .flat_map(|f| f.placed.iter().map(move |p| (f, p)))
        .enumerate()
        .map(|(i, (found, placed))| {
            let functions = found.verified.as_ref().map_or(&[][..], |v| v.functions());
            let function = functions.iter().find(|f| placed.is_of(f));
            Section { id: format!("g{i}"), found, placed, function }
        })
        .collect();
    said(&mut page, found, &sections);
    for s in &sections {
        section(&mut page, s);
    }
    page.end()
}

/// A function on a chip, as a part of the page.
struct Section<'a> {
    /// How its boxes begin their names.
    id: String,
    found: &'a Found,
    placed: &'a Placed,
    function: Option<&'a Function>,
}

/// The diagnostics: errors first, and those that say the same together.
fn said(page: &mut Page, found: &[Found], sections: &[Section<'_>]) {
    page.html("<h2>Faults and hazards</h2>");
    let mut at: HashMap<(&str, &str), usize> = HashMap::new();
    let mut groups: Vec<(&Found, Vec<&Diagnostic>)> = Vec::new();
    for (f, d) in found.iter().flat_map(|f| f.diagnostics.iter().map(move |d| (f, d))) {
        let at = *at.entry((d.code.name, &d.message)).or_insert(groups.len());
        match groups.get_mut(at) {
            Some((_, all)) => all.push(d),
            None => groups.push((f, vec![d])),
        }
    }
    if groups.is_empty() {
        page.html("<p>None.</p>");
        return;
    }
    groups.sort_by_key(|(_, all)| match all[0].severity {
        Severity::Error => 0,
        Severity::Warning => 1,
        Severity::Note => 2,
    });
    page.html("<div class=\"scroll\"><ol class=\"said\">");
    for (f, all) in groups.iter().take(SAID) {
        let d = all[0];
        page.write(format_args!(
            "<li class=\"{word}\" data-code=\"{code}\"><b>{word}</b> <code>{code}</code>{}: {}",
            places(f, all, sections),
            text(&d.message),
            word = d.severity.word(),
            code = d.code.name,
        ));
        for note in &d.notes {
            page.write(format_args!("<p>{}</p>", text(note)));
        }
        if let Some(help) = &d.help {
            page.write(format_args!("<p>{}</p>", text(help)));
        }
        page.html("</li>");
    }
    page.html("</ol></div>");
    if let more @ 1.. = groups.len().saturating_sub(SAID) {
        page.write(format_args!("<p>{more} more are not shown.</p>"));
    }
}

/// The lines of diagnostics, each with a link to its box where that is drawn.
fn places(found: &Found, all: &[&Diagnostic], sections: &[Section<'_>]) -> String {
    let line = |span: Span| found.source.as_ref().map(|t| t.line_column(span.start).line);
    let box_of = |span: Span| {
        let here = sections.iter().filter(|s| std::ptr::eq(s.found, found));
        here.filter_map(|s| graph::anchor(s.function?, &s.placed.placement, &s.id, span)).next()
    };
    let spans = all.iter().filter_map(|d| d.span()).filter(|s| !s.is_none());
    let lines: Vec<String> = spans
        .take(LINES)
        .filter_map(|span| {
            let line = line(span)?;
            Some(match box_of(span) {
                Some(id) => format!("<a href=\"#{id}\">{line}</a>"),
                None => line.to_string(),
            })
        })
        .collect();
    let word = match (lines.len(), all.len()) {
        (0, 1) => return String::new(),
        (0, n) => return format!(", {n} times"),
        (_, 1) => "line",
        _ => "lines",
    };
    let more = match all.len() - lines.len() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!(", {word} {}{more}", lines.join(", "))
}

/// A function on a chip.
fn section(page: &mut Page, section: &Section<'_>) {
    let placed = section.placed;
    let (placement, cost) = (&placed.placement, &placed.cost);
    let target = placement.target;
    page.write(format_args!(
        "<h2>{} on {} ({})</h2>",
        text(&placed.function),
        target.chip,
        target.route.name()
    ));
    let mut numbers = vec![("a call, predicted", duration(cost.seconds() * 1e3))];
    for (what, seconds) in placed.parts() {
        numbers.push((what, duration(seconds * 1e3)));
    }
    numbers.push(("GFLOP/s", short((cost.flops() / 1e8).round() / 10.0)));
    if cost.compile > 0.0 {
        numbers.push(("compile", duration(cost.compile * 1e3)));
    }
    if let Some(energy) = cost.energy {
        numbers.push(("energy", format!("{:.3} mJ", energy * 1e3)));
    }
    page.numbers(&numbers);
    page.html("<p>");
    for (class, words) in [
        ("ane", "engine"),
        ("gpu", "GPU"),
        ("cpu", "CPU"),
        ("refused", "refused"),
        ("folded", "computed by the compiler"),
    ] {
        let n = placement.ops.iter().filter(|op| class_of(op) == class).count();
        if n > 0 {
            page.write(format_args!("<i class=\"{class}\"></i>{words}: {n} &ensp;"));
        }
    }
    page.html("</p>");
    if let Some(function) = section.function {
        page.html(&graph::strip(function, placement, &section.id));
        page.html(&graph::graph(function, placement, &section.id));
    }
    reasons(page, placement);
    segments::write(&segments::of(cost), page);
    page.html("<h3>Roofline</h3>");
    page.html(&roofline(placed));
    slowest(page, placed);
}

/// Why ops are where they are.
fn reasons(page: &mut Page, placement: &Placement) {
    page.html(
        "<h3>Why</h3><div class=\"scroll\"><table class=\"why\"><tr><th>op<th>ops<th class=\"left\">where<th class=\"left\">why\
         <th class=\"left\">how that is known</tr>",
    );
    let mut groups = groups(placement);
    // What is not on the engine is what somebody looks for.
    groups.sort_by_key(|(op, _)| op.on_engine());
    for (op, n) in groups {
        let why = match &op.change {
            Some(change) => format!("{}; to change it: {change}", op.why),
            None => op.why.to_string(),
        };
        page.write(format_args!(
            "<tr><td>{}<td>{n}<td class=\"left\"><i class=\"{}\"></i>{}<td class=\"left prose\">{}<td class=\"left prose\">{}</tr>",
            text(op.op),
            class_of(op),
            op.at.word(),
            text(&why),
            text(&op.evidence.to_string()),
        ));
    }
    page.html("</table></div>");
}

/// What the chip can do, and where steps that multiply are below that.
fn roofline(placed: &Placed) -> String {
    let (cost, rates) = (&placed.cost, placed.cost.rates);
    let peak = rates.peak_flops();
    let roof = Roof { gflops: peak / 1e9, gb_s: peak / rates.ridge() / 1e9, colour: "var(--bar)" };
    let dot = |s: &StepCost| {
        let operations = 2.0 * s.multiply_adds as f64;
        let moved = (s.weights.saturating_add(s.activations) as f64).max(1.0);
        let (intensity, gflops) = (operations / moved, operations / s.seconds.max(1e-12) / 1e9);
        let (op, name, bound) = (s.op, &s.name, s.bound.word());
        let title =
            format!("{op} {name}: {gflops:.0} GFLOP/s, {intensity:.0} operations a byte, waits for {bound}");
        Dot { intensity, gflops, colour: "var(--ane)", whole: false, title }
    };
    let multiply = cost.steps.iter().filter(|s| s.multiply_adds > 0 && s.at == Where::Ane);
    let mut dots: Vec<Dot> = multiply.take(DRAWN).map(dot).collect();
    if cost.multiply_adds() > 0 {
        let (intensity, gflops) = (cost.intensity(), cost.flops() / 1e9);
        let title = "the whole call".to_string();
        dots.push(Dot { intensity, gflops, colour: "var(--refused)", whole: true, title });
    }
    let caption = format!(
        "The line is what {} reaches at most: {:.1} TFLOP/s, from {:.0} operations a byte on. Dots are steps on the engine; the \
         ring is the whole call, with its dispatch.",
        rates.name,
        peak / 1e12,
        rates.ridge()
    );
    picture(&[roof], &dots, &caption)
}

/// The steps that take the most time.
fn slowest(page: &mut Page, placed: &Placed) {
    let mut steps: Vec<&StepCost> = placed.cost.steps.iter().filter(|s| s.seconds > 0.0).collect();
    steps.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    if steps.is_empty() {
        return;
    }
    let all = placed.cost.seconds().max(1e-12);
    page.html(
        "<h3>The slowest steps</h3><div class=\"scroll\"><table><tr><th>result<th class=\"left\">op<th>time\
         <th class=\"left\">waits for<th>multiply-adds<th>bytes<th class=\"left\">of the call</tr>",
    );
    for s in steps.into_iter().take(SLOWEST) {
        let share = s.seconds / all * 100.0;
        page.write(format_args!(
            "<tr><td>{}<td class=\"left\"><i class=\"{}\"></i>{}<td>{}<td class=\"left\">{}<td>{}<td>{}\
             <td class=\"left share\">{share:.0} %<b style=\"width:{:.1}%\"></b></tr>",
            text(&s.name),
            s.at.word(),
            text(s.op),
            duration(s.seconds * 1e3),
            s.bound.word(),
            if s.multiply_adds > 0 { count(s.multiply_adds) } else { String::new() },
            bytes(s.weights.saturating_add(s.activations) as usize),
            share.min(100.0),
        ));
    }
    page.html("</table></div>");
}
