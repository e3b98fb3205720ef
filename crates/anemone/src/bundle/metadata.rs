//! `metadata.json` of a compiled model: what tools read of it without loading it.
//!
//! Keys and values are those of Apple's compiler; the order of keys, which there is that of a hash table, is
//! alphabetical here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::description::{
    ArrayFeature, Colour, Description, Feature, FeatureKind, Flexibility, Interface, Key,
};
use super::interface;
use super::model::ModelKind;
use crate::mil::{Block, Call, Function, Operand, Opset, Program, Value};
use crate::types::{DType, Type};

/// What the file is made of.
pub(super) struct Metadata<'a> {
    /// The name of the bundle, without its extension.
    pub(super) name: &'a str,
    pub(super) kind: &'static ModelKind,
    pub(super) specification_version: i32,
    pub(super) updatable: bool,
    pub(super) description: &'a Description,
    /// The program, or those of the stages.
    pub(super) programs: Vec<&'a Program>,
    /// The kinds of the stages.
    pub(super) stages: Vec<&'static ModelKind>,
}

impl Metadata<'_> {
    /// The text of the file.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        write_json(&mut out, &json!([self.root()]), 0);
        out
    }

    fn root(&self) -> Json {
        let d = self.description;
        let default = d.default_function.as_ref().and_then(|n| d.function(n)).or(d.functions.first());
        let none = Interface::default();
        let default = default.unwrap_or(&none);
        // What runs when no function is named; all stages of a pipeline do.
        let functions: Vec<&Function> = match &self.programs[..] {
            [one] => one.function(&default.name).or(one.functions.first()).into_iter().collect(),
            all => all.iter().filter_map(|p| p.functions.first()).collect(),
        };
        let storage: BTreeSet<String> =
            self.programs.iter().flat_map(|p| &p.functions).flat_map(storage_of).collect();
        let mut root = Map::new();
        let mut put = |key: &str, value: Json| root.insert(key.into(), value);
        put("metadataOutputVersion", json!("3.0"));
        put("specificationVersion", json!(self.specification_version));
        put("isUpdatable", json!(flag(self.updatable)));
        put("modelParameters", json!([]));
        put("method", json!("predict"));
        put("generatedClassName", json!(class_name(self.name)));
        put("availability", availability(self.specification_version));
        put("userDefinedMetadata", json!(d.metadata.user_defined));
        put("inputSchema", schema(&default.inputs));
        put("outputSchema", schema(&default.outputs));
        put("stateSchema", schema(&default.states));
        put("computePrecision", json!(precision(functions.iter().flat_map(|f| compute_of(f)).collect())));
        put("mlProgramOperationTypeHistogram", histogram(&functions));
        let mut model_type = json!({ "name": type_name(self.kind) });
        if self.kind.is_pipeline() {
            let stages = self.stages.iter().map(|k| json!({ "name": type_name(k) })).collect();
            model_type["structure"] = Json::Array(stages);
        }
        put("modelType", model_type);
        for (key, text) in [
            ("shortDescription", &d.metadata.short_description),
            ("version", &d.metadata.version),
            ("author", &d.metadata.author),
            ("license", &d.metadata.license),
        ] {
            if !text.is_empty() {
                put(key, json!(text));
            }
        }
        if !storage.is_empty() {
            put("storagePrecision", json!(precision(storage)));
        }
        if interface::is_named(d) && !self.kind.is_pipeline() {
            put("defaultFunctionName", json!(default.name));
            put("functions", d.functions.iter().map(|i| self.function(i)).collect());
        }
        Json::Object(root)
    }

    fn function(&self, interface: &Interface) -> Json {
        let function = self.programs.iter().find_map(|p| p.function(&interface.name));
        let functions: Vec<&Function> = function.into_iter().collect();
        json!({
            "name": interface.name,
            "inputSchema": schema(&interface.inputs),
            "outputSchema": schema(&interface.outputs),
            "stateSchema": schema(&interface.states),
            "computePrecision": precision(functions.iter().flat_map(|f| compute_of(f)).collect()),
            "mlProgramOperationTypeHistogram": histogram(&functions),
        })
    }
}

fn flag(b: bool) -> &'static str {
    if b { "1" } else { "0" }
}

fn type_name(kind: &ModelKind) -> String {
    format!("MLModelType_{}", kind.name)
}

/// The name as a class of it may be called.
fn class_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn availability(specification_version: i32) -> Json {
    // (macOS, iOS, watchOS, visionOS); the first visionOS came with iOS 17.
    let (mac, ios, watch, vision) = match specification_version {
        ..=5 => ("11.0", "14.0", "7.0", "1.0"),
        6 => ("12.0", "15.0", "8.0", "1.0"),
        7 => ("13.0", "16.0", "9.0", "1.0"),
        8 => ("14.0", "17.0", "10.0", "1.0"),
        9 => ("15.0", "18.0", "11.0", "2.0"),
        10.. => ("26.0", "26.0", "26.0", "26.0"),
    };
    json!({ "macOS": mac, "iOS": ios, "tvOS": ios, "macCatalyst": ios, "watchOS": watch, "visionOS": vision })
}

fn schema(features: &[Feature]) -> Json {
    features.iter().map(entry).collect()
}

fn entry(f: &Feature) -> Json {
    let mut entry = vec![
        ("name", f.name.clone()),
        ("shortDescription", f.description.clone()),
        ("isOptional", flag(f.optional).into()),
    ];
    let ty = match &f.kind {
        FeatureKind::Int64 => "Int64",
        FeatureKind::Double => "Double",
        FeatureKind::String => "String",
        FeatureKind::Image(_) => "Image",
        FeatureKind::Array(_) => "MultiArray",
        FeatureKind::Dictionary(_) => "Dictionary",
        FeatureKind::Sequence { .. } => "Sequence",
        FeatureKind::State(_) => "State",
        FeatureKind::Unknown => "Unknown",
    };
    let mut detail = String::new();
    match &f.kind {
        FeatureKind::Int64 | FeatureKind::Double | FeatureKind::String | FeatureKind::Unknown => {}
        FeatureKind::Dictionary(key) => {
            entry.push(("keyType", key_name(*key).into()));
            detail = format!("{} → Double", key_name(*key));
        }
        FeatureKind::Sequence { item, length } => {
            entry.push(("valueType", key_name(*item).into()));
            entry.push(("sizeRange", format!("[{}, {}]", length.lower, upper(length.upper))));
            detail = key_name(*item).into();
        }
        FeatureKind::Image(i) => {
            let gray = matches!(i.colour, Colour::Grayscale | Colour::GrayscaleFp16);
            let colours = match i.colour {
                Colour::Grayscale => "Grayscale",
                Colour::GrayscaleFp16 => "Grayscale16Half",
                Colour::Rgb => "RGB",
                Colour::Bgr => "BGR",
                Colour::Unknown => "",
            };
            entry.extend([
                ("height", i.height.to_string()),
                ("width", i.width.to_string()),
                ("isColor", flag(!gray).into()),
                ("colorspace", colours.into()),
                ("hasSizeFlexibility", flag(i.sizes != Flexibility::Fixed).into()),
            ]);
            entry.extend(flexibility(&i.sizes, ["sizeFlexibility", "enumeratedSizes", "sizeRange"]));
            detail = format!("{} {} × {}", if gray { "Grayscale" } else { "Color" }, i.width, i.height);
        }
        FeatureKind::Array(a) => {
            entry.extend([
                ("dataType", dtype_name(a).into()),
                ("shape", format!("{:?}", a.shape)),
                ("hasShapeFlexibility", flag(a.flexibility != Flexibility::Fixed).into()),
            ]);
            let keys = ["shapeFlexibility", "enumeratedShapes", "shapeRange"];
            entry.extend(flexibility(&a.flexibility, keys));
            detail = format!("{} {}", dtype_name(a), times(&a.shape));
        }
        FeatureKind::State(a) => {
            entry.extend([("dataType", dtype_name(a).into()), ("shape", format!("{:?}", a.shape))]);
            detail = format!("{} {}", dtype_name(a), times(&a.shape));
        }
    }
    let formatted = if detail.is_empty() { ty.to_string() } else { format!("{ty} ({})", detail.trim()) };
    entry.extend([("type", ty.to_string()), ("formattedType", formatted)]);
    entry.into_iter().map(|(key, value)| (key.to_string(), Json::String(value))).collect::<Map<_, _>>().into()
}

fn key_name(key: Key) -> &'static str {
    match key {
        Key::Int64 => "Int64",
        Key::String => "String",
    }
}

fn dtype_name(a: &ArrayFeature) -> &'static str {
    a.dtype.map_or("", precision_name)
}

fn times(shape: &[u64]) -> String {
    shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ")
}

fn upper(upper: Option<u64>) -> String {
    upper.map_or("-1".into(), |n| n.to_string())
}

/// The entries under these keys for: the words, a list of shapes, a list of ranges.
fn flexibility<'k>(f: &Flexibility, [words, shapes, ranges]: [&'k str; 3]) -> Vec<(&'k str, String)> {
    match f {
        Flexibility::Fixed => Vec::new(),
        Flexibility::Enumerated(all) => vec![
            (words, all.iter().map(|s| times(s)).collect::<Vec<_>>().join(" | ")),
            (shapes, format!("{all:?}")),
        ],
        Flexibility::Ranges(all) => {
            let word = |r: &super::SizeRange| match r.upper {
                Some(u) if u == r.lower => u.to_string(),
                Some(u) => format!("{}...{u}", r.lower),
                None => format!("{}...", r.lower),
            };
            let pair = |r: &super::SizeRange| format!("[{}, {}]", r.lower, upper(r.upper));
            vec![
                (words, all.iter().map(word).collect::<Vec<_>>().join(" × ")),
                (ranges, format!("[{}]", all.iter().map(pair).collect::<Vec<_>>().join(", "))),
            ]
        }
    }
}

/// Apple's word for a dtype.
fn precision_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "Bool",
        DType::String => "String",
        DType::Fp16 => "Float16",
        DType::Fp32 => "Float32",
        DType::Fp64 => "Double",
        DType::Bf16 => "BFloat16",
        DType::Fp8E4M3FN => "Float8E4M3FN",
        DType::Fp8E5M2 => "Float8E5M2",
        DType::Int4 => "Int4",
        DType::Int8 => "Int8",
        DType::Int16 => "Int16",
        DType::Int32 => "Int32",
        DType::Int64 => "Int64",
        DType::UInt1 => "UInt1",
        DType::UInt2 => "UInt2",
        DType::UInt3 => "UInt3",
        DType::UInt4 => "UInt4",
        DType::UInt6 => "UInt6",
        DType::UInt8 => "UInt8",
        DType::UInt16 => "UInt16",
        DType::UInt32 => "UInt32",
        DType::UInt64 => "UInt64",
    }
}

fn precision(names: BTreeSet<String>) -> String {
    match names.len() {
        1 => names.into_iter().collect(),
        _ => format!("Mixed ({})", names.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// The dtypes of the numbers that the ops of a function take and give; weights that are decompressed when the
/// program is compiled do not count.
fn compute_of(f: &Function) -> BTreeSet<String> {
    let mut types: BTreeMap<&str, &Type> = f.params.iter().map(|p| (p.name.as_str(), &p.ty)).collect();
    let mut found = BTreeSet::new();
    each_call(&f.body, &mut |call| {
        let inner = call.blocks.iter().flat_map(|b| &b.params);
        types.extend(call.outputs.iter().chain(inner).map(|p| (p.name.as_str(), &p.ty)));
        if call.op == "const" || call.op.starts_with("constexpr_") {
            return;
        }
        found.extend(call.outputs.iter().filter_map(|o| dtype_of(&o.ty)));
        for operand in call.arguments.iter().flat_map(|a| a.binding.operands()) {
            found.extend(match operand {
                Operand::Name(u) => types.get(u.name.as_str()).and_then(|ty| dtype_of(ty)),
                Operand::Value(v, _) => dtype_of(&v.ty()),
            });
        }
    });
    let numbers = found.into_iter().filter(|d| !matches!(d, DType::Bool | DType::String));
    numbers.map(|d| precision_name(d).to_string()).collect()
}

/// The dtype of a tensor, or of the tensors in a list or state.
fn dtype_of(ty: &Type) -> Option<DType> {
    match ty {
        Type::Tensor(t) => Some(t.dtype),
        Type::Buffer(b) => Some(b.dtype),
        Type::State(inner) | Type::List { item: inner, .. } => dtype_of(inner),
        Type::Tuple(_) | Type::Dict(..) => None,
    }
}

/// The dtypes in which the weights of a function are stored.
fn storage_of(f: &Function) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    each_call(&f.body, &mut |call| {
        let palette = (call.op == "constexpr_lut_to_dense").then(|| call.attribute("lut")).flatten();
        for attribute in &call.attributes {
            let Value::Blob(blob) = &attribute.value else { continue };
            let entries = palette.and_then(|p| p.value.ty().as_tensor()?.shape.elements());
            found.insert(match entries {
                Some(n) if attribute.name == "indices" && n > 0 => format!("Palettized ({} bits)", n.ilog2()),
                _ => precision_name(blob.ty.dtype).to_string(),
            });
        }
        for operand in call.arguments.iter().flat_map(|a| a.binding.operands()) {
            if let Operand::Value(Value::Blob(blob), _) = operand {
                found.insert(precision_name(blob.ty.dtype).to_string());
            }
        }
    });
    found
}

/// Calls `f` for each call of a block and of the blocks inside of it, in order.
fn each_call<'a>(block: &'a Block, f: &mut dyn FnMut(&'a Call)) {
    for call in &block.calls {
        f(call);
        call.blocks.iter().for_each(|b| each_call(b, f));
    }
}

/// How often each op is used, by Apple's names.
fn histogram(functions: &[&Function]) -> Json {
    let mut counts = BTreeMap::<String, u64>::new();
    for function in functions {
        let opset = function.opset.known();
        each_call(&function.body, &mut |call| {
            if call.op != "const" {
                *counts.entry(apple_name(&call.op, opset)).or_default() += 1;
            }
        });
    }
    json!(counts)
}

/// Opsets, by their number, in which Apple changed ops besides the first; seen in compiled models.
const CHANGED: &[(&str, &[u32])] = &[
    ("add", &[16, 17]),
    ("cast", &[16, 17]),
    ("clip", &[16, 17]),
    ("concat", &[17]),
    ("conv", &[16, 17]),
    ("expand_dims", &[17]),
    ("floor", &[17]),
    ("gather_along_axis", &[17]),
    ("greater_equal", &[17]),
    ("layer_norm", &[17]),
    ("less", &[17]),
    ("linear", &[17]),
    ("log", &[16]),
    ("logical_and", &[17]),
    ("logical_not", &[17]),
    ("lstm", &[16]),
    ("matmul", &[17]),
    ("mul", &[16, 17]),
    ("pad", &[]),
    ("pow", &[16]),
    ("reduce_argmax", &[16, 17]),
    ("reduce_max", &[16]),
    ("reduce_mean", &[16]),
    ("relu", &[16, 18]),
    ("reshape", &[17]),
    ("select", &[]),
    ("sigmoid", &[16]),
    ("silu", &[16]),
    ("slice_by_index", &[17]),
    ("softmax", &[16]),
    ("split", &[]),
    ("sqrt", &[16]),
    ("squeeze", &[17]),
    ("stack", &[]),
    ("sub", &[16, 17]),
    ("tile", &[]),
    ("topk", &[17]),
    ("transpose", &[17]),
];

/// Apple's name of an op: `Ios16.reduceMean`, or `ReduceMean` as of the first opset.
fn apple_name(op: &str, opset: Option<Opset>) -> String {
    let opset = match opset {
        None | Some(Opset::Ios15) => 15,
        Some(Opset::Ios16) => 16,
        Some(Opset::Ios17) => 17,
        Some(Opset::Ios18) => 18,
        Some(Opset::Ios26) => 26,
    };
    // Ops that no compiled model was seen to use are taken to have changed in every opset.
    let since = match CHANGED.iter().find(|(name, _)| *name == op) {
        Some((_, changes)) => changes.iter().copied().rfind(|&c| c <= opset),
        None => Some(opset).filter(|&o| o > 15),
    };
    let mut words = op.split('_').filter(|w| !w.is_empty());
    let capital = |w: &str| w[..1].to_ascii_uppercase() + &w[1..];
    match since {
        Some(n) => {
            let first = words.next().unwrap_or_default();
            format!("Ios{n}.{first}{}", words.map(capital).collect::<String>())
        }
        None => words.map(capital).collect(),
    }
}

/// Writes JSON as Foundation does.
fn write_json(out: &mut String, value: &Json, indent: usize) {
    let line = |out: &mut String, indent: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent));
    };
    let items = |out: &mut String, n: usize, each: &mut dyn FnMut(&mut String, usize)| {
        for i in 0..n {
            if i > 0 {
                out.push(',');
            }
            line(out, indent + 2);
            each(out, i);
        }
        if n == 0 {
            out.push('\n');
        }
        line(out, indent);
    };
    match value {
        Json::Array(all) => {
            out.push('[');
            items(out, all.len(), &mut |out, i| write_json(out, &all[i], indent + 2));
            out.push(']');
        }
        Json::Object(all) => {
            let pairs: Vec<_> = all.iter().collect();
            out.push('{');
            items(out, pairs.len(), &mut |out, i| {
                out.push_str(&json!(pairs[i].0).to_string().replace('/', "\\/"));
                out.push_str(" : ");
                write_json(out, pairs[i].1, indent + 2);
            });
            out.push('}');
        }
        // A slash is escaped wherever it stands, and nothing but strings holds one.
        scalar => out.push_str(&scalar.to_string().replace('/', "\\/")),
    }
}
