"""Turns a TensorFlow.js convolution graph into ONNX (NCHW).

The source was itself converted from an NCHW model, so it is full of transposes around every convolution. Here
they vanish: each tensor is kept in NCHW once, and what travels through the graph is a *view* of it that remembers
in which layout TensorFlow believes it to be. Pads are folded into the convolution or pooling that follows, biases
into the convolution before. No size of the input is baked in: resizes keep their scale, and the fixed reshapes at
the end of the source are left to the caller, who stops at the tensors before them.
"""
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

    def __init__(self, graph: Graph, builder: GraphBuilder, source: str, tensor: str, shape):
        """`source` is the placeholder's name in `graph`, `tensor` the NCHW tensor that takes its place."""
        self.graph = graph
        self.builder = builder
        self.views = {source: View(tensor, "NCHW", tuple(shape))}

    def convert(self, outputs):
        """Converts all that `outputs` (names of nodes) need and returns their tensors' names."""
        for name in self.graph.ordered(outputs):
            if name not in self.views:
                node = self.graph.nodes[name]
                if node.op not in _RULES:
                    raise ValueError(f"{name}: no rule for {node.op}")
                self.views[name] = _RULES[node.op](self, node)
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
    """(view, strides, pads, output height and width) of a convolution or pooling that takes over the pad before it.

    `fill` says which pad value the node itself would use.
    """
    view = converter.views[node.inputs[0]]
    if view.layout != "NHWC" or node.attributes["padding"] != "VALID":
        raise ValueError(f"{node.name}: expected explicit padding in NHWC, as in the rest of the source")
    if view.pads is not None and not fill(view.pad_value):
        raise ValueError(f"{node.name}: {node.op} cannot pad with {view.pad_value}")
    strides = node.attributes["strides"][1:3]
    top, left, bottom, right = view.pads or (0, 0, 0, 0)
    height = (view.shape[2] + top + bottom - kernel[0]) // strides[0] + 1
    width = (view.shape[3] + left + right - kernel[1]) // strides[1] + 1
    return view, strides, [top, left, bottom, right], (height, width)


def _conv(converter, node):
    weights = converter.constant(node, 1).transpose(3, 2, 0, 1).astype(np.float32)  # HWIO -> OIHW
    if any(step != 1 for step in node.attributes.get("dilations", [])):
        raise ValueError(f"{node.name}: dilated convolution")
    kernel = list(weights.shape[2:])
    view, strides, pads, size = _window(converter, node, kernel, fill=lambda value: value == 0)
    return converter.emit("Conv", view, (view.shape[0], weights.shape[0], *size),
                          [converter.builder.constant(weights)], kernel_shape=kernel, strides=strides, pads=pads)


def _max_pool(converter, node):
    kernel = node.attributes["ksize"][1:3]
    # ONNX pads a maximum with minus infinity. Any pad no larger than the data is the same: the source's converter
    # wrote the lowest float32.
    view, strides, pads, size = _window(converter, node, kernel, fill=lambda value: value < -1e30)
    return converter.emit("MaxPool", view, (*view.shape[:2], *size), kernel_shape=kernel, strides=strides, pads=pads)


def _add(converter, node):
    if converter.is_constant(node, 1):
        return _add_bias(converter, node)
    left, right = converter.view(node, 0), converter.view(node, 1)
    if (left.layout, left.shape) != (right.layout, right.shape):
        raise ValueError(f"{node.name}: sum of {left} and {right}")
    return converter.emit("Add", left, left.shape, [right.tensor])


def _add_bias(converter, node):
    """Folds a constant per channel into the convolution that made the tensor."""
    view, bias = converter.view(node), converter.constant(node, 1).astype(np.float32)
    conv = converter.builder.producer(view.tensor)
    per_channel = view.layout == "NHWC" and bias.size == view.shape[1] and bias.shape[-1] == bias.size
    if not per_channel or conv is None or conv.op_type != "Conv" or len(conv.input) != 2:
        raise ValueError(f"{node.name}: constant of shape {bias.shape} is not the bias of a convolution")
    conv.input.append(converter.builder.constant(bias.reshape(-1)))
    return view


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
    if view.layout != "NHWC" or node.attributes.get("align_corners") or not node.attributes["half_pixel_centers"]:
        raise ValueError(f"{node.name}: only half-pixel bilinear resizing is known")
    height, width = converter.constant(node, 1).tolist()
    shape = (*view.shape[:2], height, width)
    if (height * 2, width * 2) == view.shape[2:]:
        # Halving with half-pixel centres samples the middle of each 2x2 block: its mean.
        return converter.emit("AveragePool", view, shape, kernel_shape=[2, 2], strides=[2, 2])
    scales = converter.builder.constant([1, 1, height / view.shape[2], width / view.shape[3]], np.float32)
    return converter.emit("Resize", view, shape, ["", scales], mode="linear",
                          coordinate_transformation_mode="half_pixel")


_RULES = {
    "Transpose": _transpose, "Pad": _pad, "PadV2": _pad, "Conv2D": _conv, "MaxPool": _max_pool, "Add": _add,
    "LeakyRelu": _leaky_relu, "ConcatV2": _concat, "ResizeBilinear": _resize,
}
