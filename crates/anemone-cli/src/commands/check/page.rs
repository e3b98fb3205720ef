//! What `check --chip` says, as a page: the program as a graph coloured by placement, why, a roofline, hazards, time.

use std::collections::HashMap;
use std::fmt::Write;

use anemone::place::cost::StepCost;
use anemone::place::{Form, OpPlacement, Placement, Where};
use anemone::source::Severity;
use anemone::verify::{Function, Step};

use super::Found;
use super::chips::{Placed, groups};
use crate::page::{Page, text};
use crate::roofline::{Dot, Roof, picture};
use crate::statistics::{bytes, count, duration, short};

/// How many steps are drawn. A browser is slow with more, and nobody finds anything in them.
const DRAWN: usize = 1500;

/// How many of the slowest steps are listed.
const SLOWEST: usize = 20;

/// The page.
pub(super) fn of(path: &str, found: &[Found], errors: usize) -> String {
    let placed: Vec<(&Found, &Placed)> =
        found.iter().flat_map(|f| f.placed.iter().map(move |p| (f, p))).collect();
    let verdict = match errors {
        0 => "no errors".to_string(),
        1 => "1 error".to_string(),
        n => format!("{n} errors"),
    };
    let ops: usize = found.iter().flat_map(|f| &f.functions).map(|f| f.ops).sum();
    let mut page = Page::new(&format!("{path}: check"), path, &format!("{ops} ops, {verdict}"));
    said(&mut page, found);
    for (f, p) in placed {
        section(&mut page, f, p);
    }
    page.end()
}

/// The diagnostics: errors first.
fn said(page: &mut Page, found: &[Found]) {
    let mut all: Vec<_> = found.iter().flat_map(|f| f.diagnostics.iter().map(move |d| (f, d))).collect();
    all.sort_by_key(|(_, d)| match d.severity {
        Severity::Error => 0,
        Severity::Warning => 1,
        Severity::Note => 2,
    });
    page.html("<h2>Faults and hazards</h2>");
    if all.is_empty() {
        page.html("<p>None.</p>");
        return;
    }
    page.html("<ol class=\"said\">");
    for (f, d) in all {
        let at =
            d.span().filter(|s| !s.is_none()).and_then(|s| f.source.as_ref().map(|t| t.line_column(s.start)));
        let at = at.map_or_else(String::new, |at| format!(", line {}", at.line));
        page.write(format_args!(
            "<li class=\"{word}\" data-code=\"{code}\"><b>{word}</b> <code>{code}</code>{at}: {}",
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
    page.html("</ol>");
}

/// A function on a chip.
fn section(page: &mut Page, found: &Found, placed: &Placed) {
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
    if let Some(function) =
        found.verified.as_ref().and_then(|v| v.functions().iter().find(|f| placed.is_of(f)))
    {
        page.html(&graph(function, placement));
    }
    reasons(page, placement);
    page.html("<h3>Roofline</h3>");
    page.html(&roofline(placed));
    slowest(page, placed);
}

fn class_of(op: &OpPlacement) -> &'static str {
    if op.form == Form::Folded { "folded" } else { op.at.word() }
}

/// Why ops are where they are.
fn reasons(page: &mut Page, placement: &Placement) {
    page.html(
        "<h3>Why</h3><div class=\"scroll\"><table><tr><th>op<th>ops<th class=\"left\">where<th class=\"left\">why\
         <th class=\"left\">how that is known</tr>",
    );
    for (op, n) in groups(placement) {
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

/// The steps in layers: each below all that it reads.
fn graph(function: &Function, placement: &Placement) -> String {
    const BOX: (f64, f64) = (150.0, 26.0);
    const GAP: (f64, f64) = (24.0, 22.0);
    let steps = &function.body.steps;
    let shown = steps.len().min(DRAWN);
    let mut made: HashMap<usize, usize> = HashMap::new();
    let mut layers: Vec<usize> = Vec::new();
    let mut widths: Vec<usize> = Vec::new();
    let mut at: Vec<(f64, f64)> = Vec::new();
    let mut edges = String::new();
    for (i, step) in steps.iter().take(shown).enumerate() {
        let mut from: Vec<usize> = Vec::new();
        step.reads(|v| from.extend(made.get(&v.index())));
        from.sort_unstable();
        from.dedup();
        let layer = from.iter().map(|&f| layers[f] + 1).max().unwrap_or(0);
        if widths.len() <= layer {
            widths.resize(layer + 1, 0);
        }
        let x = widths[layer] as f64 * (BOX.0 + GAP.0) + GAP.0;
        let y = layer as f64 * (BOX.1 + GAP.1) + 2.0;
        widths[layer] += 1;
        for f in from {
            let (fx, fy) = at[f];
            let path = if layers[f] + 1 == layer {
                let (fx, fy, tx, middle) = (fx + BOX.0 / 2.0, fy + BOX.1, x + BOX.0 / 2.0, y - GAP.1 / 2.0);
                format!("M{fx} {fy} C{fx} {middle} {tx} {middle} {tx} {y}")
            } else {
                // What goes past other boxes leaves and comes at the side, where nothing stands.
                let (fy, ty) = (fy + BOX.1 / 2.0, y + BOX.1 / 2.0);
                format!("M{fx} {fy} C{} {fy} {} {ty} {x} {ty}", fx - GAP.0, x - GAP.0)
            };
            let _ = write!(edges, "<path class=\"read\" d=\"{path}\"/>");
        }
        layers.push(layer);
        at.push((x, y));
        made.extend(step.outputs.iter().map(|o| (o.index(), i)));
    }
    // The ops of blocks stand behind the op around them.
    let mut op = 0;
    let mut nodes = String::new();
    for (step, (x, y)) in steps.iter().zip(&at) {
        let Some(placed) = placement.ops.get(op) else { break };
        op += within(step);
        let label: String = format!("{} {}", placed.op, placed.name).chars().take(22).collect();
        let _ = write!(
            nodes,
            "<g class=\"node {}\" data-op=\"{}\" data-name=\"{}\"><title>{} {}: {}</title><rect x=\"{x}\" y=\"{y}\" \
             width=\"{}\" height=\"{}\" rx=\"4\"/><text x=\"{}\" y=\"{}\">{}</text></g>",
            class_of(placed),
            text(placed.op),
            text(&placed.name),
            text(placed.op),
            text(&placed.name),
            text(&placed.why),
            BOX.0,
            BOX.1,
            x + 8.0,
            y + 17.0,
            text(&label),
        );
    }
    let width = widths.iter().copied().max().unwrap_or(0) as f64 * (BOX.0 + GAP.0) + GAP.0;
    let height = widths.len() as f64 * (BOX.1 + GAP.1) + 4.0;
    let more = match steps.len() - shown {
        0 => String::new(),
        n => format!(" {n} more are not drawn."),
    };
    format!(
        "<figure><div class=\"scroll graph\"><svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\" aria-label=\"The program as a graph\">{edges}{nodes}</svg></div><figcaption>Each box is an op, below \
         all that it reads; its colour is where it runs.{more}</figcaption></figure>"
    )
}

/// How many ops a step is, those of its blocks included.
fn within(step: &Step) -> usize {
    1 + step.blocks.iter().flat_map(|b| &b.steps).map(within).sum::<usize>()
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
