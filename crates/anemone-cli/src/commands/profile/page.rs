//! A profile as a page.

use std::fmt::Write;

use super::{Report, StepReport, on_chip, totals};
use crate::page::{Page, WIDTH, text};
use crate::segments;
use crate::statistics::{bytes, count, duration, short};

/// How many of the slowest steps are listed.
const SLOWEST: usize = 25;

/// The colours of the ops that take the most time; all others are grey.
const COLOURS: [&str; 8] =
    ["#2f6fb2", "#d9822b", "#3d9970", "#b2456e", "#7a5bb5", "#8a6d3b", "#2a9fa3", "#c0504d"];
const OTHERS: &str = "#9aa3ad";

/// The page.
pub(super) fn of(report: &Report<'_>) -> String {
    let below = format!("{} on the software engine", report.function);
    let mut page = Page::new(&format!("{}: profile", report.path), report.path, &below);
    let threads = report.threads.to_string();
    let share = report.gflops / report.limit_gflops.max(1e-9) * 100.0;
    page.numbers(&[
        ("a run", duration(report.median_ms)),
        ("threads", threads),
        ("GFLOP/s", short((report.gflops * 10.0).round() / 10.0)),
        ("of the machine’s", format!("{share:.1} % of {:.0}", report.limit_gflops)),
        ("constants", bytes(report.constant_bytes)),
        ("arena", bytes(report.arena_bytes)),
    ]);
    if let Some(on) = &report.chip {
        page.html("<h2>Beside a chip</h2>");
        on.lines(report.median_ms)
            .iter()
            .for_each(|line| page.write(format_args!("<p>{}</p>", text(line.trim()))));
        segments::write(&on.segments, &mut page);
        page.html(&on_chip::roofline(report, on));
    }
    let totals = totals(report);
    let colour = |op: &str| {
        totals.iter().position(|t| t.op == op).and_then(|i| COLOURS.get(i)).copied().unwrap_or(OTHERS)
    };
    page.html("<h2>A run, step by step</h2>");
    page.html(&timeline(report, &colour));
    let chip = report.chip.as_ref().map_or(String::new(), |on| format!("<th>{}", on.chip));
    page.write(format_args!(
        "<h2>Ops</h2><div class=\"scroll\"><table><tr><th>op<th>steps<th>time<th>share<th>GFLOP/s<th>GB/s{chip}</tr>"
    ));
    let predicted =
        |us: f64| if chip.is_empty() { String::new() } else { format!("<td>{}", on_chip::time(us)) };
    let all: f64 = report.steps.iter().map(|s| s.us).sum::<f64>().max(1e-9);
    for t in &totals {
        page.write(format_args!(
            "<tr><td><i style=\"background:{}\"></i>{}<td>{}<td>{}<td>{:.1} %<td>{}<td>{}{}</tr>",
            colour(t.op),
            text(t.op),
            t.count,
            duration(t.us / 1e3),
            t.us / all * 100.0,
            rate(2.0 * t.multiply_adds as f64, t.us),
            rate(t.bytes as f64, t.us),
            predicted(t.chip_us),
        ));
    }
    page.write(format_args!(
        "</table></div><h2>The slowest steps</h2><div class=\"scroll\"><table>\
         <tr><th>result<th class=\"left\">op<th>time{chip}<th>multiply-adds<th>bytes<th>GFLOP/s<th>GB/s\
         <th class=\"left\">of the limit</tr>"
    ));
    let mut slowest: Vec<&StepReport<'_>> = report.steps.iter().collect();
    slowest.sort_by(|a, b| b.us.total_cmp(&a.us));
    for s in slowest.into_iter().take(SLOWEST) {
        let share = s.share_of_limit * 100.0;
        page.write(format_args!(
            "<tr><td>{}<td class=\"left\"><i style=\"background:{}\"></i>{}<td>{}{}<td>{}<td>{}<td>{}<td>{}\
                 <td class=\"left share\">{share:.0} %<b style=\"width:{:.1}%\"></b></tr>",
            text(s.name),
            colour(&s.op),
            if s.by_meaning { format!("{}, by its meaning", text(&s.op)) } else { text(&s.op) },
            duration(s.us / 1e3),
            predicted(s.chip.as_ref().map_or(0.0, |on| on.us)),
            if s.multiply_adds > 0 { count(s.multiply_adds) } else { String::new() },
            bytes(s.read_bytes + s.written_bytes),
            rate(2.0 * s.multiply_adds as f64, s.us),
            rate((s.read_bytes + s.written_bytes) as f64, s.us),
            share.min(100.0),
        ));
    }
    page.html("</table></div><h2>The arena</h2>");
    page.html(&arena(report));
    page.write(format_args!(
            "<p>The median of {} runs. The limit of a step is the longer of its multiply-adds at {:.0} GFLOP/s and its \
             bytes at {:.0} GB/s, both measured on this machine; what lies in a cache may pass it.</p>",
            report.iterations, report.limit_gflops, report.limit_read_gb_s
        ));
    page.end()
}

/// Something per second, in billions; nothing where there is nothing.
fn rate(amount: f64, us: f64) -> String {
    if amount > 0.0 { format!("{:.1}", amount / us.max(1e-3) / 1e3) } else { String::new() }
}

/// The steps as bars along time, as wide as they take; what is under the pointer is said.
fn timeline(report: &Report<'_>, colour: &dyn Fn(&str) -> &'static str) -> String {
    let all: f64 = report.steps.iter().map(|s| s.us).sum::<f64>().max(1e-9);
    let mut picture =
        format!("<figure><svg viewBox=\"0 0 {WIDTH} 96\" role=\"img\" aria-label=\"The time of each step\">");
    let mut at = 0.0;
    for s in &report.steps {
        let (x, width) = (at / all * WIDTH, s.us / all * WIDTH);
        let gap = if width > 2.0 { 0.5 } else { 0.0 };
        let _ = write!(
            picture,
            "<rect class=\"bar\" x=\"{x:.2}\" y=\"8\" width=\"{:.2}\" height=\"56\" fill=\"{}\"><title>{} of {}: {}, {:.0} % of \
             the limit</title></rect>",
            (width - gap).max(0.05),
            colour(&s.op),
            text(&s.op),
            text(s.name),
            duration(s.us / 1e3),
            s.share_of_limit * 100.0,
        );
        at += s.us;
    }
    for i in 0..=8 {
        let share = f64::from(i) / 8.0;
        let anchor = match i {
            0 => "start",
            8 => "end",
            _ => "middle",
        };
        let _ = write!(
            picture,
            "<text x=\"{:.1}\" y=\"84\" text-anchor=\"{anchor}\">{}</text>",
            share * WIDTH,
            if i == 0 { "0".to_string() } else { duration(share * all / 1e3) }
        );
    }
    picture
        + "</svg><figcaption>Each bar is a step; its colour is that of its op in the table below.</figcaption></figure>"
}

/// How many bytes of the arena hold a value, step by step.
fn arena(report: &Report<'_>) -> String {
    const HEIGHT: f64 = 120.0;
    let most = report.steps.iter().map(|s| s.arena_bytes).max().unwrap_or_default().max(1);
    let width = WIDTH / report.steps.len().max(1) as f64;
    let mut line = format!("M0 {HEIGHT}");
    for (i, s) in report.steps.iter().enumerate() {
        let y = HEIGHT - s.arena_bytes as f64 / most as f64 * (HEIGHT - 20.0);
        let _ = write!(line, " L{:.2} {y:.1} L{:.2} {y:.1}", i as f64 * width, (i + 1) as f64 * width);
    }
    format!(
        "<figure><svg class=\"arena\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"The bytes of the arena in use\">\
         <path d=\"{line} L{WIDTH} {HEIGHT} Z\" fill=\"#2f6fb2\" fill-opacity=\".35\" stroke=\"#2f6fb2\"/>\
         <text x=\"0\" y=\"12\">{} at most, in an arena of {}</text></svg>\
         <figcaption>The bytes that hold a value, from the first step to the last.</figcaption></figure>",
        bytes(most),
        bytes(report.arena_bytes)
    )
}
