//! A program of C that is compiled against the header, linked with the library, and run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The libraries that the static one needs: what `rustc --print native-static-libs` says.
const NEEDED: &[&str] =
    if cfg!(target_os = "linux") { &["-lpthread", "-ldl", "-lm"] } else { &["-lpthread", "-lm"] };

/// The folder in which cargo puts the library for this test, which lies there too.
fn folder() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_path_buf()
}

/// Runs a compiler or a program. A machine without `cc` cannot run this test, and that is a failure of the test.
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?} cannot be run: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn compile(how: &[&str], out: &Path) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    run(Command::new("cc")
        .args(["-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .arg("-I")
        .arg(here.join("include"))
        .arg(here.join("tests/use.c"))
        .arg("-o")
        .arg(out)
        .args(how));
}

/// Rows H26, H12: the four verbs, from C: right and wrong arguments, several threads, the static library and the shared one.
#[test]
fn a_program_of_c_uses_every_function() {
    let folder = folder();
    let shared = folder.join(format!("libanemone_c{}", std::env::consts::DLL_SUFFIX));
    let at = folder.display().to_string();
    let (linked, path) = (format!("-L{at}"), format!("-Wl,-rpath,{at}"));
    let archive = folder.join("libanemone_c.a").display().to_string();
    let mut of_archive = vec![archive.as_str()];
    of_archive.extend(NEEDED);
    let of_shared = [&*linked, "-lanemone_c", &path, "-lpthread"];
    for (name, how) in [("static", &of_archive[..]), ("shared", &of_shared)] {
        assert!(shared.exists() && Path::new(&archive).exists(), "{archive} is not there");
        let program = folder.join(format!("use-{name}"));
        compile(how, &program);
        let output = run(&mut Command::new(&program));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "all is as the header says\n");
    }
}

/// Row H26: the header names every function of the library, and no other.
#[test]
fn the_header_names_what_the_library_has() {
    let library = include_str!("../src/lib.rs");
    let header = include_str!("../include/anemone.h");
    let functions = |text: &str, before: &str| {
        let mut names: Vec<String> = text
            .lines()
            .filter(|l| l.starts_with(before))
            .filter_map(|l| l.split('(').next()?.rsplit([' ', '*']).next().map(str::to_string))
            .filter(|n| n.starts_with("ane_"))
            .collect();
        names.sort();
        names
    };
    let has = [functions(library, "pub extern \"C\" fn"), functions(library, "pub unsafe extern \"C\" fn")]
        .concat();
    let names = [functions(header, "int "), functions(header, "const char *")].concat();
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let has = sorted(has);
    assert!(has.len() == 13, "{has:?}");
    assert_eq!(has, sorted(names));
}
