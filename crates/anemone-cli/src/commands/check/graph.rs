//! The graph of `check --html`: a box an op, below all that it reads, and a strip of all of them.

use std::collections::HashMap;
use std::fmt::Write;

use anemone::place::{Form, OpPlacement, Placement};
use anemone::verify::{Function, Step};

use crate::page::{WIDTH, text};

/// How many steps are drawn. A browser is slow with more, and nobody finds anything in them.
pub(super) const DRAWN: usize = 3000;

const BOX: (f64, f64) = (190.0, 26.0);
const GAP: (f64, f64) = (24.0, 22.0);

/// How many letters a box has room for.
const LETTERS: usize = 24;

/// The class of an op: the colour of where it runs.
pub(super) fn class_of(op: &OpPlacement) -> &'static str {
    if op.form == Form::Folded { "folded" } else { op.at.word() }
}

/// The steps of a function with what is said of them: the ops of blocks stand behind the op around them.
fn placed<'a>(
    function: &'a Function,
    placement: &'a Placement,
) -> impl Iterator<Item = (&'a Step, &'a OpPlacement)> {
    let mut op = 0;
    function.body.steps.iter().map_while(move |step| {
        let found = placement.ops.get(op)?;
        op += within(step);
        Some((step, found))
    })
}

/// How many ops a step is, those of its blocks included.
fn within(step: &Step) -> usize {
    1 + step.blocks.iter().flat_map(|b| &b.steps).map(within).sum::<usize>()
}

/// All ops in order as one bar; a click leads to the box.
pub(super) fn strip(function: &Function, placement: &Placement, id: &str) -> String {
    const HEIGHT: f64 = 18.0;
    let all: Vec<(&str, bool)> =
        placed(function, placement).map(|(_, op)| (class_of(op), !op.hazards.is_empty())).collect();
    let width = WIDTH / all.len().max(1) as f64;
    let mut picture = format!(
        "<svg class=\"strip\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"All ops in order\">"
    );
    let mut at = 0;
    let mut runs = Vec::new();
    for run in all.chunk_by(|a, b| a == b) {
        runs.push((at, run.len(), run[0]));
        at += run.len();
    }
    // What is not on the engine may be thin, and lies above the rest.
    runs.sort_by_key(|&(_, _, (class, _))| !matches!(class, "ane" | "folded"));
    for (at, count, (class, hazard)) in runs {
        let ops =
            if count == 1 { format!("op {}", at + 1) } else { format!("ops {} to {}", at + 1, at + count) };
        let danger = if hazard { ", with a hazard" } else { "" };
        let (x, width) = (at as f64 * width, (count as f64 * width).max(3.0));
        let _ = write!(
            picture,
            "<a href=\"#{id}-{}\"><title>{ops}: {class}{danger}</title><rect class=\"{class}\" x=\"{x:.2}\" y=\"0\" \
             width=\"{width:.2}\" height=\"{HEIGHT}\"/>",
            at.min(DRAWN - 1),
        );
        if hazard {
            let y = HEIGHT - 4.0;
            let _ = write!(
                picture,
                "<rect class=\"hazard\" x=\"{x:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"4\"/>"
            );
        }
        picture += "</a>";
    }
    picture + "</svg>"
}

/// Where each step stands: the layer below all that it reads, as far as there is room below what it reads first.
struct Laid {
    /// For each step, what it reads of the others.
    reads: Vec<Vec<usize>>,
    layers: Vec<usize>,
    x: Vec<f64>,
    width: f64,
    depth: usize,
}

impl Laid {
    fn of(steps: &[Step]) -> Self {
        let mut made: HashMap<usize, usize> = HashMap::new();
        let (mut reads, mut layers) = (Vec::new(), Vec::<usize>::new());
        let mut rows: Vec<Vec<usize>> = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            let mut from: Vec<usize> = Vec::new();
            step.reads(|v| from.extend(made.get(&v.index())));
            from.sort_unstable();
            from.dedup();
            let layer = from.iter().map(|&f| layers[f] + 1).max().unwrap_or(0);
            if rows.len() <= layer {
                rows.resize(layer + 1, Vec::new());
            }
            rows[layer].push(i);
            layers.push(layer);
            reads.push(from);
            made.extend(step.outputs.iter().map(|o| (o.index(), i)));
        }
        let mut x = vec![0.0; layers.len()];
        let mut width: f64 = 0.0;
        let widest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let centre = widest.saturating_sub(1) as f64 * (BOX.0 + GAP.0) / 2.0 + GAP.0 * 2.0;
        for row in &mut rows {
            let wish = |i: usize, x: &[f64]| {
                let from = &reads[i];
                from.iter().map(|&f| x[f]).sum::<f64>() / from.len().max(1) as f64
            };
            row.sort_by(|&a, &b| wish(a, &x).total_cmp(&wish(b, &x)));
            // Side by side around the middle of where they would like to stand, and drawn to the middle of all, so that a
            // long graph does not wander off.
            let room = BOX.0 + GAP.0;
            let middle = row.iter().map(|&i| wish(i, &x)).sum::<f64>() / row.len() as f64;
            let middle = middle * 0.75 + centre * 0.25;
            let mut next = (middle - (row.len() - 1) as f64 * room / 2.0).max(GAP.0 * 2.0);
            for &i in row.iter() {
                x[i] = next;
                next += room;
            }
            width = width.max(next);
        }
        Self { reads, layers, x, width: width + GAP.0, depth: rows.len() }
    }

    fn y(&self, i: usize) -> f64 {
        self.layers[i] as f64 * (BOX.1 + GAP.1) + 2.0
    }

    /// The line from one box to another.
    fn edge(&self, from: usize, to: usize) -> String {
        let ((fx, fy), (tx, ty)) = ((self.x[from], self.y(from)), (self.x[to], self.y(to)));
        if self.layers[from] + 1 == self.layers[to] {
            let (fx, fy, tx) = (fx + BOX.0 / 2.0, fy + BOX.1, tx + BOX.0 / 2.0);
            let middle = ty - GAP.1 / 2.0;
            return format!("M{fx:.1} {fy} C{fx:.1} {middle} {tx:.1} {middle} {tx:.1} {ty}");
        }
        // What goes past other boxes leaves and comes at the side, where nothing stands.
        let (fy, ty) = (fy + BOX.1 / 2.0, ty + BOX.1 / 2.0);
        let side = fx.min(tx) - GAP.0 * 1.6;
        format!("M{fx:.1} {fy} C{side:.1} {fy} {side:.1} {ty} {tx:.1} {ty}")
    }
}

/// The steps in layers: each below all that it reads.
pub(super) fn graph(function: &Function, placement: &Placement, id: &str) -> String {
    let steps = &function.body.steps;
    let shown = steps.len().min(DRAWN);
    let laid = Laid::of(&steps[..shown]);
    let mut edges = String::new();
    for (to, from) in laid.reads.iter().enumerate() {
        for &from in from {
            let _ = write!(edges, "<path class=\"read\" d=\"{}\"/>", laid.edge(from, to));
        }
    }
    let mut nodes = String::new();
    for (i, (_, op)) in placed(function, placement).take(shown).enumerate() {
        let mut label = format!("{} {}", op.op, op.name);
        if label.chars().count() > LETTERS {
            label = label.chars().take(LETTERS - 1).chain(['…']).collect();
        }
        let (x, y) = (laid.x[i], laid.y(i));
        let dangers: Vec<&str> = op.hazards.iter().map(|h| h.name).collect();
        let _ = write!(
            nodes,
            "<g class=\"node {}\" data-op=\"{}\" data-name=\"{}\" id=\"{id}-{i}\"><title>{} {}: {}{}{}</title><rect x=\"{x:.1}\" \
             y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"4\"/><text x=\"{:.1}\" y=\"{}\">{}</text>",
            class_of(op),
            text(op.op),
            text(&op.name),
            text(op.op),
            text(&op.name),
            text(&op.why),
            if dangers.is_empty() { "" } else { "; hazards: " },
            dangers.join(", "),
            BOX.0,
            BOX.1,
            x + 8.0,
            y + 17.0,
            text(&label),
        );
        if !dangers.is_empty() {
            let _ = write!(
                nodes,
                "<circle class=\"hazard\" cx=\"{:.1}\" cy=\"{}\" r=\"5\"/>",
                x + BOX.0 - 3.0,
                y + 3.0
            );
        }
        nodes += "</g>";
    }
    let height = laid.depth as f64 * (BOX.1 + GAP.1) + 4.0;
    let width = laid.width;
    let more = match steps.len() - shown {
        0 => String::new(),
        n => format!(" {n} more are not drawn."),
    };
    format!(
        "<figure><div class=\"scroll graph\"><svg width=\"{width:.0}\" height=\"{height}\" viewBox=\"0 0 {width:.0} {height}\" \
         role=\"img\" aria-label=\"The program as a graph\">{edges}{nodes}</svg></div><figcaption>Each box is an op, below \
         all that it reads; its colour is where it runs, and a dot is a hazard. The bar above has all ops in order: a click leads \
         to the box.{more}</figcaption></figure>"
    )
}

/// The box of the op at a place in the text, if it is drawn.
pub(super) fn anchor(
    function: &Function,
    placement: &Placement,
    id: &str,
    span: anemone::source::Span,
) -> Option<String> {
    let at = placed(function, placement).take(DRAWN).position(|(_, op)| op.span == span)?;
    Some(format!("{id}-{at}"))
}
