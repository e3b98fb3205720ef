//! The programs in the description of the language are what it says they are.

use std::path::Path;

use anemone::text;

#[test]
fn programs_in_the_description_of_the_language() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/language.md");
    let page = std::fs::read_to_string(path).unwrap();
    let blocks: Vec<(&str, &str)> =
        page.split("\n```mil").skip(1).map(|b| b.split_once('\n').unwrap()).collect();
    assert!(blocks.len() > 5);
    for (kind, block) in blocks {
        let program = block.split("\n```").next().unwrap();
        match kind.trim() {
            "refused" => assert_eq!(text::parse(program).unwrap_err().errors(), 2),
            _ => {
                let read = text::parse(program).unwrap_or_else(|e| panic!("{e}\n{program}"));
                assert_eq!(text::print(&read), program);
                assert_eq!(text::format(program).unwrap(), program);
            }
        }
    }
}
