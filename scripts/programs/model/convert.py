"""Turns a TensorFlow.js convolution graph into ONNX (NCHW).

A source that was itself converted from an NCHW model is full of transposes around every convolution. Here they
vanish: each tensor is kept in NCHW once, and what travels through the graph is a *view* of it that remembers in which
layout TensorFlow believes it to be. Pads are folded into the convolution or pooling that follows; biases, factors and
normalisation into the convolution before, where nobody else reads it. No size of the input is baked in: resizes keep
their scale, and the fixed reshapes at the end of the source are left to the caller, who stops at the tensors before them.
"""
from collections import Counter
from typing import NamedTuple, Optional

import numpy as np

from graph import GraphBuilder
from tfjs import Graph, node_of

TO_NCHW = [0, 3, 1, 2]
TO_NHWC = [0, 2, 3, 1]


class View(NamedTuple):
    """How TensorFlow sees an NCHW tensor."""

    tensor: str
    layout: str  # "NCHW" or "NHWC"
    shape: tuple  # NCHW, at the size the source was exported with; needed only for the scale of resizes
    pads: Optional[tuple] = None  # (top, left, bottom, right) still to be applied by the next node
    pad_value: float = 0.0


class Converter:
    """Converts nodes one after another into `builder`; `views` holds what each of them gave."""

    def __init__(self, graph: Graph, builder: GraphBuilder, source: str, tensor: str, shape, layout="NCHW"):
        """`source` is the placeholder's name in `graph`, `tensor` the NCHW tensor that takes its place; `shape` is that
        of the tensor, `layout` what TensorFlow believes it to be."""
        self.graph = graph
        self.builder = builder
        self.views = {source: View(tensor, layout, tuple(shape))}
        self._readers = Counter()
        self._alone = set()  # tensors that one node of the source reads: what it does to them can be folded in

    def convert(self, outputs):
        """Converts all that `outputs` (names of nodes) need and returns their tensors' names."""
        order = [name for name in self.graph.ordered(outputs, self.views) if name not in self.views]
        self._readers.update(node_of(source) for name in order for source in self.graph.nodes[name].inputs)
        self._readers.update(outputs)
        for name in order:
            node = self.graph.nodes[name]
            if node.op not in _RULES:
                raise ValueError(f"{name}: no rule for {node.op}")
            view = self.views[name] = _RULES[node.op](self, node)
            (self._alone.add if self._readers[name] == 1 else self._alone.discard)(view.tensor)
        return [self.views[name].tensor for name in outputs]

    def view(self, node, index=0):
        """What the node reads at `index`; refuses a tensor whose pads nobody applied."""
        view = self.views[node.inputs[index]]
        if view.pads is not None:
            raise ValueError(f"{node.name}: {node.op} cannot take over the padding before it")
        return view

    def constant(self, node, index):
        """The constant the node reads at `index`."""
        return self.graph.constants[node_of(node.inputs[index])]

    def is_constant(self, node, index):
        return node_of(node.inputs[index]) in self.graph.constants

    def constant_side(self, node):
        """Index of the input that is a constant, None if none is."""
        return next((index for index in range(len(node.inputs)) if self.is_constant(node, index)), None)

    def convolution(self, tensor):
        """The convolution that makes `tensor`, if nobody else reads it."""
        node = self.builder.producer(tensor)
        return node if node is not None and node.op_type == "Conv" and tensor in self._alone else None

    def emit(self, op, view, shape, inputs=(), **attributes):
        """Adds a node that reads `view` (and `inputs`) and keeps its layout."""
        return view._replace(tensor=self.builder.add(op, [view.tensor, *inputs], **attributes),
                             shape=tuple(shape), pads=None, pad_value=0.0)


def _transpose(converter, node):
    view = converter.views[node.inputs[0]]
    permutation = converter.constant(node, 1).tolist()
    for before, after, wanted in (("NHWC", "NCHW", TO_NCHW), ("NCHW", "NHWC", TO_NHWC)):
        if permutation == wanted and view.layout == before:
            return view._replace(layout=after)
    raise ValueError(f"{node.name}: transpose {permutation} of {view.layout}")


def _pad(converter, node):
    view = converter.view(node)
    pads = converter.constant(node, 1)
    if view.layout == "NHWC":
        pads = pads[TO_NCHW]
    if pads[:2].any():
        raise ValueError(f"{node.name}: only rows and columns may be padded")
    value = float(converter.constant(node, 2)) if node.op == "PadV2" else 0.0
    (top, bottom), (left, right) = pads[2:].tolist()
    return view._replace(pads=(top, left, bottom, right), pad_value=value)


def _window(converter, node, kernel, fill):
    """(view, attributes, output height and width) of a convolution or pooling that takes over the pad before it.

    `fill` says which pad value the node itself would use.
    """
    view = converter.views[node.inputs[0]]
    padding, strides = node.attributes["padding"], node.attributes["strides"][1:3]
    if view.layout != "NHWC" or padding not in ("VALID", "SAME") or (padding == "SAME" and view.pads is not None):
        raise ValueError(f"{node.name}: expected padding of one kind in NHWC, found {padding} in {view.layout}")
    if view.pads is not None and not fill(view.pad_value):
        raise ValueError(f"{node.name}: {node.op} cannot pad with {view.pad_value}")
    common = {"kernel_shape": list(kernel), "strides": strides}
    if padding == "SAME":
        size = tuple(-(-side // step) for side, step in zip(view.shape[2:], strides))
        # TensorFlow pads less before an even side than before an odd one. What the network was trained with is kept at
        # every size, or its cells would look elsewhere; behind, what rounds any size up as SAME does.
        before = [max((cells - 1) * step + length - side, 0) // 2
                  for cells, step, length, side in zip(size, strides, kernel, view.shape[2:])]
        return view, {**common, "pads": [*before, *(length - 1 - pad for length, pad in zip(kernel, before))]}, size
    top, left, bottom, right = view.pads or (0, 0, 0, 0)
    height = (view.shape[2] + top + bottom - kernel[0]) // strides[0] + 1
    width = (view.shape[3] + left + right - kernel[1]) // strides[1] + 1
    return view, {**common, "pads": [top, left, bottom, right]}, (height, width)


def _conv(converter, node):
    weights = converter.constant(node, 1).transpose(3, 2, 0, 1).astype(np.float32)  # HWIO -> OIHW
    return _convolve(converter, node, weights)


def _depthwise(converter, node):
    height, width, channels, each = converter.constant(node, 1).shape
    weights = converter.constant(node, 1).transpose(2, 3, 0, 1).astype(np.float32)  # HWIM -> IMHW
    return _convolve(converter, node, weights.reshape(channels * each, 1, height, width), group=channels)


def _convolve(converter, node, weights, **attributes):
    if any(step != 1 for step in node.attributes.get("dilations", [])):
        raise ValueError(f"{node.name}: dilated convolution")
    view, window, size = _window(converter, node, weights.shape[2:], fill=lambda value: value == 0)
    return converter.emit("Conv", view, (view.shape[0], weights.shape[0], *size),
                          [converter.builder.constant(weights)], **window, **attributes)


def _fused(rule):
    """A convolution with a bias and perhaps an activation in one node."""
    def convert(converter, node):
        view = rule(converter, node)
        bias, *activation = node.attributes["fused_ops"]
        if bias != "BiasAdd" or activation not in ([], ["Relu"], ["Relu6"]):
            raise ValueError(f"{node.name}: fused {node.attributes['fused_ops']}")
        _set_bias(converter, converter.builder.producer(view.tensor), converter.constant(node, 2))
        return _ACTIVATIONS[activation[0]](converter, view) if activation else view
    return convert


def _max_pool(converter, node):
    kernel = node.attributes["ksize"][1:3]
    # ONNX pads a maximum with minus infinity. Any pad no larger than the data is the same: the source's converter
    # wrote the lowest float32.
    view, window, size = _window(converter, node, kernel, fill=lambda value: value < -1e30)
    return converter.emit("MaxPool", view, (*view.shape[:2], *size), **window)


def _add(converter, node):
    side = converter.constant_side(node)
    if side is not None:
        return _add_constant(converter, node, converter.view(node, 1 - side), converter.constant(node, side))
    left, right = converter.view(node, 0), converter.view(node, 1)
    if len(node.inputs) != 2 or (left.layout, left.shape) != (right.layout, right.shape):
        raise ValueError(f"{node.name}: sum of {left} and {right}")
    return converter.emit("Add", left, left.shape, [right.tensor])


def _add_bias(converter, node):
    return _add_constant(converter, node, converter.view(node), converter.constant(node, 1))


def _add_constant(converter, node, view, value):
    """Folds a constant into the convolution that made the tensor, or into one that a sum before it reads."""
    value = _per_channel(node, view, value)
    conv, before = converter.convolution(view.tensor), converter.builder.producer(view.tensor)
    if conv is None and before is not None and before.op_type == "Add":
        conv = next(filter(None, map(converter.convolution, before.input)), None)
    if conv is None:
        return converter.emit("Add", view, view.shape, [_beside(converter, value)])
    _set_bias(converter, conv, value)
    return view


def _multiply(converter, node):
    side = converter.constant_side(node)
    if side is None:
        left, right = converter.view(node, 0), converter.view(node, 1)
        if left.layout != right.layout or (left.shape[:2], 4) != (right.shape[:2], len(right.shape)):
            raise ValueError(f"{node.name}: product of {left} and {right}")
        # A factor for each channel (squeeze and excite) may come first.
        shape = max(left.shape, right.shape, key=lambda shape: shape[2] * shape[3])
        return converter.emit("Mul", left, shape, [right.tensor])
    view = converter.view(node, 1 - side)
    value = _per_channel(node, view, converter.constant(node, side))
    conv = converter.convolution(view.tensor)
    if conv is None:
        return converter.emit("Mul", view, view.shape, [_beside(converter, value)])
    _scale(converter, conv, value)
    return view


def _normalise(converter, node):
    """Batch normalisation with constant statistics, folded into the convolution before."""
    view = converter.view(node)
    gamma, beta, mean, variance = (converter.constant(node, index).astype(np.float64) for index in range(1, 5))
    conv = converter.convolution(view.tensor)
    if conv is None or node.attributes.get("is_training"):
        raise ValueError(f"{node.name}: normalisation of what no convolution made alone, or of a training graph")
    factor = gamma / np.sqrt(variance + node.attributes["epsilon"])
    _scale(converter, conv, factor)
    _set_bias(converter, conv, beta - mean * factor)
    return view


def _per_channel(node, view, value):
    """A constant as one value or one for each channel."""
    flat = np.asarray(value).reshape(-1)
    if flat.size == 1 or (view.layout == "NHWC" and flat.size == view.shape[1] == value.shape[-1]):
        return flat
    raise ValueError(f"{node.name}: constant of shape {value.shape} is neither one value nor one for each channel")


def _beside(converter, value):
    """The constant in a form that goes with NCHW."""
    return converter.builder.constant(value[0] if value.size == 1 else value.reshape(1, -1, 1, 1), np.float32)


def _set_bias(converter, conv, value):
    channels = converter.builder.array(conv.input[1]).shape[0]
    bias = np.broadcast_to(value, (channels,)).astype(np.float32)
    if len(conv.input) == 2:
        conv.input.append(converter.builder.constant(bias))
    else:
        converter.builder.replace_constant(conv.input[2], converter.builder.array(conv.input[2]) + bias)


def _scale(converter, conv, value):
    weights = converter.builder.array(conv.input[1])
    factor = np.broadcast_to(value, (weights.shape[0],))
    converter.builder.replace_constant(conv.input[1], (weights * factor.reshape(-1, 1, 1, 1)).astype(np.float32))
    if len(conv.input) == 3:
        bias = converter.builder.array(conv.input[2]) * factor
        converter.builder.replace_constant(conv.input[2], bias.astype(np.float32))


def _relu6(converter, view):
    limits = [converter.builder.constant(limit, np.float32) for limit in (0, 6)]
    return converter.emit("Clip", view, view.shape, limits)


def _relu(converter, view):
    return converter.emit("Relu", view, view.shape)


_ACTIVATIONS = {"Relu": _relu, "Relu6": _relu6}


def _activation(converter, node):
    return _ACTIVATIONS[node.op](converter, converter.view(node))


def _sigmoid(converter, node):
    view = converter.view(node)
    return converter.emit("Sigmoid", view, view.shape)


def _mean(converter, node):
    view = converter.view(node)
    axes = sorted(np.asarray(converter.constant(node, 1)).reshape(-1).tolist())
    if view.layout != "NHWC" or axes != [1, 2] or not node.attributes.get("keep_dims"):
        raise ValueError(f"{node.name}: only the mean over rows and columns is known, found axes {axes}")
    return converter.emit("GlobalAveragePool", view, (*view.shape[:2], 1, 1))


def _leaky_relu(converter, node):
    view = converter.view(node)
    return converter.emit("LeakyRelu", view, view.shape, alpha=node.attributes["alpha"])


def _concat(converter, node):
    views = [converter.view(node, index) for index in range(len(node.inputs) - 1)]
    axis = int(converter.constant(node, len(node.inputs) - 1)) % 4
    axis = axis if views[0].layout == "NCHW" else TO_NHWC[axis]
    if axis != 1 or len({(view.layout, view.shape[2:]) for view in views}) != 1:
        raise ValueError(f"{node.name}: expected to join channels of one size")
    channels = sum(view.shape[1] for view in views)
    return converter.emit("Concat", views[0], (views[0].shape[0], channels, *views[0].shape[2:]),
                          [view.tensor for view in views[1:]], axis=1)


def _resize(converter, node):
    view = converter.view(node)
    if view.layout != "NHWC" or node.attributes.get("align_corners"):
        raise ValueError(f"{node.name}: bilinear resizing with aligned corners is not known")
    half_pixel = node.attributes.get("half_pixel_centers", False)
    height, width = converter.constant(node, 1).tolist()
    shape = (*view.shape[:2], height, width)
    if half_pixel and (height * 2, width * 2) == view.shape[2:]:
        # Halving with half-pixel centres samples the middle of each 2x2 block: its mean.
        return converter.emit("AveragePool", view, shape, kernel_shape=[2, 2], strides=[2, 2])
    scales = converter.builder.constant([1, 1, height / view.shape[2], width / view.shape[3]], np.float32)
    return converter.emit("Resize", view, shape, ["", scales], mode="linear",
                          coordinate_transformation_mode="half_pixel" if half_pixel else "asymmetric")


_RULES = {
    "Transpose": _transpose, "Pad": _pad, "PadV2": _pad, "Conv2D": _conv, "DepthwiseConv2dNative": _depthwise,
    "_FusedConv2D": _fused(_conv), "FusedDepthwiseConv2dNative": _fused(_depthwise), "FusedBatchNorm": _normalise,
    "FusedBatchNormV3": _normalise, "MaxPool": _max_pool, "Add": _add, "AddV2": _add, "AddN": _add, "BiasAdd": _add_bias,
    "Mul": _multiply, "LeakyRelu": _leaky_relu, "Relu": _activation, "Relu6": _activation, "Sigmoid": _sigmoid,
    "Mean": _mean, "ConcatV2": _concat, "ResizeBilinear": _resize, "Identity": lambda converter, node: converter.view(node),
}
