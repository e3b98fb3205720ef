//! How fast MIL text is read, printed and laid out.
//!
//! `cargo bench -p anemone --bench parse` measures a generated encoder of about 1 MB; with `ANEMONE_CORPUS` set to a
//! folder, also the `.mil` files in it of 64 KiB and more.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anemone::text;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// A text to measure with, shown by its name.
struct Sample {
    name: String,
    text: String,
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

fn samples() -> Vec<Sample> {
    let mut samples = vec![
        Sample { name: "encoder".to_string(), text: encoder(264) },
        Sample { name: "numbers".to_string(), text: numbers(100_000) },
    ];
    if let Some(corpus) = std::env::var_os("ANEMONE_CORPUS") {
        let mut files = Vec::new();
        collect(Path::new(&corpus), &mut files);
        files.sort();
        for file in files {
            if let Ok(text) = std::fs::read_to_string(&file)
                && text.len() >= 64 * 1024
            {
                let folder = file.parent().and_then(Path::file_name).unwrap_or_default();
                let name = format!("{} ({} kB)", folder.display(), text.len() / 1000);
                samples.push(Sample { name, text });
            }
        }
    }
    samples
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "mil") {
            files.push(path);
        }
    }
}

/// Layers of a transformer as Core ML's converter writes them: named constants, blobs, long names.
fn encoder(layers: usize) -> String {
    let mut out = String::from(
        "program(1.0)\n[buildInfo = dict<tensor<string, []>, tensor<string, []>>({{\"coremlc-version\", \"3500.32.1\"}})]\n{\n    func main<ios17>(tensor<fp16, [1, 512, 256]> input) {\n",
    );
    let mut statement = |result: &str, ty: &str, call: &str, rest: &str| {
        writeln!(out, "            {ty} {result} = {call}[name = tensor<string, []>(\"{result}\"){rest}];")
            .unwrap();
    };
    let mut x = "input".to_string();
    for layer in 0..layers {
        let name = |part: &str| format!("encoder_layers_{layer}_{part}");
        for (part, ty, value) in [
            ("norm_axes_0", "tensor<int32, [1]>", "[-1]"),
            ("norm_epsilon_to_fp16", "tensor<fp16, []>", "0x1.5p-17"),
            ("attention_transpose_x_0", "tensor<bool, []>", "false"),
            ("attention_perm_0", "tensor<int32, [4]>", "[0, 2, 1, 3]"),
        ] {
            statement(&name(part), ty, "const()", &format!(", val = {ty}({value})"));
        }
        for (i, part) in ["norm_gamma", "norm_beta", "linear_weight", "linear_bias"].into_iter().enumerate() {
            let ty = if i == 2 { "tensor<fp16, [256, 256]>" } else { "tensor<fp16, [256]>" };
            let offset = 64 * (4 * layer + i + 1);
            statement(
                &name(part),
                ty,
                "const()",
                &format!(
                    ", val = {ty}(BLOBFILE(path = tensor<string, []>(\"@model_path/weights/weight.bin\"), offset = tensor<uint64, []>({offset})))"
                ),
            );
        }
        let ty = "tensor<fp16, [1, 512, 256]>";
        let norm = name("norm_cast_fp16");
        statement(
            &norm,
            ty,
            &format!(
                "layer_norm(axes = {}, beta = {}, epsilon = {}, gamma = {}, x = {x})",
                name("norm_axes_0"),
                name("norm_beta"),
                name("norm_epsilon_to_fp16"),
                name("norm_gamma")
            ),
            "",
        );
        let linear = name("linear_cast_fp16");
        statement(
            &linear,
            ty,
            &format!(
                "linear(bias = {}, weight = {}, x = {norm})",
                name("linear_bias"),
                name("linear_weight")
            ),
            "",
        );
        let wide = "tensor<fp16, [1, 512, 8, 32]>";
        let heads = name("heads_cast_fp16");
        statement(
            &heads,
            wide,
            &format!("reshape(shape = tensor<int32, [4]>([1, 512, 8, 32]), x = {linear})"),
            "",
        );
        let turned = name("transpose_cast_fp16");
        statement(
            &turned,
            "tensor<fp16, [1, 8, 512, 32]>",
            &format!("transpose(perm = {}, x = {heads})", name("attention_perm_0")),
            "",
        );
        let scores = name("scores_cast_fp16");
        statement(
            &scores,
            "tensor<fp16, [1, 8, 512, 512]>",
            &format!(
                "matmul(transpose_x = {0}, transpose_y = {0}, x = {turned}, y = {turned})",
                name("attention_transpose_x_0")
            ),
            "",
        );
        let joined = name("concat_cast_fp16");
        statement(
            &joined,
            "tensor<fp16, [1, 512, 512]>",
            &format!(
                "concat(axis = tensor<int32, []>(-1), interleave = tensor<bool, []>(false), values = ({linear}, {norm}))"
            ),
            "",
        );
        let next = name("output_cast_fp16");
        statement(&next, ty, &format!("add(x = {x}, y = {norm})"), "");
        x = next;
    }
    write!(out, "        }} -> ({x});\n}}").unwrap();
    out
}

/// One constant of many numbers.
fn numbers(count: usize) -> String {
    let values: Vec<String> = (0..count).map(|i| (i * 7919 % 65_536).to_string()).collect();
    format!(
        "program(1.3) {{ func main<ios18>() {{ tensor<int32, [{count}]> c = const()[val = tensor<int32, [{count}]>([{}])]; }} -> (c); }}",
        values.join(", ")
    )
}

#[divan::bench(args = samples())]
fn parse(bencher: Bencher<'_, '_>, sample: &Sample) {
    bencher.counter(BytesCount::of_str(&sample.text)).bench(|| text::parse(black_box(&sample.text)));
}

#[divan::bench(args = samples())]
fn print(bencher: Bencher<'_, '_>, sample: &Sample) {
    let program = text::parse(&sample.text).expect("the sample is a program");
    bencher.counter(BytesCount::of_str(&sample.text)).bench(|| text::print(black_box(&program)));
}

#[divan::bench(args = samples())]
fn format(bencher: Bencher<'_, '_>, sample: &Sample) {
    bencher.counter(BytesCount::of_str(&sample.text)).bench(|| text::format(black_box(&sample.text)));
}
