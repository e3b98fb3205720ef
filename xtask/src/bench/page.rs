//! The tables of docs/performance.md, of what was measured.

use std::fmt;

use serde_json::Value;

use super::{OWN, WORKLOADS};

/// What stands before the part of the page that is written here.
const MARK: &str =
    "<!-- From here on the page is written by `cargo xtask bench HARNESS MODELS --record`. -->\n";

/// What a run of all engines gave: an object for each measurement.
pub(super) struct Measured(Vec<Value>);

impl Measured {
    /// Reads lines of JSON.
    pub(super) fn read(lines: &str) -> Result<Self, String> {
        let read = |(number, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|e| format!("line {number} of what was measured: {e}"))
        };
        (1..).zip(lines.lines()).map(read).collect::<Result<_, _>>().map(Measured)
    }

    /// The page with the tables in place of those that it has.
    pub(super) fn in_page(&self, page: &str) -> Result<String, String> {
        let head =
            page.split_once(MARK).ok_or_else(|| format!("the page has no line `{}`", MARK.trim_end()))?.0;
        Ok(format!("{head}{MARK}\n{self}"))
    }

    /// What was measured of a workload on so many threads, each engine once.
    fn of(&self, workload: &str, threads: u64) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |m| m["workload"] == workload && m["threads"] == threads)
    }

    /// The operations a second that so many threads can do at most, as the harness measured them, in GFLOP/s.
    fn limit(&self, threads: u64) -> Option<f64> {
        // Where the limit is that of arithmetic, each engine's share of it says what it is.
        let of = |m: &Value| Some(m["gflops"].as_f64()? * 100.0 / m["pct_of_limit"].as_f64()?);
        let mut all: Vec<f64> = self.of("W1", threads).filter_map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "| workload | what it is |\n|---|---|")?;
        for workload in WORKLOADS.iter().filter(|w| self.0.iter().any(|m| m["workload"] == w.name)) {
            writeln!(out, "| {} | {} |", workload.name, workload.what)?;
        }
        writeln!(out)?;
        if let Some(run) = self.0.iter().find(|m| m["machine"].is_string()) {
            write!(out, "A virtual {}", run["machine"].as_str().unwrap_or_default())?;
            let limits = [(1, " GFLOP/s on one thread"), (2, " on two")];
            let limit = |(threads, after)| Some(format!("{}{after}", significant(self.limit(threads)?, 3)));
            let limits: Vec<String> = limits.into_iter().filter_map(limit).collect();
            if !limits.is_empty() {
                write!(out, ", {} at most", limits.join(" and "))?;
            }
            writeln!(out, "; medians of {} rounds.\n", run["rounds"])?;
        }
        writeln!(
            out,
            "| workload | engine | ms, 1 thread | of the limit | anemone is | ms, 2 threads | of the limit | anemone is | load, ms | first run, ms | peak memory, MB | error |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|"
        )?;
        for workload in &WORKLOADS {
            let mut engines: Vec<&Value> = self.of(workload.name, 1).collect();
            engines.sort_by(|a, b| time(a).total_cmp(&time(b)));
            for (i, one) in engines.into_iter().enumerate() {
                let name = one["engine"].as_str().unwrap_or_default();
                let two =
                    self.of(workload.name, 2).find(|m| m["engine"] == one["engine"]).unwrap_or(&Value::Null);
                write!(out, "| {} | {} |", if i == 0 { workload.name } else { "" }, engine(name))?;
                for times in [one, two] {
                    let against = if name == OWN { String::new() } else { times_as_fast(times) };
                    let share = number(&times["pct_of_limit"], 2, " %");
                    write!(out, " {} | {share} | {against} |", number(&times["ms"], 3, ""))?;
                }
                for (key, digits) in [("load_ms", 3), ("first_ms", 3), ("peak_rss_mb", 3)] {
                    write!(out, " {} |", number(&one[key], digits, ""))?;
                }
                let error = one["err"]["rel"].as_f64().map_or(String::new(), |e| format!("{e:.0e}"));
                writeln!(out, " {error} |")?;
            }
        }
        self.casts(out)
    }
}

impl Measured {
    /// Casts beside copies of as many bytes.
    fn casts(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "\n| cast, bytes read and written | GB/s | of memcpy, GB/s | of the crate `half`, GB/s | against memcpy |\n|---|---|---|---|---|"
        )?;
        for own in self.of("casts", 1).filter(|m| m["engine"] == "anemone") {
            let other = |name| {
                let mut all = self.of("casts", 1);
                all.find(|m| m["case"] == own["case"] && m["engine"] == name).unwrap_or(&Value::Null)
            };
            write!(out, "| {} |", own["case"].as_str().unwrap_or_default())?;
            for way in [own, other("memcpy"), other("half")] {
                write!(out, " {} |", number(&way["gb_s"], 3, ""))?;
            }
            writeln!(out, " {} |", times_as_fast(other("memcpy")))?;
        }
        Ok(())
    }
}

/// How an engine is called outside of the harness.
fn engine(name: &str) -> String {
    let (base, precision) = name.split_once(':').unwrap_or((name, ""));
    let base = match base {
        "ort" => "onnxruntime",
        "llama" => "llama.cpp",
        other => other,
    };
    if name == OWN { format!("**{base}**") } else { format!("{base} {precision}") }
}

/// How fast anemone is against an engine, of the ratios of times in the same round.
fn times_as_fast(times: &Value) -> String {
    times["ratio_to_ref"].as_f64().map_or(String::new(), |ratio| format!("{ratio:.2}x as fast"))
}

fn time(measured: &Value) -> f64 {
    measured["ms"].as_f64().unwrap_or(f64::INFINITY)
}

/// A number with so many digits, or what stands for one that was not measured.
fn number(value: &Value, digits: i32, unit: &str) -> String {
    value.as_f64().map_or("–".to_owned(), |x| format!("{}{unit}", significant(x, digits)))
}

/// A number in plain decimals with so many digits that count.
fn significant(x: f64, digits: i32) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    let places = digits - 1 - x.abs().log10().floor() as i32;
    let unit = 10f64.powi(places);
    format!("{:.*}", places.max(0) as usize, (x * unit).round() / unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools;

    /// The tables are those of the record.
    #[test]
    fn the_page_shows_what_was_measured() {
        let docs = tools::root().join("docs");
        let read = |name: &str| std::fs::read_to_string(docs.join(name)).unwrap();
        let measured = Measured::read(&read("performance.jsonl")).unwrap();
        let page = read("performance.md");
        assert_eq!(measured.in_page(&page).unwrap(), page, "`cargo xtask bench … --record` writes the page");
        for workload in &WORKLOADS {
            for threads in [1, 2] {
                let engines: Vec<&Value> =
                    measured.of(workload.name, threads).map(|m| &m["engine"]).collect();
                assert!(engines.contains(&&Value::from(OWN)), "{} on {threads}: {engines:?}", workload.name);
            }
        }
    }

    #[test]
    fn an_engine_that_failed_has_a_row_without_numbers() {
        let lines = format!(
            "{}\n{}\n{}\n",
            r#"{"workload": "W4", "threads": 1, "engine": "ort:f32", "error": "it ended"}"#,
            r#"{"workload": "W4", "threads": 1, "engine": "anemone:f16", "ms": 0.0006142, "pct_of_limit": 11.6, "load_ms": 1.149}"#,
            r#"{"workload": "W4", "threads": 2, "engine": "litert:f32", "ms": 1.0}"#,
        );
        let table = Measured::read(&lines).unwrap().to_string();
        let rows: Vec<&str> =
            table.lines().skip_while(|l| !l.contains("of the limit")).skip(2).take(2).collect();
        let own = "| W4 | **anemone** | 0.000614 | 12 % |  | – | – |  | 1.15 | – | – |  |";
        assert_eq!(rows, [own, "|  | onnxruntime f32 | – | – |  | – | – |  | – | – | – |  |"]);
    }

    #[test]
    fn a_line_that_is_no_json_is_named() {
        let error = Measured::read("{}\nnothing").err().unwrap();
        assert!(error.starts_with("line 2 of what was measured: "), "{error}");
    }

    #[test]
    fn numbers_have_the_digits_that_count() {
        for (x, digits, text) in [
            (311.7, 3, "312"),
            (13.32, 3, "13.3"),
            (0.00064127, 3, "0.000641"),
            (1310.4, 3, "1310"),
            (0.0, 3, "0"),
            (99.96, 3, "100.0"),
        ] {
            assert_eq!(significant(x, digits), text);
        }
    }
}
