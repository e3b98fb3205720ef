//! The protobuf messages of Core ML model files, as far as anemone reads and writes them.
//!
//! Field names and numbers are those of the format. Fields that are not listed are skipped when a message is read.
//! Maps are ordered, so that the same program is always written as the same bytes.

use std::collections::BTreeMap;

use prost::{Enumeration, Message, Oneof};

/// A program as a model file holds it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Program {
    #[prost(int64, tag = "1")]
    pub version: i64,
    #[prost(btree_map = "string, message", tag = "2")]
    pub functions: BTreeMap<String, Function>,
    #[prost(string, tag = "3")]
    pub doc_string: String,
    #[prost(btree_map = "string, message", tag = "4")]
    pub attributes: BTreeMap<String, Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Function {
    #[prost(message, repeated, tag = "1")]
    pub inputs: Vec<NamedValueType>,
    #[prost(string, tag = "2")]
    pub opset: String,
    #[prost(btree_map = "string, message", tag = "3")]
    pub block_specializations: BTreeMap<String, Block>,
    #[prost(btree_map = "string, message", tag = "4")]
    pub attributes: BTreeMap<String, Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Block {
    #[prost(message, repeated, tag = "1")]
    pub inputs: Vec<NamedValueType>,
    #[prost(string, repeated, tag = "2")]
    pub outputs: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    pub operations: Vec<Operation>,
    #[prost(btree_map = "string, message", tag = "4")]
    pub attributes: BTreeMap<String, Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Operation {
    #[prost(string, tag = "1")]
    pub r#type: String,
    #[prost(btree_map = "string, message", tag = "2")]
    pub inputs: BTreeMap<String, Argument>,
    #[prost(message, repeated, tag = "3")]
    pub outputs: Vec<NamedValueType>,
    #[prost(message, repeated, tag = "4")]
    pub blocks: Vec<Block>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub attributes: BTreeMap<String, Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Argument {
    #[prost(message, repeated, tag = "1")]
    pub arguments: Vec<Binding>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Binding {
    #[prost(oneof = "BindingKind", tags = "1, 2")]
    pub binding: Option<BindingKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum BindingKind {
    #[prost(string, tag = "1")]
    Name(String),
    #[prost(message, tag = "2")]
    Value(Value),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NamedValueType {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<ValueType>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueType {
    #[prost(oneof = "ValueTypeKind", tags = "1, 2, 3, 4, 5")]
    pub r#type: Option<ValueTypeKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum ValueTypeKind {
    #[prost(message, tag = "1")]
    Tensor(TensorType),
    #[prost(message, tag = "2")]
    List(Box<ListType>),
    #[prost(message, tag = "3")]
    Tuple(TupleType),
    #[prost(message, tag = "4")]
    Dictionary(Box<DictionaryType>),
    #[prost(message, tag = "5")]
    State(Box<StateType>),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorType {
    #[prost(enumeration = "DataType", tag = "1")]
    pub data_type: i32,
    #[prost(int64, tag = "2")]
    pub rank: i64,
    #[prost(message, repeated, tag = "3")]
    pub dimensions: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TupleType {
    #[prost(message, repeated, tag = "1")]
    pub types: Vec<ValueType>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListType {
    #[prost(message, optional, tag = "1")]
    pub r#type: Option<ValueType>,
    #[prost(message, optional, tag = "2")]
    pub length: Option<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DictionaryType {
    #[prost(message, optional, tag = "1")]
    pub key_type: Option<ValueType>,
    #[prost(message, optional, tag = "2")]
    pub value_type: Option<ValueType>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StateType {
    #[prost(message, optional, tag = "1")]
    pub wrapped_type: Option<ValueType>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Dimension {
    #[prost(oneof = "DimensionKind", tags = "1, 2")]
    pub dimension: Option<DimensionKind>,
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(super) enum DimensionKind {
    #[prost(message, tag = "1")]
    Constant(ConstantDimension),
    #[prost(message, tag = "2")]
    Unknown(UnknownDimension),
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct ConstantDimension {
    #[prost(uint64, tag = "1")]
    pub size: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct UnknownDimension {
    #[prost(bool, tag = "1")]
    pub variadic: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    pub doc_string: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<ValueType>,
    #[prost(oneof = "ValueKind", tags = "3, 5")]
    pub value: Option<ValueKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum ValueKind {
    #[prost(message, tag = "3")]
    Immediate(ImmediateValue),
    #[prost(message, tag = "5")]
    BlobFile(BlobFileValue),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BlobFileValue {
    #[prost(string, tag = "1")]
    pub file_name: String,
    #[prost(uint64, tag = "2")]
    pub offset: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ImmediateValue {
    #[prost(oneof = "ImmediateKind", tags = "1, 2, 3, 4")]
    pub value: Option<ImmediateKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum ImmediateKind {
    #[prost(message, tag = "1")]
    Tensor(TensorValue),
    #[prost(message, tag = "2")]
    Tuple(TupleValue),
    #[prost(message, tag = "3")]
    List(ListValue),
    #[prost(message, tag = "4")]
    Dictionary(DictionaryValue),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorValue {
    #[prost(oneof = "TensorValueKind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<TensorValueKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum TensorValueKind {
    #[prost(message, tag = "1")]
    Floats(RepeatedFloats),
    #[prost(message, tag = "2")]
    Ints(RepeatedInts),
    #[prost(message, tag = "3")]
    Bools(RepeatedBools),
    #[prost(message, tag = "4")]
    Strings(RepeatedStrings),
    #[prost(message, tag = "5")]
    LongInts(RepeatedLongInts),
    #[prost(message, tag = "6")]
    Doubles(RepeatedDoubles),
    #[prost(message, tag = "7")]
    Bytes(RepeatedBytes),
}

macro_rules! repeated {
    ($($name:ident $kind:ident $rust:ty;)*) => { $(
        #[derive(Clone, PartialEq, Message)]
        pub(super) struct $name {
            #[prost($kind, repeated, tag = "1")]
            pub values: Vec<$rust>,
        }
    )* };
}
repeated! {
    RepeatedFloats float f32;
    RepeatedInts int32 i32;
    RepeatedBools bool bool;
    RepeatedStrings string String;
    RepeatedLongInts int64 i64;
    RepeatedDoubles double f64;
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RepeatedBytes {
    #[prost(bytes = "vec", tag = "1")]
    pub values: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TupleValue {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListValue {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DictionaryValue {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValuePair>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValuePair {
    #[prost(message, optional, tag = "1")]
    pub key: Option<Value>,
    #[prost(message, optional, tag = "2")]
    pub value: Option<Value>,
}

/// The dtypes of programs; the numbers differ from those in weight files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum DataType {
    Unused = 0,
    Bool = 1,
    String = 2,
    Float16 = 10,
    Float32 = 11,
    Float64 = 12,
    Bfloat16 = 13,
    Int8 = 21,
    Int16 = 22,
    Int32 = 23,
    Int64 = 24,
    Int4 = 25,
    Uint8 = 31,
    Uint16 = 32,
    Uint32 = 33,
    Uint64 = 34,
    Uint4 = 35,
    Uint2 = 36,
    Uint1 = 37,
    Uint6 = 38,
    Uint3 = 39,
    Float8E4M3FN = 40,
    Float8E5M2 = 41,
}

/// What a model says of itself to its callers.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelDescription {
    #[prost(message, repeated, tag = "1")]
    pub input: Vec<FeatureDescription>,
    #[prost(message, repeated, tag = "10")]
    pub output: Vec<FeatureDescription>,
    #[prost(string, tag = "11")]
    pub predicted_feature_name: String,
    #[prost(string, tag = "12")]
    pub predicted_probabilities_name: String,
    #[prost(message, repeated, tag = "13")]
    pub state: Vec<FeatureDescription>,
    #[prost(message, repeated, tag = "20")]
    pub functions: Vec<FunctionDescription>,
    #[prost(string, tag = "21")]
    pub default_function_name: String,
    #[prost(message, optional, tag = "100")]
    pub metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FunctionDescription {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "2")]
    pub input: Vec<FeatureDescription>,
    #[prost(message, repeated, tag = "3")]
    pub output: Vec<FeatureDescription>,
    #[prost(string, tag = "4")]
    pub predicted_feature_name: String,
    #[prost(string, tag = "5")]
    pub predicted_probabilities_name: String,
    #[prost(message, repeated, tag = "6")]
    pub state: Vec<FeatureDescription>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metadata {
    #[prost(string, tag = "1")]
    pub short_description: String,
    #[prost(string, tag = "2")]
    pub version_string: String,
    #[prost(string, tag = "3")]
    pub author: String,
    #[prost(string, tag = "4")]
    pub license: String,
    #[prost(btree_map = "string, string", tag = "100")]
    pub user_defined: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FeatureDescription {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub short_description: String,
    #[prost(message, optional, tag = "3")]
    pub r#type: Option<FeatureType>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FeatureType {
    #[prost(oneof = "FeatureTypeKind", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub r#type: Option<FeatureTypeKind>,
    #[prost(bool, tag = "1000")]
    pub is_optional: bool,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum FeatureTypeKind {
    #[prost(message, tag = "1")]
    Int64(Empty),
    #[prost(message, tag = "2")]
    Double(Empty),
    #[prost(message, tag = "3")]
    String(Empty),
    #[prost(message, tag = "4")]
    Image(ImageFeatureType),
    #[prost(message, tag = "5")]
    MultiArray(ArrayFeatureType),
    #[prost(message, tag = "6")]
    Dictionary(DictionaryFeatureType),
    #[prost(message, tag = "7")]
    Sequence(SequenceFeatureType),
    #[prost(message, tag = "8")]
    State(StateFeatureType),
}

/// A message without fields.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Empty {}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct SizeRange {
    #[prost(uint64, tag = "1")]
    pub lower_bound: u64,
    #[prost(int64, tag = "2")]
    pub upper_bound: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ImageFeatureType {
    #[prost(int64, tag = "1")]
    pub width: i64,
    #[prost(int64, tag = "2")]
    pub height: i64,
    #[prost(enumeration = "ColorSpace", tag = "3")]
    pub color_space: i32,
    #[prost(oneof = "SizeFlexibility", tags = "21, 31")]
    pub size_flexibility: Option<SizeFlexibility>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum SizeFlexibility {
    #[prost(message, tag = "21")]
    Enumerated(EnumeratedImageSizes),
    #[prost(message, tag = "31")]
    Range(ImageSizeRange),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EnumeratedImageSizes {
    #[prost(message, repeated, tag = "1")]
    pub sizes: Vec<ImageSize>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct ImageSize {
    #[prost(uint64, tag = "1")]
    pub width: u64,
    #[prost(uint64, tag = "2")]
    pub height: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct ImageSizeRange {
    #[prost(message, optional, tag = "1")]
    pub width_range: Option<SizeRange>,
    #[prost(message, optional, tag = "2")]
    pub height_range: Option<SizeRange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum ColorSpace {
    Invalid = 0,
    Grayscale = 10,
    Rgb = 20,
    Bgr = 30,
    GrayscaleFloat16 = 40,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ArrayFeatureType {
    #[prost(int64, repeated, tag = "1")]
    pub shape: Vec<i64>,
    #[prost(enumeration = "ArrayDataType", tag = "2")]
    pub data_type: i32,
    #[prost(oneof = "ShapeFlexibility", tags = "21, 31")]
    pub shape_flexibility: Option<ShapeFlexibility>,
    #[prost(oneof = "DefaultOptionalValue", tags = "41, 51, 61")]
    pub default_optional_value: Option<DefaultOptionalValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum ShapeFlexibility {
    #[prost(message, tag = "21")]
    Enumerated(EnumeratedShapes),
    #[prost(message, tag = "31")]
    Range(ShapeRange),
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(super) enum DefaultOptionalValue {
    #[prost(int32, tag = "41")]
    Int(i32),
    #[prost(float, tag = "51")]
    Float(f32),
    #[prost(double, tag = "61")]
    Double(f64),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EnumeratedShapes {
    #[prost(message, repeated, tag = "1")]
    pub shapes: Vec<ArrayShape>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ArrayShape {
    #[prost(int64, repeated, tag = "1")]
    pub shape: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ShapeRange {
    #[prost(message, repeated, tag = "1")]
    pub size_ranges: Vec<SizeRange>,
}

/// The dtypes of multi-arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum ArrayDataType {
    Invalid = 0,
    Float16 = 65552,
    Float32 = 65568,
    Double = 65600,
    Int8 = 131_080,
    Int32 = 131_104,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct DictionaryFeatureType {
    #[prost(oneof = "DictionaryKey", tags = "1, 2")]
    pub key_type: Option<DictionaryKey>,
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(super) enum DictionaryKey {
    #[prost(message, tag = "1")]
    Int64(Empty),
    #[prost(message, tag = "2")]
    String(Empty),
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct SequenceFeatureType {
    #[prost(oneof = "SequenceItem", tags = "1, 3")]
    pub r#type: Option<SequenceItem>,
    #[prost(message, optional, tag = "101")]
    pub size_range: Option<SizeRange>,
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(super) enum SequenceItem {
    #[prost(message, tag = "1")]
    Int64(Empty),
    #[prost(message, tag = "3")]
    String(Empty),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StateFeatureType {
    #[prost(oneof = "StateKind", tags = "1")]
    pub r#type: Option<StateKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum StateKind {
    #[prost(message, tag = "1")]
    Array(ArrayFeatureType),
}
