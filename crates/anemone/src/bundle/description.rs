//! What a model says of itself to its callers.

use std::collections::BTreeMap;

use prost::Message;

use super::model::invalid;
use super::proto::{
    self, ArrayDataType, ColorSpace, DefaultOptionalValue, DictionaryKey, FeatureTypeKind, SequenceItem,
    ShapeFlexibility, SizeFlexibility, StateKind,
};
use crate::source::Diagnostic;
use crate::types::DType;

/// What a model says of itself: its functions, their features, and who made it.
///
/// ```
/// # let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");
/// let description = anemone::bundle::open(digits)?.description.unwrap();
/// assert_eq!(description.functions[0].outputs[0].name, "probabilities");
/// assert!(description.function("another").is_none());
/// # Ok::<(), anemone::bundle::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// The functions. A model of one function describes it without a name of its own; here it is called `main`.
    pub functions: Vec<Interface>,
    /// The function that runs when none is named, where the model names its functions.
    pub default_function: Option<String>,
    /// Who made the model, and what else is said of it.
    pub metadata: Metadata,
}

impl Description {
    /// The interface of this function.
    pub fn function(&self, name: &str) -> Option<&Interface> {
        self.functions.iter().find(|f| f.name == name)
    }
}

/// The features of one function, in the order that callers see.
///
/// ```
/// # let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");
/// let description = anemone::bundle::open(digits)?.description.unwrap();
/// let interface = &description.functions[0];
/// assert_eq!((interface.inputs.len(), interface.outputs.len(), interface.states.len()), (1, 1, 0));
/// # Ok::<(), anemone::bundle::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interface {
    /// The name of the function.
    pub name: String,
    /// What it takes.
    pub inputs: Vec<Feature>,
    /// What it gives.
    pub outputs: Vec<Feature>,
    /// What it keeps from one run to the next.
    pub states: Vec<Feature>,
    /// The output that is the predicted class or value, where the model is a classifier or regressor.
    pub predicted_feature: Option<String>,
    /// The output that holds the probabilities of the classes.
    pub predicted_probabilities: Option<String>,
}

/// A named input, output or state.
///
/// ```
/// # let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");
/// use anemone::bundle::{self, FeatureKind};
/// let description = bundle::open(digits)?.description.unwrap();
/// let image = &description.functions[0].inputs[0];
/// assert!(matches!(&image.kind, FeatureKind::Array(array) if array.shape == [1, 1, 8, 8]));
/// # Ok::<(), anemone::bundle::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// What it is, in the words of the model's author.
    pub description: String,
    /// What values it takes.
    pub kind: FeatureKind,
    /// Whether it may be left out.
    pub optional: bool,
}

/// What values a feature takes.
///
/// ```
/// # let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");
/// use anemone::bundle::{self, FeatureKind};
/// let description = bundle::open(digits)?.description.unwrap();
/// for feature in &description.functions[0].inputs {
///     match &feature.kind {
///         FeatureKind::Array(array) => println!("{}: {:?}", feature.name, array.shape),
///         FeatureKind::Image(image) => println!("{}: {} by {}", feature.name, image.width, image.height),
///         other => println!("{}: {other:?}", feature.name),
///     }
/// }
/// # Ok::<(), anemone::bundle::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureKind {
    /// A whole number.
    Int64,
    /// A number.
    Double,
    /// A string.
    String,
    /// An image.
    Image(ImageFeature),
    /// A tensor.
    Array(ArrayFeature),
    /// A map of numbers, by names or whole numbers.
    Dictionary(Key),
    /// A sequence of strings or whole numbers.
    Sequence {
        /// The items.
        item: Key,
        /// How many there may be.
        length: SizeRange,
    },
    /// A tensor that outlives a run.
    State(ArrayFeature),
    /// Not stated, or of a kind that anemone does not know.
    Unknown,
}

/// What a dictionary is keyed by, or a sequence made of.
///
/// ```
/// use anemone::bundle::{FeatureKind, Key};
/// // A classifier gives the probability of each class by its name.
/// let probabilities = FeatureKind::Dictionary(Key::String);
/// assert!(matches!(probabilities, FeatureKind::Dictionary(Key::String)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Whole numbers.
    Int64,
    /// Strings.
    String,
}

/// An image.
///
/// ```
/// use anemone::bundle::{Colour, Flexibility, ImageFeature};
/// let camera = ImageFeature { height: 224, width: 224, colour: Colour::Rgb, sizes: Flexibility::Fixed };
/// assert_eq!(camera.height * camera.width, 50_176);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ImageFeature {
    /// The height in pixels.
    pub height: u64,
    /// The width in pixels.
    pub width: u64,
    /// The order and number of the channels.
    pub colour: Colour,
    /// Which other sizes it may have: `[height, width]`.
    pub sizes: Flexibility,
}

/// The order and number of an image's channels.
///
/// ```
/// use anemone::bundle::Colour;
/// let channels = |colour| match colour {
///     Colour::Grayscale | Colour::GrayscaleFp16 => Some(1),
///     Colour::Rgb | Colour::Bgr => Some(3),
///     Colour::Unknown => None,
/// };
/// assert_eq!(channels(Colour::Bgr), Some(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// One channel of bytes.
    Grayscale,
    /// One channel of fp16.
    GrayscaleFp16,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Not stated.
    Unknown,
}

/// A tensor.
///
/// ```
/// # let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");
/// use anemone::bundle::{self, FeatureKind, Flexibility};
/// let description = bundle::open(digits)?.description.unwrap();
/// let FeatureKind::Array(array) = &description.functions[0].inputs[0].kind else { panic!() };
/// assert_eq!((&array.flexibility, array.default), (&Flexibility::Fixed, None));
/// # Ok::<(), anemone::bundle::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayFeature {
    /// The dtype of the elements; `None` where it is not stated.
    pub dtype: Option<DType>,
    /// The shape, or the one that it has by default.
    pub shape: Vec<u64>,
    /// Which other shapes it may have.
    pub flexibility: Flexibility,
    /// The value of all elements when an optional input is left out.
    pub default: Option<f64>,
}

/// Which shapes a tensor or image may have besides its own.
///
/// ```
/// use anemone::bundle::{Flexibility, SizeRange};
/// let any_batch = Flexibility::Ranges(vec![SizeRange { lower: 1, upper: None }]);
/// assert_ne!(any_batch, Flexibility::Fixed);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Flexibility {
    /// No other.
    #[default]
    Fixed,
    /// These.
    Enumerated(Vec<Vec<u64>>),
    /// Those whose every dimension lies in its range.
    Ranges(Vec<SizeRange>),
}

/// From `lower` to `upper`, both included.
///
/// ```
/// use anemone::bundle::SizeRange;
/// let at_least_two = SizeRange { lower: 2, upper: None };
/// assert_ne!(at_least_two, SizeRange { upper: Some(8), ..at_least_two });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeRange {
    /// The smallest.
    pub lower: u64,
    /// The largest, if there is one.
    pub upper: Option<u64>,
}

/// Who made a model, and what else is said of it.
///
/// ```
/// # let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");
/// let metadata = anemone::bundle::open(digits)?.description.unwrap().metadata;
/// println!("{} {}", metadata.short_description, metadata.version);
/// # Ok::<(), anemone::bundle::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// What it does, in short.
    pub short_description: String,
    /// Its version.
    pub version: String,
    /// Who made it.
    pub author: String,
    /// Its licence.
    pub license: String,
    /// Whatever else, by name.
    pub user_defined: BTreeMap<String, String>,
}

/// Reads a description from the bytes of its message.
///
/// # Errors
///
/// `protobuf-invalid`.
pub(super) fn decode(bytes: &[u8]) -> Result<Description, Diagnostic> {
    let m = proto::ModelDescription::decode(bytes)
        .map_err(|e| invalid(format_args!("its description is broken: {e}")))?;
    let text = |s: &String| Some(s.clone()).filter(|s| !s.is_empty());
    let features = |f: &[proto::FeatureDescription]| f.iter().map(feature).collect();
    let functions = if m.functions.is_empty() {
        vec![Interface {
            name: text(&m.default_function_name).unwrap_or_else(|| "main".into()),
            inputs: features(&m.input),
            outputs: features(&m.output),
            states: features(&m.state),
            predicted_feature: text(&m.predicted_feature_name),
            predicted_probabilities: text(&m.predicted_probabilities_name),
        }]
    } else {
        let interface = |f: &proto::FunctionDescription| Interface {
            name: f.name.clone(),
            inputs: features(&f.input),
            outputs: features(&f.output),
            states: features(&f.state),
            predicted_feature: text(&f.predicted_feature_name),
            predicted_probabilities: text(&f.predicted_probabilities_name),
        };
        m.functions.iter().map(interface).collect()
    };
    let metadata = m.metadata.unwrap_or_default();
    Ok(Description {
        functions,
        default_function: text(&m.default_function_name),
        metadata: Metadata {
            short_description: metadata.short_description,
            version: metadata.version_string,
            author: metadata.author,
            license: metadata.license,
            user_defined: metadata.user_defined,
        },
    })
}

fn feature(f: &proto::FeatureDescription) -> Feature {
    let ty = f.r#type.as_ref();
    let size = |n: i64| u64::try_from(n).unwrap_or(0);
    let kind = match ty.and_then(|t| t.r#type.as_ref()) {
        Some(FeatureTypeKind::Int64(_)) => FeatureKind::Int64,
        Some(FeatureTypeKind::Double(_)) => FeatureKind::Double,
        Some(FeatureTypeKind::String(_)) => FeatureKind::String,
        Some(FeatureTypeKind::Image(i)) => FeatureKind::Image(ImageFeature {
            height: size(i.height),
            width: size(i.width),
            colour: match ColorSpace::try_from(i.color_space) {
                Ok(ColorSpace::Grayscale) => Colour::Grayscale,
                Ok(ColorSpace::GrayscaleFloat16) => Colour::GrayscaleFp16,
                Ok(ColorSpace::Rgb) => Colour::Rgb,
                Ok(ColorSpace::Bgr) => Colour::Bgr,
                Ok(ColorSpace::Invalid) | Err(_) => Colour::Unknown,
            },
            sizes: match &i.size_flexibility {
                None => Flexibility::Fixed,
                Some(SizeFlexibility::Enumerated(e)) => {
                    Flexibility::Enumerated(e.sizes.iter().map(|s| vec![s.height, s.width]).collect())
                }
                Some(SizeFlexibility::Range(r)) => Flexibility::Ranges(
                    [r.height_range, r.width_range].map(|r| range(&r.unwrap_or_default())).to_vec(),
                ),
            },
        }),
        Some(FeatureTypeKind::MultiArray(a)) => FeatureKind::Array(array(a)),
        Some(FeatureTypeKind::Dictionary(d)) => match d.key_type {
            Some(DictionaryKey::Int64(_)) => FeatureKind::Dictionary(Key::Int64),
            Some(DictionaryKey::String(_)) => FeatureKind::Dictionary(Key::String),
            None => FeatureKind::Unknown,
        },
        Some(FeatureTypeKind::Sequence(s)) => {
            let length = s.size_range.as_ref().map_or(SizeRange { lower: 0, upper: None }, range);
            match s.r#type {
                Some(SequenceItem::Int64(_)) => FeatureKind::Sequence { item: Key::Int64, length },
                Some(SequenceItem::String(_)) => FeatureKind::Sequence { item: Key::String, length },
                None => FeatureKind::Unknown,
            }
        }
        Some(FeatureTypeKind::State(s)) => match &s.r#type {
            Some(StateKind::Array(a)) => FeatureKind::State(array(a)),
            None => FeatureKind::Unknown,
        },
        None => FeatureKind::Unknown,
    };
    Feature {
        name: f.name.clone(),
        description: f.short_description.clone(),
        kind,
        optional: ty.is_some_and(|t| t.is_optional),
    }
}

fn array(a: &proto::ArrayFeatureType) -> ArrayFeature {
    let sizes = |shape: &[i64]| shape.iter().map(|&n| u64::try_from(n).unwrap_or(0)).collect();
    ArrayFeature {
        dtype: match ArrayDataType::try_from(a.data_type) {
            Ok(ArrayDataType::Float16) => Some(DType::Fp16),
            Ok(ArrayDataType::Float32) => Some(DType::Fp32),
            Ok(ArrayDataType::Double) => Some(DType::Fp64),
            Ok(ArrayDataType::Int8) => Some(DType::Int8),
            Ok(ArrayDataType::Int32) => Some(DType::Int32),
            Ok(ArrayDataType::Invalid) | Err(_) => None,
        },
        shape: sizes(&a.shape),
        flexibility: match &a.shape_flexibility {
            None => Flexibility::Fixed,
            Some(ShapeFlexibility::Enumerated(e)) => {
                Flexibility::Enumerated(e.shapes.iter().map(|s| sizes(&s.shape)).collect())
            }
            Some(ShapeFlexibility::Range(r)) => {
                Flexibility::Ranges(r.size_ranges.iter().map(range).collect())
            }
        },
        default: a.default_optional_value.map(|d| match d {
            DefaultOptionalValue::Int(i) => f64::from(i),
            DefaultOptionalValue::Float(f) => f64::from(f),
            DefaultOptionalValue::Double(d) => d,
        }),
    }
}

fn range(r: &proto::SizeRange) -> SizeRange {
    SizeRange { lower: r.lower_bound, upper: u64::try_from(r.upper_bound).ok() }
}

/// The bytes of the message of a description.
///
/// `named` says whether the functions are listed by name, which models of specification version 9 and later may do.
pub(super) fn encode(d: &Description, named: bool) -> Vec<u8> {
    let features = |f: &[Feature]| f.iter().map(feature_message).collect();
    let mut m = proto::ModelDescription {
        metadata: Some(proto::Metadata {
            short_description: d.metadata.short_description.clone(),
            version_string: d.metadata.version.clone(),
            author: d.metadata.author.clone(),
            license: d.metadata.license.clone(),
            user_defined: d.metadata.user_defined.clone(),
        }),
        ..Default::default()
    };
    let text = |s: &Option<String>| s.clone().unwrap_or_default();
    match d.functions.first() {
        Some(f) if !named => {
            m.input = features(&f.inputs);
            m.output = features(&f.outputs);
            m.state = features(&f.states);
            m.predicted_feature_name = text(&f.predicted_feature);
            m.predicted_probabilities_name = text(&f.predicted_probabilities);
        }
        _ => {
            m.default_function_name = text(&d.default_function);
            m.functions = d
                .functions
                .iter()
                .map(|f| proto::FunctionDescription {
                    name: f.name.clone(),
                    input: features(&f.inputs),
                    output: features(&f.outputs),
                    state: features(&f.states),
                    predicted_feature_name: text(&f.predicted_feature),
                    predicted_probabilities_name: text(&f.predicted_probabilities),
                })
                .collect();
        }
    }
    m.encode_to_vec()
}

fn feature_message(f: &Feature) -> proto::FeatureDescription {
    let empty = proto::Empty {};
    let size = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let kind = match &f.kind {
        FeatureKind::Int64 => Some(FeatureTypeKind::Int64(empty)),
        FeatureKind::Double => Some(FeatureTypeKind::Double(empty)),
        FeatureKind::String => Some(FeatureTypeKind::String(empty)),
        FeatureKind::Image(i) => Some(FeatureTypeKind::Image(proto::ImageFeatureType {
            width: size(i.width),
            height: size(i.height),
            color_space: match i.colour {
                Colour::Grayscale => ColorSpace::Grayscale,
                Colour::GrayscaleFp16 => ColorSpace::GrayscaleFloat16,
                Colour::Rgb => ColorSpace::Rgb,
                Colour::Bgr => ColorSpace::Bgr,
                Colour::Unknown => ColorSpace::Invalid,
            } as i32,
            size_flexibility: match &i.sizes {
                Flexibility::Fixed => None,
                Flexibility::Enumerated(sizes) => {
                    let at = |s: &[u64], i: usize| s.get(i).copied().unwrap_or(0);
                    Some(SizeFlexibility::Enumerated(proto::EnumeratedImageSizes {
                        sizes: sizes
                            .iter()
                            .map(|s| proto::ImageSize { width: at(s, 1), height: at(s, 0) })
                            .collect(),
                    }))
                }
                Flexibility::Ranges(r) => Some(SizeFlexibility::Range(proto::ImageSizeRange {
                    width_range: r.get(1).map(range_message),
                    height_range: r.first().map(range_message),
                })),
            },
        })),
        FeatureKind::Array(a) => Some(FeatureTypeKind::MultiArray(array_message(a))),
        FeatureKind::Dictionary(key) => Some(FeatureTypeKind::Dictionary(proto::DictionaryFeatureType {
            key_type: Some(match key {
                Key::Int64 => DictionaryKey::Int64(empty),
                Key::String => DictionaryKey::String(empty),
            }),
        })),
        FeatureKind::Sequence { item, length } => {
            Some(FeatureTypeKind::Sequence(proto::SequenceFeatureType {
                r#type: Some(match item {
                    Key::Int64 => SequenceItem::Int64(empty),
                    Key::String => SequenceItem::String(empty),
                }),
                size_range: Some(range_message(length)),
            }))
        }
        FeatureKind::State(a) => Some(FeatureTypeKind::State(proto::StateFeatureType {
            r#type: Some(StateKind::Array(array_message(a))),
        })),
        FeatureKind::Unknown => None,
    };
    proto::FeatureDescription {
        name: f.name.clone(),
        short_description: f.description.clone(),
        r#type: Some(proto::FeatureType { r#type: kind, is_optional: f.optional }),
    }
}

fn array_message(a: &ArrayFeature) -> proto::ArrayFeatureType {
    let sizes = |s: &[u64]| s.iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX)).collect();
    proto::ArrayFeatureType {
        shape: sizes(&a.shape),
        data_type: match a.dtype {
            Some(DType::Fp16) => ArrayDataType::Float16,
            Some(DType::Fp32) => ArrayDataType::Float32,
            Some(DType::Fp64) => ArrayDataType::Double,
            Some(DType::Int8) => ArrayDataType::Int8,
            Some(DType::Int32) => ArrayDataType::Int32,
            _ => ArrayDataType::Invalid,
        } as i32,
        shape_flexibility: match &a.flexibility {
            Flexibility::Fixed => None,
            Flexibility::Enumerated(shapes) => {
                let shapes = shapes.iter().map(|s| proto::ArrayShape { shape: sizes(s) }).collect();
                Some(ShapeFlexibility::Enumerated(proto::EnumeratedShapes { shapes }))
            }
            Flexibility::Ranges(r) => Some(ShapeFlexibility::Range(proto::ShapeRange {
                size_ranges: r.iter().map(range_message).collect(),
            })),
        },
        default_optional_value: a.default.map(|d| match a.dtype {
            Some(DType::Int32 | DType::Int8) => DefaultOptionalValue::Int(d as i32),
            Some(DType::Fp64) => DefaultOptionalValue::Double(d),
            _ => DefaultOptionalValue::Float(d as f32),
        }),
    }
}

fn range_message(r: &SizeRange) -> proto::SizeRange {
    proto::SizeRange {
        lower_bound: r.lower,
        upper_bound: r.upper.map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX)),
    }
}
