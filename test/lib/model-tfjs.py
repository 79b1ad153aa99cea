"""Converts tiny TensorFlow.js graphs with random weights and compares them, at the size they were made for and at another,
with TensorFlow's own definitions in plain numpy.

    model-tfjs.py PROGRAM-FOLDER        prints one JSON object a line: {"case", "within"} or {"case", "refused"}
"""
import base64
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from quiet import onnx, onnxruntime  # noqa: E402  first: silences the import
import numpy as np  # noqa: E402
import tfjs  # noqa: E402
import tfjs_detectors  # noqa: E402
from convert import Converter  # noqa: E402
from graph import GraphBuilder  # noqa: E402
from heads import Misfit  # noqa: E402
from onnx import TensorProto  # noqa: E402

CHANNELS = 4
random = np.random.default_rng(16)


class Source:
    """A graph model of one input `image`; every node has the same channels unless it says otherwise."""

    def __init__(self):
        self.nodes = [{"name": "image", "op": "Placeholder"}]
        self.weights = {}

    def constant(self, value, dtype="float32"):
        name = f"constant{len(self.weights)}"
        self.weights[name] = np.asarray(value, dtype)
        self.nodes.append({"name": name, "op": "Const"})
        return name

    def add(self, op, inputs, bytes_as_list=False, **attributes):
        name = f"node{len(self.nodes)}"
        self.nodes.append({"name": name, "op": op, "input": inputs,
                           "attr": {key: self._attribute(value, bytes_as_list) for key, value in attributes.items()}})
        return name

    def _attribute(self, value, bytes_as_list):
        if isinstance(value, bool):
            return {"b": value}
        if isinstance(value, str):
            return {"s": list(value.encode()) if bytes_as_list else base64.b64encode(value.encode()).decode()}
        if isinstance(value, float):
            return {"f": value}
        kind = "s" if isinstance(value[0], str) else "i"
        return {"list": {kind: [self._attribute(one, False)["s"] if kind == "s" else str(one) for one in value]}}

    def write(self, folder):
        path = Path(folder) / "model.json"
        manifest = [{"name": name, "shape": list(one.shape), "dtype": str(one.dtype)} for name, one in self.weights.items()]
        (Path(folder) / "weights.bin").write_bytes(b"".join(one.tobytes() for one in self.weights.values()))
        path.write_text(json.dumps({"modelTopology": {"node": self.nodes},
                                    "weightsManifest": [{"paths": ["weights.bin"], "weights": manifest}]}))
        return path


def conv(x, weights, strides, padding, trained):
    """NHWC. SAME pads what TensorFlow pads at the size `trained`, and behind as much as gives every cell."""
    height, width, _, out = weights.shape
    pads = []
    for side, made, length, step in zip(x.shape[1:3], trained, (height, width), strides):
        before = max((-(-made // step) - 1) * step + length - made, 0) // 2 if padding == "SAME" else 0
        cells = -(-side // step) if padding == "SAME" else (side - length) // step + 1
        pads.append((before, max((cells - 1) * step + length - side - before, 0), cells))
    padded = np.pad(x, ((0, 0), pads[0][:2], pads[1][:2], (0, 0)))
    result = np.zeros((1, pads[0][2], pads[1][2], out))
    for line in range(pads[0][2]):
        for column in range(pads[1][2]):
            top, left = line * strides[0], column * strides[1]
            result[0, line, column] = np.tensordot(padded[0, top:top + height, left:left + width], weights, 3)
    return result


def depthwise(x, weights, *rest):
    height, width, channels, _ = weights.shape
    full = np.zeros((height, width, channels, channels))
    for channel in range(channels):
        full[:, :, channel, channel] = weights[:, :, channel, 0]
    return conv(x, full, *rest)


def doubled(x):
    """ResizeBilinear to twice the size, corners not aligned, no half pixels: between cell i and i + 1 lies their mean."""
    for axis in (1, 2):
        following = np.concatenate([np.take(x, range(1, x.shape[axis]), axis), np.take(x, [-1], axis)], axis)
        x = np.stack([x, (x + following) / 2], axis + 1).reshape(*x.shape[:axis], -1, *x.shape[axis + 1:])
    return x


def weights(size, out=CHANNELS, inputs=CHANNELS):
    return random.normal(size=(size, size, inputs, out)).astype(np.float32)


def per_channel():
    return random.uniform(0.5, 2, CHANNELS).astype(np.float32)


def with_conv(then):
    """A case in which a convolution of 1x1 comes first: `then(source, node, values)` gives the output and its values."""
    def case(source, x, trained):
        kernel = weights(1)
        node = source.add("Conv2D", ["image", source.constant(kernel)], strides=[1, 1, 1, 1], padding="SAME")
        return then(source, node, conv(x, kernel, (1, 1), "SAME", trained))
    return case


def convolution(op, kernel_size, step, padding, old=False):
    def case(source, x, trained):
        kernel = weights(kernel_size, 1 if "Depthwise" in op else CHANNELS)
        bias = per_channel()
        fused = {"fused_ops": ["BiasAdd", "Relu6"]} if "used" in op else {}
        node = source.add(op, ["image", source.constant(kernel), *([source.constant(bias)] if fused else [])],
                          bytes_as_list=old, strides=[1, step, step, 1], padding=padding, **fused)
        made = (depthwise if "Depthwise" in op else conv)(x, kernel, (step, step), padding, trained)
        return node, np.clip(made + bias, 0, 6) if fused else made
    return case


def batch_norm(source, node, values):
    gamma, beta, mean, variance = (per_channel() for _ in range(4))
    made = source.add("FusedBatchNorm", [node, *map(source.constant, (gamma, beta, mean, variance))], epsilon=0.001,
                      is_training=False)
    return made, (values - mean) / np.sqrt(variance + 0.001) * gamma + beta


def scaled_and_moved(source, node, values):
    factor, bias = per_channel(), per_channel()
    product = source.add("Mul", [node, source.constant(factor)])
    return source.add("Add", [source.constant(bias), product]), values * factor + bias


def hard_swish(source, node, values):
    sixth = source.add("Mul", [source.constant(np.float32(1 / 6)), node])
    limited = source.add("Relu6", [source.add("Add", [node, source.constant(np.float32(3))])])
    return source.add("Mul", [sixth, limited]), values / 6 * np.clip(values + 3, 0, 6)


def squeeze_excite(source, node, values):
    mean = source.add("Mean", [node, source.constant([1, 2], "int32")], keep_dims=True)
    gate = source.add("Sigmoid", [mean])
    return (source.add("Mul", [gate, node]),
            values / (1 + np.exp(-values.mean(axis=(1, 2), keepdims=True))))


def residual(source, node, values):
    """The rewritten form: the bias is added after the sum of branches, one of which others read too."""
    kernel, bias = weights(1), per_channel()
    branch = source.add("Conv2D", [node, source.constant(kernel)], strides=[1, 1, 1, 1], padding="VALID")
    total = source.add("AddN", [branch, node])
    return (source.add("Add", [source.constant(bias), total]),
            values + conv(values, kernel, (1, 1), "VALID", (1, 1)) + bias)


def shared_bias(source, node, values):
    """A bias that must not be folded, since somebody else reads the convolution."""
    moved = source.add("BiasAdd", [node, source.constant(np.full(CHANNELS, 7, np.float32))])
    return source.add("Mul", [moved, node]), (values + 7) * values


def upsampled(size):
    def then(source, node, values):
        relu = source.add("Relu", [node])
        target = source.constant([side * 2 for side in size], "int32")
        return (source.add("ResizeBilinear", [relu, target], align_corners=False, half_pixel_centers=False),
                doubled(np.maximum(values, 0)))
    return with_conv(then)


EVEN, ODD = (12, 16), (11, 15)
CASES = [
    ("convolution, SAME, stride 2, even side", EVEN, convolution("Conv2D", 3, 2, "SAME")),
    ("convolution, SAME, stride 2, odd side", ODD, convolution("Conv2D", 3, 2, "SAME", old=True)),
    ("convolution, VALID", EVEN, convolution("Conv2D", 3, 1, "VALID")),
    ("depthwise, SAME, 5x5, stride 2", EVEN, convolution("DepthwiseConv2dNative", 5, 2, "SAME")),
    ("fused convolution", EVEN, convolution("_FusedConv2D", 1, 1, "SAME")),
    ("fused depthwise", ODD, convolution("FusedDepthwiseConv2dNative", 3, 1, "SAME")),
    ("batch normalisation", EVEN, with_conv(batch_norm)),
    ("factor and bias", EVEN, with_conv(scaled_and_moved)),
    ("hard swish", EVEN, with_conv(hard_swish)),
    ("squeeze and excite", EVEN, with_conv(squeeze_excite)),
    ("bias after a sum", EVEN, with_conv(residual)),
    ("bias that others must not see", EVEN, with_conv(shared_bias)),
    ("twice the size", EVEN, upsampled(EVEN)),
]


def check(name, trained, case, size):
    source = Source()
    x = random.normal(size=(1, *size, CHANNELS)).astype(np.float32)
    output, expected = case(source, x.astype(np.float64), trained)
    with tempfile.TemporaryDirectory() as folder:
        graph = tfjs.load(source.write(folder))
    builder = GraphBuilder()
    converter = Converter(graph, builder, "image", "image", (1, CHANNELS, *trained), "NHWC")
    made, = converter.convert([output])
    model = builder.model("case", [("image", TensorProto.FLOAT, [1, CHANNELS, "height", "width"])],
                          [(made, TensorProto.FLOAT, [1, None, None, None])], 17, {})
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # what a folded constant leaves behind is told as a warning
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found, = session.run(None, {"image": x.transpose(0, 3, 1, 2)})
    found = found.transpose(0, 2, 3, 1)
    if found.shape != expected.shape:
        raise SystemExit(f"{name}: {found.shape}, expected {expected.shape}")
    print(json.dumps({"case": f"{name}, at {size}", "within": float(np.abs(found - expected).max())}))


for title, trained_size, one in CASES:
    for run_size in (trained_size, (14, 10)):
        check(title, trained_size, one, run_size)
with tempfile.TemporaryDirectory() as scratch:
    try:
        tfjs_detectors.load(Source().write(scratch), "ssd")
    except Misfit as error:
        print(json.dumps({"case": "another network", "refused": str(error)}))
