//! What a loaded model says about itself: its functions, and how their tensors lie in surfaces.

use crate::error::Error;
use crate::foundation::Plist;

/// What a loaded model says about itself.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// use anemone_apple::neural::Attributes;
/// let attributes: &Attributes = model.attributes();
/// assert!(attributes.procedure("main").is_some() && attributes.procedures.len() == 1);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Its functions, in the order of their index.
    pub procedures: Vec<Procedure>,
}

/// A function of a loaded model.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// use anemone_apple::neural::Procedure;
/// let Procedure { name, inputs, outputs, .. } = &model.attributes().procedures[0];
/// assert_eq!((name.as_str(), inputs[0].name.as_str(), outputs[0].name.as_str()), ("main", "x", "y"));
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Procedure {
    /// Its name.
    pub name: String,
    /// The index by which a request asks for it.
    pub index: u64,
    /// What it takes, in the order of the symbol index.
    pub inputs: Vec<Symbol>,
    /// What it gives, in the order of the symbol index.
    pub outputs: Vec<Symbol>,
    /// The bytes that its statistics take, if the model says.
    pub statistics_bytes: Option<usize>,
}

/// An input or output of a function, and how it lies in a surface.
///
/// Element (batch, channel, row, column) lies at `batch · batch_stride + channel · plane_stride + row · row_stride +
/// column · element_bytes`; rows begin at multiples of 64 bytes.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// use anemone_apple::neural::Symbol;
/// let x: &Symbol = &model.procedure("main")?.inputs[0];
/// assert_eq!((x.channels, x.height, x.width, x.element.as_str()), (16, 1, 64, "Float16"));
/// assert_eq!((x.row_stride, x.elements(), x.bytes()), (128, 1024, 2048));
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name in the program.
    pub name: String,
    /// The index by which a request binds a surface to it.
    pub index: u64,
    /// The element, such as `Float16`.
    pub element: String,
    /// The bytes of an element.
    pub element_bytes: usize,
    /// How many batches.
    pub batches: usize,
    /// How many channels.
    pub channels: usize,
    /// How many rows.
    pub height: usize,
    /// How many columns.
    pub width: usize,
    /// Bytes from row to row.
    pub row_stride: usize,
    /// Bytes from channel to channel.
    pub plane_stride: usize,
    /// Bytes from batch to batch.
    pub batch_stride: usize,
}

impl Symbol {
    /// The bytes that a surface for it must have.
    pub fn bytes(&self) -> usize {
        self.batches * self.batch_stride
    }

    /// How many elements it has.
    pub fn elements(&self) -> usize {
        self.batches * self.channels * self.height * self.width
    }
}

/// The most bytes that a surface of a symbol may need; attributes that say more are not believed.
const MAX_BYTES: usize = 1 << 40;

impl Attributes {
    /// Reads the dictionary that a loaded model has.
    pub(crate) fn read(attributes: &Plist) -> Result<Self, Error> {
        let wrong = |what: String| Error::Unexpected { message: "-[_ANEModel modelAttributes]", gave: what };
        let description = attributes
            .get("ANEFModelDescription")
            .ok_or_else(|| wrong("a dictionary without ANEFModelDescription".into()))?;
        let symbols = |key: &str| -> Vec<&str> {
            description
                .get(key)
                .map(Plist::items)
                .unwrap_or_default()
                .iter()
                .filter_map(Plist::as_str)
                .collect()
        };
        let inputs = symbols("kANEFModelInputSymbolsArrayKey");
        let outputs = symbols("kANEFModelOutputSymbolsArrayKey");
        let networks = attributes.get("NetworkStatusList").map(Plist::items).unwrap_or_default();
        let procedures = description.get("ANEFModelProcedures").map(Plist::items).unwrap_or_default();
        if procedures.is_empty() || procedures.len() != networks.len() {
            return Err(wrong(format!("{} procedures and {} networks", procedures.len(), networks.len())));
        }
        let bind = |procedure: &Plist, key: &str, network: &Plist, list: &str, names: &[&str]| {
            let indices = procedure.get(key).map(Plist::items).unwrap_or_default();
            let tensors = network.get(list).map(Plist::items).unwrap_or_default();
            if indices.len() != tensors.len() {
                return Err(wrong(format!(
                    "{} symbols and {} tensors in {list}",
                    indices.len(),
                    tensors.len()
                )));
            }
            indices
                .iter()
                .map(|index| {
                    let index = index.as_number().and_then(|n| u64::try_from(n).ok());
                    let named = index.and_then(|i| Some((i, *names.get(usize::try_from(i).ok()?)?)));
                    let (index, symbol) =
                        named.ok_or_else(|| wrong(format!("a symbol index outside of {key}")))?;
                    let tensor = tensors
                        .iter()
                        .find(|t| t.get("Symbol").and_then(Plist::as_str) == Some(symbol))
                        .ok_or_else(|| wrong(format!("no tensor for the symbol {symbol} in {list}")))?;
                    read_symbol(index, symbol, tensor).map_err(wrong)
                })
                .collect::<Result<Vec<_>, Error>>()
        };
        let procedures = procedures
            .iter()
            .zip(networks)
            .map(|(procedure, network)| {
                let index = procedure.get("ANEFModelProcedureID").and_then(Plist::as_number);
                let name = network.get("Name").and_then(Plist::as_str).unwrap_or_default();
                let statistics = description
                    .get("kANEFModelProcedureNameToStatsSizeMapKey")
                    .and_then(|sizes| sizes.get(name)?.as_number());
                Ok(Procedure {
                    name: name.to_string(),
                    statistics_bytes: statistics.and_then(|n| usize::try_from(n).ok()),
                    index: index
                        .and_then(|i| u64::try_from(i).ok())
                        .ok_or_else(|| wrong("a procedure without an index".into()))?,
                    inputs: bind(
                        procedure,
                        "ANEFModelInputSymbolIndexArray",
                        network,
                        "LiveInputList",
                        &inputs,
                    )?,
                    outputs: bind(
                        procedure,
                        "ANEFModelOutputSymbolIndexArray",
                        network,
                        "LiveOutputList",
                        &outputs,
                    )?,
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Self { procedures })
    }

    /// The function of this name; the only one has any name.
    pub fn procedure(&self, name: &str) -> Option<&Procedure> {
        match self.procedures.as_slice() {
            [one] => Some(one),
            many => many.iter().find(|p| p.name == name),
        }
    }
}

fn read_symbol(index: u64, symbol: &str, tensor: &Plist) -> Result<Symbol, String> {
    let number = |key: &str| {
        let n = tensor.get(key).and_then(Plist::as_number).and_then(|n| usize::try_from(n).ok());
        n.ok_or_else(|| format!("no {key} for {symbol}"))
    };
    let element = tensor.get("Type").and_then(Plist::as_str).unwrap_or_default().to_string();
    let element_bytes = match element.as_str() {
        "Float16" => 2,
        "Float32" | "Int32" => 4,
        "Int8" | "UInt8" => 1,
        other => return Err(format!("the element {other:?} of {symbol}, which is not known")),
    };
    let s = Symbol {
        name: symbol.strip_suffix("@output").unwrap_or(symbol).to_string(),
        index,
        element,
        element_bytes,
        batches: number("Batches")?,
        channels: number("Channels")?,
        height: number("Height")?,
        width: number("Width")?,
        row_stride: number("RowStride")?,
        plane_stride: number("PlaneStride")?,
        batch_stride: number("BatchStride")?,
    };
    let depth = number("Depth").unwrap_or(1);
    let fits = s.width.checked_mul(s.element_bytes).is_some_and(|row| row <= s.row_stride)
        && s.height.checked_mul(s.row_stride).is_some_and(|plane| plane <= s.plane_stride)
        && s.channels.checked_mul(s.plane_stride).is_some_and(|batch| batch <= s.batch_stride)
        && s.batches.checked_mul(s.batch_stride).is_some_and(|all| 0 < all && all <= MAX_BYTES);
    if !fits || depth != 1 {
        return Err(format!("strides for {symbol} that do not hold its elements: {s:?}, depth {depth}"));
    }
    Ok(s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary(entries: &[(&str, Plist)]) -> Plist {
        Plist::Dictionary(entries.iter().map(|(k, v)| (k.to_string(), v.clone())).collect())
    }

    fn strings(items: &[&str]) -> Plist {
        Plist::Array(items.iter().map(|s| Plist::String(s.to_string())).collect())
    }

    fn numbers(items: &[i64]) -> Plist {
        Plist::Array(items.iter().map(|&n| Plist::Number(n)).collect())
    }

    fn tensor(symbol: &str, width: i64, row: i64) -> Plist {
        let mut entries = vec![
            ("Symbol", Plist::String(symbol.into())),
            ("Type", Plist::String("Float16".into())),
            ("Width", Plist::Number(width)),
            ("RowStride", Plist::Number(row)),
            ("PlaneStride", Plist::Number(row)),
            ("BatchStride", Plist::Number(row.saturating_mul(2))),
            ("Channels", Plist::Number(2)),
        ];
        entries.extend(["Batches", "Height", "Depth"].map(|k| (k, Plist::Number(1))));
        dictionary(&entries)
    }

    fn model(inputs: &[&str], tensors: Vec<Plist>) -> Plist {
        let procedure = dictionary(&[
            ("ANEFModelProcedureID", Plist::Number(0)),
            ("ANEFModelInputSymbolIndexArray", numbers(&(0..inputs.len() as i64).collect::<Vec<_>>())),
            ("ANEFModelOutputSymbolIndexArray", numbers(&[0])),
        ]);
        let network = dictionary(&[
            ("Name", Plist::String("main".into())),
            ("LiveInputList", Plist::Array(tensors)),
            ("LiveOutputList", Plist::Array(vec![tensor("y@output", 32, 64)])),
        ]);
        dictionary(&[
            (
                "ANEFModelDescription",
                dictionary(&[
                    ("kANEFModelInputSymbolsArrayKey", strings(inputs)),
                    ("kANEFModelOutputSymbolsArrayKey", strings(&["y@output"])),
                    ("ANEFModelProcedures", Plist::Array(vec![procedure])),
                ]),
            ),
            ("NetworkStatusList", Plist::Array(vec![network])),
        ])
    }

    #[test]
    fn symbols_are_bound_by_name_and_not_by_the_order_of_the_list() {
        let m = model(&["a", "b"], vec![tensor("b", 7, 64), tensor("a", 32, 64)]);
        let a = Attributes::read(&m).unwrap();
        let p = a.procedure("anything").unwrap();
        let found: Vec<_> = p.inputs.iter().map(|s| (s.name.as_str(), s.index, s.width, s.bytes())).collect();
        assert_eq!(found, [("a", 0, 32, 128), ("b", 1, 7, 128)]);
        assert_eq!(p.outputs[0].name, "y");
    }

    #[test]
    fn attributes_that_contradict_themselves_are_refused() {
        for m in [
            Plist::Other("NSNull".into()),
            model(&["a"], vec![]),
            model(&["a"], vec![tensor("b", 7, 64)]),
            model(&["a"], vec![tensor("a", 33, 64)]),
            model(&["a"], vec![tensor("a", i64::MAX, i64::MAX)]),
        ] {
            assert!(matches!(Attributes::read(&m), Err(Error::Unexpected { .. })), "{m:?}");
        }
    }
}
