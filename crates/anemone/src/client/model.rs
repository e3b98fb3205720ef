//! A model: a program that is loaded, with surfaces of its own.

use std::time::Duration;

use super::engine::Loaded;
use super::evaluation::Evaluation;
use super::options::ModelType;
use super::request::{Request, Which};
use crate::error::Error;
use crate::surface::{Port, Surface, TensorLayout};
use crate::types::Element;

/// A program that is compiled and loaded, with a surface for each input and output. It is unloaded when it is dropped.
///
/// Inputs and outputs are in the order of the program, and are named by their number or by their name. Their sizes are
/// never given: they come from the compiled program.
///
/// ```
/// use anemone::{Client, CompileOptions, chip::Chip};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2, 1, 3]> x) {
///     tensor<fp16, [1, 2, 1, 3]> y = mul(x = x, y = x); } -> (y); }";
/// let client = Client::software(Chip::M4);
/// let mut model = client.compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
/// model.write_input_f32(0, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// model.eval()?;
/// let mut squares = [0.0; 6];
/// model.read_output_f32("y", &mut squares)?;
/// assert_eq!(squares, [1.0, 4.0, 9.0, 16.0, 25.0, 36.0]);
/// assert_eq!(model.input_layout(0)?.row_stride, 64);
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// What it takes and gives is described, and can be written and read in part, as fp16, and as bytes with the padding of
/// its rows. Here it is two channels of one row of four numbers:
///
/// ```
/// # fn model() -> Result<anemone::Model, anemone::Error> {
/// #   let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2, 1, 4]> x) {
/// #     tensor<fp16, [1, 2, 1, 4]> y = relu(x = x); } -> (y); }";
/// #   let options = anemone::CompileOptions { mil_text: text.into(), ..Default::default() };
/// #   anemone::Client::software(anemone::Chip::M4).compile(options)
/// # }
///
/// let mut model = model()?;
/// assert_eq!((model.num_inputs(), model.num_outputs(), model.raw_perf_stats_mask()), (1, 1, 0));
/// assert_eq!((model.input_channels(0)?, model.output_channels("y")?, model.spatial("x")?), (2, 2, 4));
/// assert_eq!(model.output_layout(0)?.row_stride, 64);
/// model.write_input_fp16(0, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])?;
/// model.write_input_fp16_channels(0, 1, &[-1.0; 4])?; // from the second channel on
/// model.eval_within(std::time::Duration::from_secs(60))?;
/// let (mut all, mut second) = ([0.0; 8], [9.0; 4]);
/// model.read_output_fp16(0, &mut all)?;
/// model.read_output_fp16_channels(0, 1, &mut second)?;
/// assert_eq!((all, second), ([1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0], [0.0; 4]));
///
/// // Bytes, with padding: each row takes 64.
/// model.write_input(0, &[0; 128])?;
/// model.with_locked_input("x", |bytes| bytes[64..66].copy_from_slice(&0x3c00u16.to_le_bytes()))?;
/// model.eval()?;
/// assert_eq!(model.with_locked_output("y", |bytes| (bytes[0], bytes[65]))?, (0, 0x3c));
/// // Columns 0 to 1 of channel 1 become column 2 of channel 0 of the input.
/// model.copy_output_range_to_input("y", 1..2, 0..1, &model, "x", (0, 2))?;
/// model.eval()?;
/// model.read_output_fp16("y", &mut all)?;
/// assert_eq!(all, [0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// Its surfaces can be bound to other requests of it, and evaluations can end elsewhere:
///
/// ```
/// # fn model() -> Result<anemone::Model, anemone::Error> {
/// #   let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2, 1, 4]> x) {
/// #     tensor<fp16, [1, 2, 1, 4]> y = relu(x = x); } -> (y); }";
/// #   let options = anemone::CompileOptions { mil_text: text.into(), ..Default::default() };
/// #   anemone::Client::software(anemone::Chip::M4).compile(options)
/// # }
///
/// let mut model = model()?;
/// assert_eq!(model.input_surfaces()[0], *model.input_surface("x")?);
/// assert_eq!(model.output_surfaces()[0], *model.output_surface(0)?);
/// let other = anemone::Surface::for_layout(&model.output_layout(0)?)?;
/// let mut request = model.bind(&[model.input_surface(0)?], &[&other])?;
/// model.request_mut().write_input_f32(0, &[2.0; 8])?;
/// request.run()?; // the same input, and an output of its own
/// assert_eq!(other.try_read(|halves| halves[0])?, 0x4000);
///
/// let (tell, told) = std::sync::mpsc::channel();
/// model.eval_async_with_callback(move |result| tell.send(result).unwrap());
/// told.recv().unwrap()?;
/// let mut y = [0.0; 8];
/// model.request().read_output_f32(0, &mut y)?;
/// assert_eq!(y, [2.0; 8]);
/// # drop(request);
/// model.close(); // as dropping it does
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// ```
/// # use anemone::{Client, CompileOptions, chip::Chip};
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2, 1, 4]> x) {
/// #     tensor<fp16, [1, 2, 1, 4]> y = relu(x = x); } -> (y); }";
/// # let client = Client::software(Chip::M4);
/// # let mut model = client.compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
///
/// use anemone::{Model, ModelType};
/// use half::f16;
/// assert_eq!((model.compile_model_type(), model.outputs()[0].name.as_str()), (ModelType::Mil, "y"));
/// model.write_input_elements(0, &[f16::ONE; 8])?;
/// model.eval_async().wait()?;
/// let (mut bytes, mut numbers) = (vec![0; model.output_alloc_size(0)?], [f16::ZERO; 8]);
/// model.read_output(0, &mut bytes)?; // with what lies between the rows
/// model.read_output_elements(0, &mut numbers)?;
/// assert_eq!((bytes.len(), numbers), (128, [f16::ONE; 8]));
/// // The first channel of the result is the second one of the input.
/// model.copy_output_channels_to_input("y", 0..1, &model, "x", 1)?;
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Debug)]
pub struct Model {
    request: Request,
    model_type: ModelType,
    mask: u32,
}

impl Model {
    pub(super) fn new(loaded: &Loaded, model_type: ModelType, mask: u32) -> Result<Self, Error> {
        Ok(Self { request: loaded.request()?, model_type, mask })
    }

    /// Runs the program on the model's surfaces, and returns when the outputs are written.
    ///
    /// # Errors
    ///
    /// As [`Request::run`].
    pub fn eval(&mut self) -> Result<(), Error> {
        self.request.run()
    }

    /// Starts an evaluation on the model's surfaces and does not wait for it.
    ///
    /// As [`Request::start`].
    pub fn eval_async(&mut self) -> Evaluation<'_> {
        self.request.start()
    }

    /// Starts an evaluation on the model's surfaces, and calls `done` when it has ended: exactly once.
    ///
    /// As [`Request::start_then`].
    pub fn eval_async_with_callback(&mut self, done: impl FnOnce(Result<(), Error>) + Send + 'static) {
        self.request.start_then(done);
    }

    /// Runs the program on the model's surfaces, and waits for its end only so long.
    ///
    /// # Errors
    ///
    /// As [`Request::run_within`].
    pub fn eval_within(&mut self, time: Duration) -> Result<(), Error> {
        self.request.run_within(time)
    }

    /// Gives the model up, as dropping it does: its program is unloaded when nothing of it is left.
    ///
    /// ```compile_fail,E0382
    /// # fn closed(mut model: anemone::Model) -> Result<(), anemone::Error> {
    /// model.close();
    /// model.eval()
    /// # }
    /// ```
    pub fn close(self) {}

    /// Where the program came from.
    pub fn compile_model_type(&self) -> ModelType {
        self.model_type
    }

    /// The mask of the statistics that evaluations gather, as it was asked for.
    pub fn raw_perf_stats_mask(&self) -> u32 {
        self.mask
    }

    /// The model's surfaces, bound to its program.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The model's surfaces, bound to its program, to run.
    pub fn request_mut(&mut self) -> &mut Request {
        &mut self.request
    }

    /// A further request, with surfaces of its own: it can run while the model does.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when no surface can be made.
    pub fn new_request(&self) -> Result<Request, Error> {
        self.request.loaded().request()
    }

    /// A further request, on these surfaces, in the order of the program.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] when they are too few or too many, [`Error::Invalid`] when one is too small or one of an output
    /// is bound twice, [`Error::Surface`] when one is not of this engine.
    pub fn bind(&self, inputs: &[&Surface], outputs: &[&Surface]) -> Result<Request, Error> {
        let copy = |surfaces: &[&Surface]| surfaces.iter().map(|&s| s.clone()).collect();
        self.request.loaded().bind(copy(inputs), copy(outputs))
    }

    /// What the program takes, in its order.
    pub fn inputs(&self) -> &[Port] {
        self.request.inputs()
    }

    /// What the program gives, in its order.
    pub fn outputs(&self) -> &[Port] {
        self.request.outputs()
    }

    /// How many inputs there are.
    pub fn num_inputs(&self) -> usize {
        self.inputs().len()
    }

    /// How many outputs there are.
    pub fn num_outputs(&self) -> usize {
        self.outputs().len()
    }

    fn input_port(&self, input: impl Which) -> Result<&Port, Error> {
        input.position(self.inputs(), "input").map(|i| &self.inputs()[i])
    }

    fn output_port(&self, output: impl Which) -> Result<&Port, Error> {
        output.position(self.outputs(), "output").map(|i| &self.outputs()[i])
    }

    /// How an input lies in its surface.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is no such input.
    pub fn input_layout(&self, input: impl Which) -> Result<TensorLayout, Error> {
        Ok(self.input_port(input)?.layout)
    }

    /// How an output lies in its surface.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is no such output.
    pub fn output_layout(&self, output: impl Which) -> Result<TensorLayout, Error> {
        Ok(self.output_port(output)?.layout)
    }

    /// The bytes of an input's surface, padding included.
    ///
    /// # Errors
    ///
    /// As [`Model::input_layout`].
    pub fn input_alloc_size(&self, input: impl Which) -> Result<usize, Error> {
        Ok(self.input_port(input)?.layout.alloc_size())
    }

    /// The bytes of an output's surface, padding included.
    ///
    /// # Errors
    ///
    /// As [`Model::output_layout`].
    pub fn output_alloc_size(&self, output: impl Which) -> Result<usize, Error> {
        Ok(self.output_port(output)?.layout.alloc_size())
    }

    /// How many channels an input has.
    ///
    /// # Errors
    ///
    /// As [`Model::input_layout`].
    pub fn input_channels(&self, input: impl Which) -> Result<usize, Error> {
        Ok(self.input_port(input)?.layout.channels)
    }

    /// How many channels an output has.
    ///
    /// # Errors
    ///
    /// As [`Model::output_layout`].
    pub fn output_channels(&self, output: impl Which) -> Result<usize, Error> {
        Ok(self.output_port(output)?.layout.channels)
    }

    /// How many elements a channel of an input has.
    ///
    /// # Errors
    ///
    /// As [`Model::input_layout`].
    pub fn spatial(&self, input: impl Which) -> Result<usize, Error> {
        Ok(self.input_port(input)?.layout.channel_elements())
    }

    /// The surface of an input.
    ///
    /// # Errors
    ///
    /// As [`Model::input_layout`].
    pub fn input_surface(&self, input: impl Which) -> Result<&Surface, Error> {
        input.position(self.inputs(), "input").map(|i| &self.input_surfaces()[i])
    }

    /// The surface of an output.
    ///
    /// # Errors
    ///
    /// As [`Model::output_layout`].
    pub fn output_surface(&self, output: impl Which) -> Result<&Surface, Error> {
        output.position(self.outputs(), "output").map(|i| &self.output_surfaces()[i])
    }

    /// The surfaces of the inputs.
    pub fn input_surfaces(&self) -> &[Surface] {
        self.request.input_surfaces()
    }

    /// The surfaces of the outputs.
    pub fn output_surfaces(&self) -> &[Surface] {
        self.request.output_surfaces()
    }
}

super::request::delegate! { Model, |this| this.request;
    fn write_input(&mut self, input: impl Which, bytes: &[u8]);
    fn write_input_f32(&mut self, input: impl Which, values: &[f32]);
    fn write_input_fp16(&mut self, input: impl Which, values: &[f32]);
    fn write_input_fp16_channels(&mut self, input: impl Which, channel: usize, values: &[f32]);
    fn write_input_elements<T: Element>(&mut self, input: impl Which, elements: &[T]);
}

super::request::delegate! { ref Model, |this| this.request;
    fn read_output(&self, output: impl Which, bytes: &mut [u8]);
    fn read_output_f32(&self, output: impl Which, values: &mut [f32]);
    fn read_output_fp16(&self, output: impl Which, values: &mut [f32]);
    fn read_output_fp16_channels(&self, output: impl Which, channel: usize, values: &mut [f32]);
    fn read_output_elements<T: Element>(&self, output: impl Which, elements: &mut [T]);
}
