//! One kernel at a time.

use anemone::driver::{Program, Source, Surface};
use anemone::source::{Diagnostic, Place, codes};
use anemone::{Client, Error, TensorLayout, blob, chip::Chip};
use half::f16;

use crate::{count, messages, on_each_engine};

/// A surface for `[1, channels, 1, spatial]`, of the client's engine.
fn surface(client: &Client, channels: usize, spatial: usize) -> Surface {
    client.surface(&TensorLayout::new(channels, 1, spatial, 2).unwrap()).unwrap()
}

fn fill(surface: &Surface, value: f32) {
    surface.write(|numbers| numbers.fill(f16::from_f32(value).to_bits()));
}

fn numbers(surface: &Surface) -> Vec<f32> {
    surface.read(|numbers| numbers.iter().map(|&n| f16::from_bits(n).to_f32()).collect())
}

const DOUBLE: &str = "program(1.3) { func main<ios18>(tensor<fp16, [1, 4, 1, 64]> x) {
    tensor<fp16, [1, 4, 1, 64]> y = add(x = x, y = x); } -> (y); }";

fn double() -> Source {
    Source::from_text(DOUBLE, 4, 64, 4, 64)
}

/// Rows H1, H2, H3, H4, H5, H6, H7: compile, load, run, unload, in this order; once more; unloaded at the end.
#[test]
fn a_kernel_is_compiled_loaded_run_and_unloaded() {
    on_each_engine(|client| {
        let [x, y] = [(); 2].map(|()| surface(client, 4, 64));
        fill(&x, 1.5);
        let mut program = Program::compile_on(client, &double(), &[]).unwrap();
        assert!(matches!(program.run(&x, &y), Err(Error::NotLoaded)));
        for _ in 0..2 {
            program.load().unwrap();
            program.load().unwrap();
            assert!(program.is_loaded());
            fill(&y, 0.0);
            program.run(&x, &y).unwrap();
            assert_eq!(numbers(&y), [3.0; 256]);
            program.unload().unwrap();
            program.unload().unwrap();
            assert!(!program.is_loaded());
            assert!(matches!(program.run(&x, &y), Err(Error::NotLoaded)));
        }
        // One that is loaded is unloaded by its end, which the stand-in looks for.
        program.load().unwrap();
        program.run(&x, &y).unwrap();
    });
}

/// Rows B20, P1, G12, G20: the matrix lies behind the activations, and is another one in each run.
#[test]
fn a_matrix_is_given_when_the_kernel_runs() {
    on_each_engine(|client| {
        for (ic, oc, seq) in [(1, 32, 32), (3, 64, 32), (16, 32, 96)] {
            let source = Source::matmul(ic, oc, seq);
            let mut program = Program::compile_on(client, &source, &[]).unwrap();
            program.load().unwrap();
            let ((c, s), (d, t)) = (source.input_shape(), source.output_shape());
            assert_eq!(((c, s), (d, t)), ((ic, seq + oc), (oc, seq)));
            let (x, y) = (surface(client, c, s), surface(client, d, t));
            for round in 1..3 {
                let number = |c: usize, s: usize| (c * 7 + s * round) % 9;
                x.write(|n| {
                    for (i, n) in n.iter_mut().enumerate() {
                        *n = f16::from_f32(number(i / s, i % s) as f32).to_bits();
                    }
                });
                program.run(&x, &y).unwrap();
                let y = numbers(&y);
                for o in 0..oc {
                    for p in 0..seq {
                        let sum: usize = (0..ic).map(|c| number(c, p) * number(c, seq + o)).sum();
                        assert_eq!(y[o * t + p], sum as f32, "{ic} {oc} {seq}, {o} {p}");
                    }
                }
            }
        }
    });
}

/// Rows B20, B20a, B20b, B20c: the text is the one that is written down, in the form in which Apple's compiler prints.
#[test]
fn the_text_of_a_product() {
    let source = Source::matmul(64, 128, 32);
    assert_eq!(source.as_str(), include_str!("matmul.mil"));
    let program = anemone::text::parse(source.as_str()).unwrap();
    assert_eq!(anemone::text::print(&program), source.as_str());
    assert_eq!((source.input_shape(), source.output_shape()), ((64, 160), (128, 32)));
    assert_eq!((source.input_size(), source.output_size()), (64 * 160 * 2, 128 * 32 * 2));
    let layout = TensorLayout::new(64, 1, 160, 2).unwrap();
    assert_eq!((layout.alloc_size(), layout.is_dense()), (source.input_size(), true));
}

/// Rows D5, D10: weight files are named by their paths, and baked in.
#[test]
fn weights_are_given_by_path() {
    let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 1, 1, 32]> x) {
        tensor<fp16, [1, 1, 1, 32]> w = const()[name = string(\"w\"),
            val = tensor<fp16, [1, 1, 1, 32]>(BLOBFILE(path = string(\"@model_path/w.bin\"), offset = uint64(64)))];
        tensor<fp16, [1, 1, 1, 32]> y = mul(x = x, y = w); } -> (y); }";
    let source = Source::from_text(text, 1, 32, 1, 32);
    let path = "@model_path/w.bin";
    on_each_engine(|client| {
        let mut bytes = blob::pack_weights(&[f16::from_f32(3.0).to_bits(); 32]);
        let mut program = Program::compile_on(client, &source, &[(path, &bytes)]).unwrap();
        bytes.fill(0);
        program.load().unwrap();
        let [x, y] = [(); 2].map(|()| surface(client, 1, 32));
        fill(&x, 2.0);
        program.run(&x, &y).unwrap();
        assert_eq!(numbers(&y), [6.0; 32]);
        let refused = |files: &[(&str, &[u8])], word: &str| {
            let e = Program::compile_on(client, &source, files).unwrap_err().to_string();
            assert!(e.contains(word), "{e}");
        };
        refused(&[(path, &bytes), (path, &bytes)], "given twice");
        refused(&[(path, &[])], "is empty");
        refused(&[("@model_path/../w.bin", &bytes)], "blob-path");
    });
}

/// Row B20: numbers that contradict the text are refused, at the place in the text.
#[test]
fn numbers_that_contradict_the_text_are_refused() {
    let client = Client::software(Chip::M4);
    let faults = |source: Source| -> Vec<Diagnostic> {
        match Program::compile_on(&client, &source, &[]).unwrap_err() {
            Error::Program(faults) => faults.into_iter().collect(),
            other => panic!("{other}"),
        }
    };
    let at = |d: &Diagnostic, text: &str| {
        let span = d.span().unwrap();
        text[span.start as usize..span.end as usize].to_string()
    };
    let ty = "tensor<fp16, [1, 4, 1, 64]>";
    for (numbers, places) in [
        ([8, 64, 4, 64], vec![ty]),
        ([4, 32, 4, 64], vec![ty]),
        ([4, 64, 64, 4], vec!["y"]),
        ([0, usize::MAX, 0, 0], vec![ty, "y"]),
    ] {
        let [a, b, c, d] = numbers;
        let found = faults(Source::from_text(DOUBLE, a, b, c, d));
        assert!(found.iter().all(|d| d.code == &codes::INTERFACE_MISMATCH && d.help.is_some()), "{found:?}");
        assert_eq!(found.iter().map(|d| at(d, DOUBLE)).collect::<Vec<_>>(), places);
    }
    // The rows of a channel count.
    let tall = DOUBLE.replace("[1, 4, 1, 64]", "[1, 4, 2, 32]");
    Program::compile_on(&client, &Source::from_text(&tall, 4, 64, 4, 64), &[]).unwrap();
    let check = |text: String, word: &str| {
        let found = faults(Source::from_text(text, 4, 64, 4, 64));
        assert!(found.iter().any(|d| d.message.contains(word)), "{found:?}");
    };
    check(DOUBLE.replace("fp16", "fp32"), "tensor<fp32, [1, 4, 1, 64]>");
    check(DOUBLE.replace("(y);", "(y, x);"), "one output, and this program has 2");
    check(DOUBLE.replace("> x)", "> x, tensor<fp16, [1]> z)"), "one input, and this program has 2");
    check(DOUBLE.replace("= add", "= addd"), "addd");
    let state = "> x, state<tensor<fp16, [4]>> kept)";
    check(DOUBLE.replace("> x)", state), "no states, and `kept` is one");
}

/// Row B20: no numbers make a kernel that is not refused where it must be.
#[test]
fn kernels_of_any_numbers_are_refused_and_do_no_harm() {
    let client = Client::software(Chip::M4);
    for source in [
        Source::matmul(0, 32, 32),
        Source::matmul(4, 0, 32),
        Source::matmul(4, 32, 0),
        Source::matmul(usize::MAX, 32, 32),
        Source::matmul(4, usize::MAX, usize::MAX),
        Source::matmul(1 << 20, 1 << 20, 1 << 20),
        Source::from_text("", 1, 1, 1, 1),
    ] {
        Program::compile_on(&client, &source, &[]).unwrap_err();
    }
    let line = line!() + 1;
    let source = Source::matmul(4, 0, 32);
    assert_eq!((source.as_str(), source.output_shape()), ("", (0, 32)));
    let Err(Error::Program(wrong)) = Program::compile_on(&client, &source, &[]) else { panic!() };
    assert!(
        wrong.iter().all(|d| matches!(d.labels[0].place, Place::Rust(at) if at.line() == line)),
        "{wrong}"
    );
    assert_eq!(Source::matmul(usize::MAX, 2, 2).input_size(), usize::MAX);
}

/// Rows H5, G12, G18: surfaces that do not fit or are in use are refused.
#[test]
fn surfaces_are_looked_at() {
    on_each_engine(|client| {
        let mut program = Program::compile_on(client, &double(), &[]).unwrap();
        program.load().unwrap();
        let [x, y, small] = [(4, 64), (4, 64), (3, 64)].map(|(c, s)| surface(client, c, s));
        for (input, output) in [(&small, &y), (&x, &small), (&x, &x)] {
            assert!(matches!(program.run(input, output), Err(Error::Invalid(_))));
        }
        let held = x.lock_mut().unwrap();
        assert!(matches!(program.run(&x, &y), Err(Error::Surface(_))));
        drop(held);
        let held = y.lock().unwrap();
        assert!(matches!(program.run(&x, &y), Err(Error::Surface(_))));
        drop(held);
        program.run(&x, &y).unwrap();
    });
}

/// Row H14: runs on the same surfaces are one message each; others are bound anew, and a few are kept.
#[test]
fn the_same_surfaces_are_bound_once() {
    messages(|client, sent| {
        let mut program = Program::compile_on(client, &double(), &[]).unwrap();
        program.load().unwrap();
        let all: Vec<Surface> = (0..7).map(|_| surface(client, 4, 64)).collect();
        let run = |i: usize, o: usize| {
            fill(&all[i], i as f32);
            sent();
            program.run(&all[i], &all[o]).unwrap();
            let lines = sent();
            assert_eq!(count(&lines, "evaluateWithQoS"), 1, "{lines:?}");
            assert_eq!(numbers(&all[o]), [2.0 * i as f32; 256]);
            count(&lines, "requestWithInputs")
        };
        assert_eq!([run(0, 1), run(0, 1), run(0, 1)], [1, 0, 0]);
        assert_eq!([run(1, 0), run(0, 1), run(1, 0)], [1, 0, 0]);
        assert_eq!([run(2, 3), run(4, 5), run(5, 6)], [1, 1, 1]);
        // Five are one too many: the one that was used first is gone.
        assert_eq!([run(1, 0), run(0, 1)], [0, 1]);
    });
}

/// Rows H5, H12: several threads run one kernel, and several kernels are loaded at a time.
#[test]
fn threads_share_a_kernel() {
    on_each_engine(|client| {
        let mut program = Program::compile_on(client, &double(), &[]).unwrap();
        program.load().unwrap();
        let mut other = Program::compile_on(client, &Source::matmul(4, 32, 32), &[]).unwrap();
        other.load().unwrap();
        std::thread::scope(|scope| {
            for t in 0..6u8 {
                let (program, client) = (&program, &client);
                scope.spawn(move || {
                    let [x, y] = [(); 2].map(|()| surface(client, 4, 64));
                    for i in 0..5u8 {
                        fill(&x, f32::from(t * 5 + i));
                        program.run(&x, &y).unwrap();
                        assert_eq!(numbers(&y), [f32::from(t * 5 + i) * 2.0; 256]);
                    }
                });
            }
        });
    });
}

/// Rows H3, H17: without a client the kernel is compiled for the engine that there is.
#[test]
fn the_engine_that_there_is() {
    let mut program = Program::compile(&double(), &[]).unwrap();
    program.load().unwrap();
    let [x, y] = [(); 2].map(|()| Surface::with_shape(4, 64).unwrap());
    fill(&x, 2.0);
    program.run(&x, &y).unwrap();
    assert_eq!(numbers(&y), [4.0; 256]);
}
