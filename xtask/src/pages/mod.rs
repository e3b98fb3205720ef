//! `cargo xtask pages`: the pages that `check` and `profile` write, as a browser draws them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Stop, tools};

/// How long a browser may take for a page.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the browser is asked to say of a page.
const ASKED: &[&str] = &[
    "body",
    "h2",
    ".node",
    ".node rect",
    ".said li",
    ".said a",
    ".strip a",
    "table",
    ".why tr",
    ".roof",
    ".step",
    ".call",
    ".bar",
    ".arena path",
    "i.ane",
    "i.refused",
    "i.cpu",
    "i.folded",
];

/// The colours that a browser is asked for.
const SCHEMES: [(&str, &str); 2] = [
    ("light", "--blink-settings=preferredColorScheme=1"),
    ("dark", "--blink-settings=preferredColorScheme=0"),
];

/// What is wrong with a page of a kind.
type Holds = fn(&Drawn) -> Vec<String>;

/// Writes the pages and has them drawn; false when one is not as it should be.
pub(crate) fn run(keep: Option<&Path>) -> Result<bool, Stop> {
    let browser = browser()?;
    let failed = |what: &str, e: std::io::Error| Stop::Failed(format!("{what}: {e}"));
    let folder = tempfile::tempdir().map_err(|e| failed("a folder", e))?;
    let small = folder.path().join("small.mil");
    let large = folder.path().join("large.mil");
    let wrong = folder.path().join("wrong.mil");
    for (path, text) in [(&small, small_program()), (&large, large_program()), (&wrong, wrong_program())] {
        std::fs::write(path, text).map_err(|e| failed("a program", e))?;
    }
    let digits = tools::root().join("examples/models/digits.mlpackage");
    let direct: &[&str] = &["check", "--chip", "m4,m1", "--route", "direct", "-q"];
    let core_ml: &[&str] = &["check", "--chip", "m4", "-q"];
    let profile: &[&str] = &["profile", "--iters", "3", "-q"];
    let pages: [(&str, &[&str], &Path, Holds); 6] = [
        ("small", direct, &small, of_small),
        ("large", direct, &large, of_large),
        ("wrong", &["check", "-q"], &wrong, of_wrong),
        ("digits", core_ml, &digits, of_digits),
        ("profile", profile, &digits, of_profile),
        ("profile-large", profile, &large, of_profile),
    ];
    let mut good = true;
    for (name, command, program, holds) in pages {
        let page = folder.path().join(format!("{name}.html"));
        anemone(command, program, &page)?;
        for (scheme, setting) in SCHEMES {
            let drawn = Drawn::of(browser, &page, setting, folder.path())?;
            let mut faults = holds(&drawn);
            faults.extend(of_every_page(&drawn, scheme == "dark"));
            for fault in &faults {
                println!("{name}, {scheme}: {fault}");
            }
            good &= faults.is_empty();
            if let Some(keep) = keep {
                picture(browser, &page, setting, folder.path(), &keep.join(format!("{name}-{scheme}.png")))?;
            }
        }
        println!("{name}: drawn");
    }
    Ok(good)
}

/// A browser that draws without a screen.
fn browser() -> Result<&'static str, Stop> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &&str| std::env::split_paths(&paths).any(|p| p.join(name).is_file());
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(is_there);
    found.ok_or_else(|| Stop::Lacking("there is no browser: install chromium".into()))
}

/// Writes a page.
fn anemone(command: &[&str], program: &Path, page: &Path) -> Result<(), Stop> {
    let status = Command::new("cargo")
        .args(["run", "--quiet", "--locked", "--package", "anemone-cli", "--"])
        .args(command)
        .arg(program)
        .arg("--html")
        .arg(page)
        .current_dir(tools::root())
        // What is wrong with the programs is what the pages are about.
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|e| format!("cargo does not start: {e}"))?;
    match status.code() {
        Some(0 | 1) if page.is_file() => Ok(()),
        _ => Err(Stop::Failed(format!("`anemone {}` wrote no page: {status}", command.join(" ")))),
    }
}

/// What a browser made of a page.
struct Drawn {
    page: Value,
    /// What it said on its console.
    console: Vec<String>,
}

impl Drawn {
    fn of(browser: &str, page: &Path, setting: &str, folder: &Path) -> Result<Self, Stop> {
        let text = std::fs::read_to_string(page).map_err(|e| format!("{}: {e}", page.display()))?;
        let asked = serde_json::to_string(ASKED).expect("they are strings");
        let watch =
            "<script>const FAULTS = []; addEventListener(\"error\", (e) => FAULTS.push(e.message));</script>";
        let probe = format!("<script>const ASKED = {asked};\n{}</script></body>", include_str!("probe.js"));
        let probed = text.replacen("<head>", &format!("<head>{watch}"), 1).replacen("</body>", &probe, 1);
        let copy = page.with_extension("probed.html");
        std::fs::write(&copy, probed).map_err(|e| format!("{}: {e}", copy.display()))?;
        let (out, said) = draw(browser, folder, &[setting, "--dump-dom"], &copy)?;
        let json = out.split_once("<pre id=\"probe\">").and_then(|(_, rest)| rest.split_once("</pre>"));
        let (json, _) = json.ok_or_else(|| format!("{browser} gave no page:\n{said}"))?;
        let json = json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        let page =
            serde_json::from_str(&json).map_err(|e| format!("what the browser says is no JSON: {e}"))?;
        let console = said.lines().filter(|l| l.contains("CONSOLE")).map(str::to_string).collect();
        Ok(Self { page, console })
    }

    fn all(&self, selector: &str) -> &[Value] {
        self.page[selector].as_array().map_or(&[], |a| a)
    }
}

/// Has a page drawn, and gives what the browser printed: the page, and what it said.
fn draw(browser: &str, folder: &Path, how: &[&str], page: &Path) -> Result<(String, String), Stop> {
    let profile = tempfile::tempdir_in(folder).map_err(|e| format!("a folder: {e}"))?;
    let (out, said) = (profile.path().join("out"), profile.path().join("said"));
    let file = |path: &PathBuf| std::fs::File::create(path).map_err(|e| format!("{}: {e}", path.display()));
    let mut child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--hide-scrollbars", "--window-size=1240,2400"])
        .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
        .args(how)
        .arg(format!("file://{}", page.display()))
        .stdout(file(&out)?)
        .stderr(file(&said)?)
        .spawn()
        .map_err(|e| format!("{browser} does not start: {e}"))?;
    let start = Instant::now();
    while child.try_wait().map_err(|e| e.to_string())?.is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Stop::Failed(format!("{browser} took more than {} s", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let read = |path: &PathBuf| std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned());
    let both = read(&out).and_then(|out| Ok((out, read(&said)?)));
    both.map_err(|e| Stop::Failed(format!("what {browser} printed: {e}")))
}

fn picture(browser: &str, page: &Path, setting: &str, folder: &Path, to: &Path) -> Result<(), Stop> {
    let to = std::path::absolute(to).map_err(|e| format!("{}: {e}", to.display()))?;
    draw(browser, folder, &[setting, &format!("--screenshot={}", to.display())], page).map(|_| ())
}

/// A program with an op that is refused, hazards, and a branch that goes past others.
fn small_program() -> String {
    r#"program(1.3)
{
    func main<ios18>(tensor<fp16, [1, 64, 32, 32]> x) {
            tensor<fp16, [64, 64, 3, 3]> w = const()[val = fp16(0.01)];
            tensor<fp16, [1, 64, 32, 32]> c = conv(x = x, weight = w, pad_type = string("same"), strides = tensor<int32, [2]>([1, 1]), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));
            tensor<fp16, [1, 64, 32, 32]> t = tan(x = c);
            tensor<fp16, [1, 64, 32, 32]> s = sigmoid(x = t);
            tensor<fp16, [1, 64, 32, 32]> m = mul(x = c, y = s);
            tensor<fp16, [1, 128, 32, 32]> r = tile(x = m, reps = tensor<int32, [4]>([1, 2, 1, 1]));
            tensor<fp16, [1, 64, 32, 32]> a, tensor<fp16, [1, 64, 32, 32]> b = split(x = r, num_splits = int32(2), axis = int32(1));
            tensor<fp16, [1, 64, 32, 32]> y = add(x = a, y = x);
        } -> (y);
}
"#
    .to_string()
}

/// How many ops the large program has.
const MANY: usize = 1500;

/// Blocks of three branches that come together again.
fn large_program() -> String {
    const TYPE: &str = "tensor<fp16, [1, 8, 16, 32]>";
    let mut text = format!("program(1.3)\n{{\n    func main<ios18>({TYPE} v0) {{\n");
    let mut last = "v0".to_string();
    for block in 0..MANY / 5 {
        let ops = ["relu", if block % 40 == 7 { "tan" } else { "sigmoid" }, "tanh"];
        let name = |i: usize| format!("layer_{block}_branch_{i}");
        for (i, op) in ops.iter().enumerate() {
            let _ = writeln!(text, "            {TYPE} {} = {op}(x = {last});", name(i));
        }
        let _ = writeln!(text, "            {TYPE} {} = mul(x = {}, y = {});", name(3), name(0), name(1));
        let _ = writeln!(text, "            {TYPE} {} = add(x = {}, y = {});", name(4), name(3), name(2));
        last = name(4);
    }
    let _ = writeln!(text, "        }} -> ({last});\n}}");
    text
}

/// A program that the gate refuses.
fn wrong_program() -> String {
    small_program().replace("tan(x = c)", "tann(x = c)")
}

/// What a browser says of an element.
fn number(element: &Value, what: &str) -> f64 {
    element[what].as_f64().unwrap_or(f64::NAN)
}

fn word<'a>(element: &'a Value, what: &str) -> &'a str {
    element[what].as_str().unwrap_or_default()
}

/// How bright a colour is, between 0 and 1, as contrasts are counted.
fn brightness(colour: &str) -> f64 {
    let numbers = colour.trim_start_matches(|c: char| !c.is_ascii_digit());
    let numbers =
        numbers.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(|n| n.parse::<f64>().ok());
    let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
    numbers.take(3).zip([0.2126, 0.7152, 0.0722]).map(|(c, weight)| weight * linear(c / 255.0)).sum()
}

fn contrast(a: &str, b: &str) -> f64 {
    let (a, b) = (brightness(a), brightness(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// What holds of every page: nothing was said on the console, nothing is wider than the window, words can be read.
fn of_every_page(drawn: &Drawn, is_dark: bool) -> Vec<String> {
    let mut faults = drawn.console.clone();
    let errors = drawn.page["errors"].as_array().into_iter().flatten();
    faults.extend(errors.map(|e| format!("an error: {e}")));
    let page = &drawn.page["page"];
    if number(page, "content") > number(page, "width") {
        faults.push(format!("{} wide in a window of {}", page["content"], page["width"]));
    }
    let Some(body) = drawn.all("body").first() else { return vec!["there is no page".into()] };
    let (ink, paper) = (word(body, "color"), word(body, "background"));
    if contrast(ink, paper) < 7.0 || (brightness(paper) < 0.5) != is_dark {
        faults.push(format!("words in {ink} on {paper}"));
    }
    faults
}

/// What holds of the graphs of a page that has them.
fn of_graphs(drawn: &Drawn, ops: usize) -> Vec<String> {
    let mut faults = Vec::new();
    let (nodes, boxes) = (drawn.all(".node"), drawn.all(".node rect"));
    if nodes.len() != ops || boxes.len() != ops {
        faults.push(format!("{} boxes for {ops} ops", boxes.len()));
    }
    let mut colours: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (node, rect) in nodes.iter().zip(boxes) {
        let fill = word(rect, "fill");
        colours.entry(word(node, "class")).or_default().insert(fill);
        if number(node, "label") > number(rect, "width") - 8.0 {
            faults.push(format!("the label of `{}` is wider than its box", word(node, "name")));
        }
        if contrast("rgb(255, 255, 255)", fill) < 3.0 {
            faults.push(format!("the label of `{}` cannot be read on {fill}", word(node, "name")));
        }
    }
    let different: BTreeSet<_> = colours.values().flatten().collect();
    if colours.values().any(|c| c.len() != 1) || different.len() != colours.len() {
        faults.push(format!("a place has not one colour: {colours:?}"));
    }
    let mut places: Vec<_> =
        boxes.iter().map(|b| ["y", "x", "width", "height"].map(|n| number(b, n))).collect();
    places.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let over = places.windows(2).filter(|w| w[0][0] == w[1][0] && w[0][1] + w[0][2] > w[1][1]).count();
    if over > 0 || places.iter().any(|p| !(p[2] > 20.0 && p[3] > 10.0)) {
        faults.push(format!("{over} boxes lie over others, or one is too small"));
    }
    let links = drawn.all(".strip a").iter().chain(drawn.all(".said a"));
    let dead = links.filter(|a| a["target"] != true).count();
    if dead > 0 {
        faults.push(format!("{dead} links lead nowhere"));
    }
    faults
}

/// Compares how many of something there are.
fn count(drawn: &Drawn, selector: &str, wanted: usize) -> Option<String> {
    let found = drawn.all(selector).len();
    (found != wanted).then(|| format!("{found} times `{selector}`, and {wanted} were wanted"))
}

fn of_small(drawn: &Drawn) -> Vec<String> {
    let mut faults = of_graphs(drawn, 2 * 7);
    let codes: BTreeSet<&str> = drawn.all(".said li").iter().map(|li| word(li, "code")).collect();
    for code in ["chip-op", "tile-poisons", "dead-output"] {
        if !codes.contains(code) {
            faults.push(format!("nothing is said of `{code}`"));
        }
    }
    let refused = |n: &&Value| word(n, "class") == "node refused";
    let names: Vec<&str> = drawn.all(".node").iter().filter(refused).map(|n| word(n, "name")).collect();
    if names != ["t", "t"] {
        faults.push(format!("refused is {names:?}"));
    }
    let whys =
        drawn.all(".why tr").iter().filter(|r| word(r, "text").contains("write it as `sin` through `cos`"));
    if whys.count() != 2 {
        faults.push("the reasons do not say what to write for `tan`".into());
    }
    // A roof, a convolution and the whole call for each chip.
    faults.extend(
        [(".roof", 2), (".step", 2), (".call", 2)].into_iter().filter_map(|(s, n)| count(drawn, s, n)),
    );
    faults
}

fn of_large(drawn: &Drawn) -> Vec<String> {
    let mut faults = of_graphs(drawn, 2 * MANY);
    // It is found in a strip, and not by going through it.
    let (strip, page) = (drawn.all(".strip a").len(), number(&drawn.page["page"], "height"));
    if strip == 0 || page > 12_000.0 {
        faults.push(format!("{strip} places in the strips, and a page of {page}"));
    }
    faults
}

fn of_wrong(drawn: &Drawn) -> Vec<String> {
    let codes: Vec<&str> = drawn.all(".said li").iter().map(|li| word(li, "code")).collect();
    let unknown = codes.first() == Some(&"unknown-op");
    let no_graph = count(drawn, ".node", 0);
    no_graph.into_iter().chain((!unknown).then(|| format!("it says {codes:?}"))).collect()
}

fn of_digits(drawn: &Drawn) -> Vec<String> {
    let ops = drawn.all(".node").len();
    let mut faults = of_graphs(drawn, ops.max(3));
    faults.extend([(".roof", 1), (".call", 1)].into_iter().filter_map(|(s, n)| count(drawn, s, n)));
    faults
}

fn of_profile(drawn: &Drawn) -> Vec<String> {
    let mut faults = Vec::new();
    let bars = drawn.all(".bar");
    let ends: Vec<f64> = bars.iter().map(|b| number(b, "x") + number(b, "width")).collect();
    let (Some(first), Some(last)) = (bars.first(), ends.last()) else { return vec!["no bars".into()] };
    // Time goes from the left edge of the page to the right one, and bars do not lie over each other.
    let width = last - number(first, "x");
    if width < 1000.0 || ends.windows(2).any(|w| w[0] > w[1] + 0.5) {
        faults.push(format!("the timeline is {width} wide, or out of order"));
    }
    if drawn
        .all(".arena path")
        .first()
        .is_none_or(|p| number(p, "height").is_nan() || number(p, "height") < 50.0)
    {
        faults.push("the arena is not drawn".into());
    }
    if drawn.all("table").len() != 2 || drawn.all("h2").len() != 4 {
        faults.push("a table is missing".into());
    }
    faults
}
