//! What the pages that anemone writes have in common: they need nothing but a browser, and have no scripts.

use std::fmt::{Arguments, Write};

/// The width of pictures, in units of their own.
pub(crate) const WIDTH: f64 = 1160.0;

const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1c2530; --quiet: #5c6873; --line: #d9dee3; --paper: #fff; --bar: #2f6fb2; \
--ane: #2e8560; --gpu: #2f6fb2; --cpu: #b96a14; --refused: #c0504d; --folded: #7d8894; --hazard: #f2c037; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --quiet: #9aa6b1; --line: #34404b; --paper: #141a20; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto; \
max-width: 1160px; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: .95rem; margin: 1.6rem 0 .4rem; }
p, figcaption { color: var(--quiet); margin: .3rem 0; overflow-wrap: anywhere; } figure { margin: 0; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 1rem; margin: 1.4rem 0 0; }
dt { color: var(--quiet); font-size: .85rem; } dd { margin: 0; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--quiet); font-size: 12px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--quiet); } td:first-child, th:first-child, .left { text-align: left; }
td:first-child, .prose { overflow-wrap: anywhere; white-space: normal; } td:first-child { min-width: 6rem; }
i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .45em; vertical-align: -.05em; }
.share { min-width: 160px; } .share b { display: block; height: .55rem; border-radius: 2px; background: var(--bar); }
.scroll { overflow: auto; max-height: 40rem; } .graph svg { width: auto; max-width: none; }
.ane { --at: var(--ane); } .gpu { --at: var(--gpu); } .cpu { --at: var(--cpu); } .refused { --at: var(--refused); } \
.folded { --at: var(--folded); } i.ane, i.gpu, i.cpu, i.refused, i.folded { background: var(--at); }
.node rect, .strip rect { fill: var(--at); } .node text { fill: #fff; } .node:target rect { stroke: var(--ink); stroke-width: 3; } \
.strip { margin: .5rem 0; border-radius: 3px; } .strip a:hover rect { opacity: .7; } svg .hazard { fill: var(--hazard); } \
a { color: inherit; } .edge { fill: none; stroke: var(--line); } \
.read { fill: none; stroke: var(--quiet); stroke-opacity: .6; }
ol.said { list-style: none; padding: 0; margin: 0; } ol.said li { border-left: 4px solid var(--at); padding: .3rem .8rem; \
margin: .5rem 0; overflow-wrap: anywhere; } .error { --at: var(--refused); } .warning { --at: var(--cpu); } \
.note { --at: var(--folded); } code { font-size: .92em; }";

/// A page that is being written.
pub(crate) struct Page(String);

impl Page {
    /// A page with this title; `heading` stands on it, and `below` in small letters under that.
    pub(crate) fn new(title: &str, heading: &str, below: &str) -> Self {
        Self(format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{}</title><style>{STYLE}</style></head><body><h1>{}</h1><p>{}</p>",
            text(title),
            text(heading),
            text(below)
        ))
    }

    /// Adds what is HTML already.
    pub(crate) fn html(&mut self, html: &str) {
        self.0.push_str(html);
    }

    /// Adds what is formatted as HTML.
    pub(crate) fn write(&mut self, part: Arguments<'_>) {
        // Writing into a string does not fail.
        let _ = self.0.write_fmt(part);
    }

    /// Adds numbers with what they are, side by side.
    pub(crate) fn numbers(&mut self, numbers: &[(&str, String)]) {
        self.html("<dl>");
        for (what, value) in numbers {
            self.write(format_args!("<div><dt>{what}</dt><dd>{value}</dd></div>"));
        }
        self.html("</dl>");
    }

    /// The page.
    pub(crate) fn end(mut self) -> String {
        self.0.push_str("</body></html>\n");
        self.0
    }
}

/// Text as it stands in a page.
pub(crate) fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}
