//! The programs below `examples/` run. Those that stand for the samples of other interfaces compare their results.
// They print, as programs do.
#![allow(clippy::print_stdout)]

#[path = "../examples/build_mlp.rs"]
mod build_mlp;
#[path = "../examples/build_transformer.rs"]
mod build_transformer;
#[path = "../examples/coming_from_ane.rs"]
mod coming_from_ane;
#[path = "../examples/coming_from_go.rs"]
mod coming_from_go;
#[path = "../examples/coming_from_internals.rs"]
mod coming_from_internals;
#[path = "../examples/coming_from_rane.rs"]
mod coming_from_rane;
#[path = "../examples/edit_program.rs"]
mod edit_program;
#[path = "../examples/one_kernel_many_layers.rs"]
mod one_kernel_many_layers;
#[path = "../examples/retry.rs"]
mod retry;
#[path = "../examples/run_model.rs"]
#[expect(dead_code, reason = "`main` takes the model from the command line, which is that of the test here")]
mod run_model;

#[test]
fn of_programs_and_models() {
    build_mlp::main().unwrap();
    build_transformer::main().unwrap();
    edit_program::main().unwrap();
    retry::main().unwrap();
    run_model::run(run_model::DIGITS).unwrap();
}

/// Rows F1, F2, F6, G1, H13, H14, H15, H16: the sample of the crate `ane`.
#[test]
fn sample_of_the_crate_ane() {
    coming_from_ane::main().unwrap();
}

/// Rows B20, B20a, B20b, D1, H2, P1: what the crate `rane` describes, and its one kernel for many layers.
#[test]
fn samples_of_the_crate_rane() {
    coming_from_rane::main().unwrap();
    one_kernel_many_layers::main().unwrap();
}

/// Rows A9, A10, G21, G22, H17, H18, H19: the sample of the Go package.
#[test]
fn sample_of_the_go_package() {
    coming_from_go::main().unwrap();
}

/// Rows H25, N14: the listings of the guide to the internals.
#[test]
fn samples_of_the_guide() {
    coming_from_internals::main().unwrap();
}

/// A program that is not run here may be wrong.
#[test]
fn every_example_is_run() {
    let here = include_str!("examples.rs");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(here.contains(&format!("\"../examples/{name}\"")), "examples/{name} has no line here");
    }
}
