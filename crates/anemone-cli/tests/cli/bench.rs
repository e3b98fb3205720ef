//! `bench`.

use super::{Folder, SMALL, anemone};

/// Row N18: the speed, and its share of what this machine reaches; of the hardware no such number is known.
#[test]
fn a_program_is_checked_and_timed() {
    let folder = Folder::new();
    let path = folder.file("small.mil", SMALL);
    let report = anemone(&["bench", &path, "--iters", "7", "--threads", "1", "--json"]).exits(0).json();
    assert_eq!((&report["iterations"], &report["checked"]), (&7.into(), &true.into()));
    let ms = |name: &str| report[name].as_f64().unwrap();
    assert!(ms("min_ms") > 0.0 && ms("min_ms") <= ms("median_ms") && ms("median_ms") <= ms("p95_ms"));
    assert_eq!(report["multiply_adds"], 12);
    assert!(ms("gflops") > 0.0);
    assert!((ms("share_of_limit") * ms("limit_gflops") / ms("gflops") - 1.0).abs() < 1e-9);
    let ran = anemone(&["bench", &path, "--iters", "1", "--device", "reference", "--no-check"]).exits(0);
    assert!(
        ran.out.contains("main on reference, 1 thread") && ran.out.contains("median of 1"),
        "{}",
        ran.out
    );
    anemone(&["bench", &path, "--iters", "0"]).exits(2);
}
