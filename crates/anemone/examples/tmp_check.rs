use anemone::{bundle::Weights, source::*, text, verify};
fn main() {
    for path in std::env::args().skip(1) {
        let t = std::fs::read_to_string(&path).unwrap();
        let mut d = Diagnostics::default();
        let Some(p) = text::parse_with(&t, &mut d) else {
            println!("PARSE {path}: {}", d.iter().next().unwrap());
            continue;
        };
        let r = verify::verify(&p, &Weights::none());
        let src = Source::new(path.clone(), t);
        let mut seen = std::collections::HashSet::new();
        for x in r.diagnostics.iter().chain(d.iter()) {
            if x.code.name == "blob-missing" || x.code.name == "unknown-op" {
                continue;
            }
            if seen.insert((
                x.code.name,
                x.message.chars().filter(|c| !c.is_ascii_digit()).take(40).collect::<String>(),
            )) {
                println!("{}", render(x, Some(&src), false));
            }
        }
    }
}
