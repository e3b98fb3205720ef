//! The examples of `docs/cli.md` are true.

use std::process::Command;

use super::Folder;

/// A fenced block of a Markdown text: what stands behind the fence, and the lines.
fn blocks(text: &str) -> Vec<(String, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, Vec<&str>)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((info.to_string(), Vec::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    blocks
}

/// Whether a line is the expected one, in which `…` stands for anything.
fn fits(line: &str, expected: &str) -> bool {
    let mut parts = expected.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut open = false;
    for part in parts {
        open = true;
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || (open && expected.ends_with('…'))
}

#[test]
fn the_reference_of_the_commands_is_true() {
    let text = include_str!("../../../../docs/cli.md");
    let folder = Folder::new();
    folder.array("x.npy", &[1, 4], &[1.0, 2.0, 3.0, 4.0]);
    folder.array("y.npy", &[1, 2], &[0.5, 0.25]);
    let mut examples = 0;
    for (info, lines) in blocks(text) {
        if let Some(name) = info.strip_prefix("mil file=") {
            folder.file(name, lines.join("\n") + "\n");
        }
        if info != "console" {
            continue;
        }
        for example in lines.join("\n").split("$ anemone ").skip(1) {
            let (command, expected) = example.split_once('\n').unwrap_or((example, ""));
            let output = Command::new(env!("CARGO_BIN_EXE_anemone"))
                .args(command.split_whitespace())
                .current_dir(folder.root())
                .output()
                .unwrap();
            let found = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            let same = found.trim_end().lines().count() == expected.trim_end().lines().count()
                && found.lines().zip(expected.lines()).all(|(f, e)| fits(f, e));
            assert!(same, "`anemone {command}` prints\n{found}\nand not\n{expected}");
            examples += 1;
        }
    }
    assert!(examples > 8);
}
