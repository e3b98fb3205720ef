//! `print` and `fmt`.

use super::{Folder, SMALL, anemone, anemone_fed};

#[test]
fn printing_is_a_fixed_point() {
    let once = anemone_fed(&["print", "-"], SMALL.as_bytes()).exits(0).out;
    let twice = anemone_fed(&["print", "-"], once.as_bytes()).exits(0).out;
    assert_eq!(once, twice);
    let folder = Folder::new();
    let (path, out) = (folder.file("small.mil", SMALL), folder.path("printed.mil"));
    assert_eq!(anemone(&["print", &path, "-o", &out]).exits(0).out, "");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), once);
}

#[test]
fn dialects_are_converted_both_ways() {
    let old = anemone_fed(&["print", "-", "--dialect", "1.0"], SMALL.as_bytes()).exits(0).out;
    assert!(old.starts_with("program(1.0)") && old.contains("tensor<bool, []>(false)"), "{old}");
    let new = anemone_fed(&["print", "-", "--dialect", "1.3"], old.as_bytes()).exits(0).out;
    assert_eq!(new, anemone_fed(&["print", "-"], SMALL.as_bytes()).exits(0).out);
    anemone(&["print", "-", "--dialect", "2.0"]).exits(2);
}

#[test]
fn a_broken_program_is_not_printed() {
    let ran = anemone_fed(&["print", "-"], b"program(1.3) { func }").exits(1);
    assert_eq!(ran.out, "");
    ran.complains("error[");
}

#[test]
fn a_file_is_laid_out() {
    let ugly = "program( 1.3 ) { // why\n func main<ios18>(tensor<fp16,[4]> x){tensor<fp16,[4]> y=relu(x=x);}->(y);}";
    let pretty = anemone_fed(&["fmt"], ugly.as_bytes()).exits(0).out;
    assert!(pretty.contains("// why") && pretty != ugly, "{pretty}");
    assert_eq!(anemone_fed(&["fmt", "-"], pretty.as_bytes()).exits(0).out, pretty);

    let folder = Folder::new();
    let path = folder.file("ugly.mil", ugly);
    anemone(&["fmt", "--check", &path]).exits(1).complains("is not laid out from line 1 on");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), ugly);
    assert_eq!(anemone(&["fmt", "-w", &path]).exits(0).out, "");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), pretty);
    anemone(&["fmt", "--check", &path]).exits(0);
    // Nothing else is left in the folder.
    assert_eq!(std::fs::read_dir(folder.root()).unwrap().count(), 1);
    anemone(&["fmt", "-w", "-"]).exits(2).complains("leave out `-w`");
    anemone(&["fmt", "-w", "--check", &path]).exits(2);
}

#[test]
fn broken_text_is_not_laid_out() {
    let folder = Folder::new();
    let path = folder.file("broken.mil", "program(1.3) { func");
    anemone(&["fmt", "-w", &path]).exits(1).complains("broken.mil:1:");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "program(1.3) { func");
}
