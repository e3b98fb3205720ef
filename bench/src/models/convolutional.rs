//! Networks of convolutions, with their batch norms taken into weights and biases, as converters do.

use anemone::types::{self, DType};
use anemone::{Graph, Tensor, with};

use super::Folder;
use crate::Failure;

/// The activation after a convolution.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Activation {
    None,
    Relu,
    Relu6,
    HardSwish,
}

impl Activation {
    fn of(self, g: &mut Graph, x: Tensor) -> Tensor {
        match self {
            Activation::None => x,
            Activation::Relu => g.relu(x),
            Activation::Relu6 => g.relu6(x),
            Activation::HardSwish => {
                let gate = g.sigmoid_hard(x, 1.0 / 6.0, 0.5);
                g.mul(x, gate)
            }
        }
    }
}

/// A network by the name that torchvision gives it.
pub(super) fn network(g: &mut Graph, from: &Folder, name: &str) -> Result<(), Failure> {
    let x = g.input("x", DType::Fp16, &[1, 3, 224, 224]);
    let mut net = Net { g, from };
    let y = match name {
        "resnet50" => net.resnet50(x)?,
        "mobilenetv2" => net.mobilenet_v2(x)?,
        "mobilenetv3" => net.mobilenet_v3(x)?,
        other => return Err(format!("there is no network `{other}`").into()),
    };
    g.output("y", y);
    Ok(())
}

/// A convolution: where its weights are, its stride, its groups.
struct Conv<'a> {
    weight: &'a str,
    norm: Option<&'a str>,
    epsilon: f64,
    stride: usize,
    groups: usize,
}

struct Net<'g, 'f> {
    g: &'g mut Graph,
    from: &'f Folder,
}

impl Net<'_, '_> {
    fn numbers(&self, name: &str) -> Result<Vec<f64>, Failure> {
        Ok(self.from.weight(name)?.to_f64s())
    }

    /// A convolution and the batch norm behind it; what lies around the edge is half the kernel.
    fn conv(&mut self, x: Tensor, conv: &Conv<'_>, activation: Activation) -> Result<Tensor, Failure> {
        let weight = self.from.weight(&format!("{}.weight", conv.weight))?;
        let shape = weight.shape().to_vec();
        let (mut numbers, outputs) = (weight.to_f64s(), shape[0]);
        let bias = match conv.norm {
            None => self.numbers(&format!("{}.bias", conv.weight))?,
            Some(norm) => {
                let [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
                    .map(|part| self.numbers(&format!("{norm}.{part}")));
                let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
                let scale = |o: usize| gamma[o] / (variance[o] + conv.epsilon).sqrt();
                let each = numbers.len() / outputs;
                numbers.iter_mut().enumerate().for_each(|(i, n)| *n *= scale(i / each));
                (0..outputs).map(|o| beta[o] - mean[o] * scale(o)).collect()
            }
        };
        let weight = self.g.constant_tensor(types::Tensor::from_f64s(DType::Fp16, &shape, &numbers)?);
        let bias = self.g.constant_tensor(types::Tensor::from_f64s(DType::Fp16, &[outputs], &bias)?);
        let (edge, stride, groups) = (shape[2] / 2, conv.stride, conv.groups);
        let y = self.g.conv(
            x,
            weight,
            with! { bias: bias, strides: [stride, stride], pad_type: "custom", pad: [edge; 4], groups: groups },
        );
        Ok(activation.of(self.g, y))
    }

    /// The means of the channels, and the last layers behind them.
    fn head(&mut self, x: Tensor, layers: &[(&str, Activation)]) -> Result<Tensor, Failure> {
        let mut x = self.g.mil_reduce_mean(x, with! { axes: [2, 3], keep_dims: false });
        for (name, activation) in layers {
            let weight = self.from.constant(self.g, &format!("{name}.weight"))?;
            let bias = self.from.constant(self.g, &format!("{name}.bias"))?;
            x = self.g.mil_linear(x, weight, with! { bias: bias });
            x = activation.of(self.g, x);
        }
        Ok(x)
    }

    fn resnet50(&mut self, x: Tensor) -> Result<Tensor, Failure> {
        let conv = |name: String, norm: String, stride| (name, norm, stride);
        let apply = |net: &mut Self, x, (weight, norm, stride): &(String, String, usize), activation| {
            let conv = Conv { weight, norm: Some(norm), epsilon: 1e-5, stride: *stride, groups: 1 };
            net.conv(x, &conv, activation)
        };
        let mut x = apply(self, x, &conv("conv1".into(), "bn1".into(), 2), Activation::Relu)?;
        x = self.g.mil_max_pool(x, [3, 3], "custom", with! { strides: [2, 2], pad: [1, 1, 1, 1] });
        for (stage, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
            for block in 0..blocks {
                let part = |n: usize, stride| {
                    let at = format!("layer{}.{block}", stage + 1);
                    conv(format!("{at}.conv{n}"), format!("{at}.bn{n}"), stride)
                };
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let y = apply(self, x, &part(1, 1), Activation::Relu)?;
                let y = apply(self, y, &part(2, stride), Activation::Relu)?;
                let y = apply(self, y, &part(3, 1), Activation::None)?;
                if block == 0 {
                    let at = format!("layer{}.0.downsample", stage + 1);
                    let shortcut = conv(format!("{at}.0"), format!("{at}.1"), stride);
                    x = apply(self, x, &shortcut, Activation::None)?;
                }
                let sum = self.g.add(y, x);
                x = self.g.relu(sum);
            }
        }
        self.head(x, &[("fc", Activation::None)])
    }

    /// A convolution of torchvision's `Conv2dNormActivation`, which lies at `at`.
    fn block(
        &mut self,
        x: Tensor,
        at: &str,
        stride: usize,
        groups: usize,
        epsilon: f64,
        activation: Activation,
    ) -> Result<Tensor, Failure> {
        let (weight, norm) = (format!("{at}.0"), format!("{at}.1"));
        self.conv(x, &Conv { weight: &weight, norm: Some(&norm), epsilon, stride, groups }, activation)
    }

    fn mobilenet_v2(&mut self, x: Tensor) -> Result<Tensor, Failure> {
        let mut x = self.block(x, "features.0", 2, 1, 1e-5, Activation::Relu6)?;
        let (mut at, mut channels) = (1, 32);
        for (factor, outputs, count, first) in [
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ] {
            for i in 0..count {
                let stride = if i == 0 { first } else { 1 };
                let layer = format!("features.{at}.conv");
                let (mut y, mut part) = (x, 0);
                if factor > 1 {
                    y = self.block(y, &format!("{layer}.0"), 1, 1, 1e-5, Activation::Relu6)?;
                    part = 1;
                }
                let hidden = channels * factor;
                y = self.block(y, &format!("{layer}.{part}"), stride, hidden, 1e-5, Activation::Relu6)?;
                let (weight, norm) = (format!("{layer}.{}", part + 1), format!("{layer}.{}", part + 2));
                let last = Conv { weight: &weight, norm: Some(&norm), epsilon: 1e-5, stride: 1, groups: 1 };
                y = self.conv(y, &last, Activation::None)?;
                x = if stride == 1 && channels == outputs { self.g.add(x, y) } else { y };
                (at, channels) = (at + 1, outputs);
            }
        }
        let x = self.block(x, &format!("features.{at}"), 1, 1, 1e-5, Activation::Relu6)?;
        self.head(x, &[("classifier.1", Activation::None)])
    }

    fn mobilenet_v3(&mut self, x: Tensor) -> Result<Tensor, Failure> {
        use Activation::{HardSwish as H, None, Relu as R};
        let eps = 1e-3;
        let mut x = self.block(x, "features.0", 2, 1, eps, H)?;
        let mut channels = 16;
        // What goes in between, what comes out, whether channels are weighed, the activation, the stride.
        for (i, (hidden, outputs, weighed, activation, stride)) in [
            (16, 16, false, R, 1),
            (64, 24, false, R, 2),
            (72, 24, false, R, 1),
            (72, 40, true, R, 2),
            (120, 40, true, R, 1),
            (120, 40, true, R, 1),
            (240, 80, false, H, 2),
            (200, 80, false, H, 1),
            (184, 80, false, H, 1),
            (184, 80, false, H, 1),
            (480, 112, true, H, 1),
            (672, 112, true, H, 1),
            (672, 160, true, H, 2),
            (960, 160, true, H, 1),
            (960, 160, true, H, 1),
        ]
        .into_iter()
        .enumerate()
        {
            let layer = format!("features.{}.block", i + 1);
            let (mut y, mut part) = (x, 0);
            let mut next = || {
                part += 1;
                format!("{layer}.{}", part - 1)
            };
            if hidden != channels {
                y = self.block(y, &next(), 1, 1, eps, activation)?;
            }
            y = self.block(y, &next(), stride, hidden, eps, activation)?;
            if weighed {
                let at = next();
                let mut weights = self.g.mil_reduce_mean(y, with! { axes: [2, 3], keep_dims: true });
                for (name, activation) in [("fc1", R), ("fc2", None)] {
                    let weight = format!("{at}.{name}");
                    let conv =
                        Conv { weight: &weight, norm: Option::None, epsilon: eps, stride: 1, groups: 1 };
                    weights = self.conv(weights, &conv, activation)?;
                }
                let weights = self.g.sigmoid_hard(weights, 1.0 / 6.0, 0.5);
                y = self.g.mul(y, weights);
            }
            y = self.block(y, &next(), 1, 1, eps, None)?;
            x = if stride == 1 && channels == outputs { self.g.add(x, y) } else { y };
            channels = outputs;
        }
        let x = self.block(x, "features.16", 1, 1, eps, H)?;
        self.head(x, &[("classifier.0", H), ("classifier.3", None)])
    }
}
