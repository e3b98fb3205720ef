//! The description of a program that came without one.

use super::description::{
    ArrayFeature, Description, Feature, FeatureKind, Flexibility, Interface, SizeRange,
};
use super::flexible;
use crate::mil::{Function, Program};
use crate::source::{Diagnostic, codes};
use crate::types::{DType, Dim, TensorType, Type};

/// What the types of a program say of its interface.
///
/// # Errors
///
/// `no-package-form` for an input, output or state that no feature of Core ML can be.
pub(super) fn of(program: &Program) -> Result<Description, Diagnostic> {
    let functions = program.functions.iter().map(interface).collect::<Result<Vec<_>, _>>()?;
    let default_function = match &functions[..] {
        [only] if only.name == "main" => None,
        _ => functions.iter().find(|f| f.name == "main").or(functions.first()).map(|f| f.name.clone()),
    };
    Ok(Description { functions, default_function, ..Description::default() })
}

/// Whether a description must list its functions by name.
pub(super) fn is_named(description: &Description) -> bool {
    description.functions.len() != 1 || description.functions[0].name != "main"
}

fn interface(f: &Function) -> Result<Interface, Diagnostic> {
    let mut interface = Interface { name: f.name.to_string(), ..Interface::default() };
    let flexible = flexible::shapes(f);
    for param in &f.params {
        match &param.ty {
            Type::State(inner) => {
                let array = array(&param.name, inner)?;
                interface.states.push(feature(&param.name, FeatureKind::State(array)));
            }
            ty => {
                let mut array = array(&param.name, ty)?;
                if let Some(shapes) = flexible.iter().find(|s| s.input == param.name) {
                    array.shape = shapes.default.clone();
                    array.flexibility = shapes.others.clone();
                } else if let Some(tensor) = ty.as_tensor().filter(|t| t.shape.elements().is_none()) {
                    array = open(array, tensor);
                }
                interface.inputs.push(feature(&param.name, FeatureKind::Array(array)));
            }
        }
    }
    for output in &f.body.outputs {
        // A name is bound once, so that the order does not matter.
        let bound = f.body.calls.iter().flat_map(|c| &c.outputs).chain(&f.params);
        let ty = bound.filter(|p| p.name == output.name).map(|p| &p.ty).next().ok_or_else(|| {
            Diagnostic::new(&codes::UNDEFINED_NAME, format!("nothing defines the output `{}`", output.name))
        })?;
        interface.outputs.push(feature(&output.name, FeatureKind::Array(array(&output.name, ty)?)));
    }
    Ok(interface)
}

fn feature(name: &str, kind: FeatureKind) -> Feature {
    Feature { name: name.into(), description: String::new(), kind, optional: false }
}

/// An array of this type; its shape is left out if it is not known, as coremltools does.
fn array(name: &str, ty: &Type) -> Result<ArrayFeature, Diagnostic> {
    let tensor = ty
        .as_tensor()
        .filter(|t| matches!(t.dtype, DType::Fp16 | DType::Fp32 | DType::Fp64 | DType::Int8 | DType::Int32));
    let tensor = tensor.ok_or_else(|| {
        let message =
            format!("`{name}` is of type `{ty}`, which no input or output of a Core ML model can be");
        Diagnostic::new(&codes::NO_PACKAGE_FORM, message)
            .help("cast it inside of the function: models take and give fp16, fp32, fp64, int8 and int32")
    })?;
    Ok(ArrayFeature {
        dtype: Some(tensor.dtype),
        shape: tensor.shape.iter().map(|d| d.known()).collect::<Option<_>>().unwrap_or_default(),
        flexibility: Flexibility::Fixed,
        default: None,
    })
}

/// An input whose open dimensions nothing limits.
fn open(array: ArrayFeature, tensor: &TensorType) -> ArrayFeature {
    let range = |d: &Dim| match d {
        Dim::Known(n) => SizeRange { lower: *n, upper: Some(*n) },
        Dim::Unknown => SizeRange { lower: 1, upper: None },
    };
    let ranges: Vec<SizeRange> = tensor.shape.iter().map(range).collect();
    let shape = ranges.iter().map(|r| r.lower).collect();
    ArrayFeature { shape, flexibility: Flexibility::Ranges(ranges), ..array }
}
