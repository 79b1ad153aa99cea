"""Makes of an export and its head one graph of our contract: pixels in, boxes, scores and labels of our classes out."""
import inspect
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

import heads
from export import INPUT, OPSET
from graph import GraphBuilder
from narrow import KEPT, Stuck, narrow
from postprocess import TENSOR_IDS, finish
from refusal import Refusal
from sizes import SIDE_MULTIPLE_PX

# Where a softmax over classes has its background: torchvision's SSD puts it first, DETR "no object" last.
BACKGROUND = {"ssd": 0, "detr": -1}
_LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


class Preparation(NamedTuple):
    """How the network wants its picture: levels (0 to 255) less `mean`, divided by `std`, channels in order `colour`."""

    colour: str
    mean: list
    std: list


class Assembled(NamedTuple):
    """`model` is in float32; `pad_level` is the level at which its first convolution reads pixels, None where something
    stands between; `softened` says that a softmax over classes became one over the kept ones."""

    model: onnx.ModelProto
    frame_size: tuple
    pad_level: int
    softened: bool


def assemble(name, kind, export, rows, labels, class_names, preparation):
    """The model `name` of the classes at `rows` of the export, which are called `labels` here.

    Raises Refusal where the outputs do not fit the kind, or a class that is not kept would stay in the weights.
    """
    builder = GraphBuilder.over(export.graph)
    builder.prefix = "post"
    boxes, scores = _decoded(builder, kind, export, rows, len(class_names))
    softened = _narrowed(builder, export, kind, boxes, scores, len(class_names) - len(rows))
    _keep_only(builder, [boxes, scores])
    boxes, scores = _out_of_the_way(builder, boxes, scores)
    frame_size = tuple(-(-side // SIDE_MULTIPLE_PX) * SIDE_MULTIPLE_PX for side in export.size)
    if frame_size != export.size:
        shares = [frame / own for frame, own in zip(frame_size, export.size)] * 2
        boxes = builder.add("Mul", [boxes, builder.constant(shares, np.float32)])
    finish(builder, boxes, scores, labels)
    pad_level = _prepare(builder, export, frame_size, preparation)
    _keep_only(builder, list(TENSOR_IDS))
    _mark_tail(builder)
    width, height = frame_size
    metadata = {"name": name, "input": f"uint8 RGB NHWC, {width}x{height}, letterboxed (centred, black)", **TENSOR_IDS}
    model = builder.model(
        name, [("frame", TensorProto.UINT8, [1, height, width, 3])],
        [("boxes", TensorProto.FLOAT, ["n", 4]), ("scores", TensorProto.FLOAT, ["n"]),
         ("labels", TensorProto.INT32, ["n"])], OPSET, metadata)
    return Assembled(model, frame_size, pad_level, softened)


def _decoded(builder, kind, export, rows, class_count):
    decode = heads.module(kind).decode
    # A head that cannot tell from the shapes how many classes there are asks for it.
    more = {"classes": class_count} if "classes" in inspect.signature(decode).parameters else {}
    try:
        return decode(builder, dict(export.outputs), rows, export.size, **more)
    except heads.Misfit as error:
        remedy = "; --outputs says which of them to take" if len(export.outputs) > 1 else ""
        raise Refusal(f"{error}{remedy}") from error


def _narrowed(builder, export, kind, boxes, scores, foreign):
    """Cuts foreign classes out of the weights; whether a softmax was changed by that."""
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (boxes, scores)]
    graph = helper.make_graph(builder.nodes, "shapes", list(export.graph.input), outputs,
                              list(builder.initialisers.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {one.name: [dim.dim_value if dim.HasField("dim_value") else dim.dim_param
                         for dim in one.type.tensor_type.shape.dim]
              for one in [*inferred.input, *inferred.value_info, *inferred.output]}
    open_one = next((name for node in builder.nodes for name in node.output if name and not (
        name in shapes and all(isinstance(side, int) for side in shapes[name]))), None)
    try:
        if open_one is not None and foreign:
            raise Stuck(f"the shape of {open_one} depends on the picture")
        count = narrow(builder, shapes, BACKGROUND.get(kind)) if foreign else 0
        if foreign and count == 0:
            raise Stuck("the head does not pick them out")
    except Stuck as error:
        raise Refusal(f"{foreign} of the classes, which no detector may name, cannot be cut out of the weights: {error}; export "
                      "the network with its class scores as they leave the last layer") from error
    return any(node.name.endswith(KEPT) for node in builder.nodes)


def _keep_only(builder, wanted):
    """Drops nodes and constants that `wanted` do not need: outputs that the head does not read end here."""
    needed, nodes = set(wanted), []
    for node in reversed(builder.nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    builder.nodes[:] = reversed(nodes)
    builder.initialisers = {name: one for name, one in builder.initialisers.items() if name in needed}


def _out_of_the_way(builder, *followed):
    """Renames the export's tensors that are called as ours will be; returns the names of `followed` after that."""
    taken = {"frame": "net_frame", **{name: f"net_{name}" for name in (*TENSOR_IDS, "features")}}
    for node in builder.nodes:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = taken.get(name, name)
    for name in [name for name in builder.initialisers if name in taken]:
        array = builder.array(name)
        del builder.initialisers[name]
        builder.replace_constant(taken[name], array)
    return tuple(taken.get(name, name) for name in followed)


def _prepare(builder, export, frame_size, preparation):
    """Puts in front what makes the export's input of a frame. Returns the level to which pixels are centred if a
    convolution reads them so, else None."""
    network, builder.nodes = builder.nodes, []
    builder.prefix = "pre"
    readers = [node for node in network if INPUT in node.input]
    fitting = frame_size == export.size
    if export.dtype == "uint8" and fitting:
        tensor = "frame" if export.layout == "NHWC" else builder.add("Transpose", ["frame"], perm=[0, 3, 1, 2])
        level = None
    elif _can_fold(builder, export, readers) and fitting:
        level = round(sum(preparation.mean) / 3)
        tensor = builder.add("Transpose", [builder.add("Cast", ["frame"], to=TensorProto.FLOAT)], perm=[0, 3, 1, 2])
        tensor = builder.add("Sub", [tensor, builder.constant(level, np.float32)])
        _fold(builder, readers[0], level, preparation)
    else:
        tensor, level = _in_float(builder, export, frame_size, preparation), None
    for node in readers:
        for index, name in enumerate(node.input):
            if name == INPUT:
                node.input[index] = tensor
    builder.nodes += network
    return level


def _can_fold(builder, export, readers):
    return (export.layout == "NCHW" and export.dtype == "float32" and len(readers) == 1 and readers[0].op_type == "Conv"
            and all(name in builder.initialisers for name in readers[0].input[1:])
            and builder.array(readers[0].input[1]).shape[1] == 3)


def _fold(builder, conv, level, preparation):
    """Lets the first convolution take centred RGB levels. Exact but in the padding around the picture, where it sees
    `level` instead of each channel's mean: a quantised tensor has one zero point for all three."""
    weights = builder.array(conv.input[1]).astype(np.float64) / np.reshape(preparation.std, (1, 3, 1, 1))
    offset = np.reshape(level - np.array(preparation.mean, np.float64), (1, 3, 1, 1))
    bias = (weights * offset).sum(axis=(1, 2, 3)) + (builder.array(conv.input[2]) if len(conv.input) > 2 else 0)
    if preparation.colour == "BGR":
        weights = weights[:, ::-1]
    names = [builder.constant(weights.astype(np.float32)), builder.constant(bias.astype(np.float32))]
    del conv.input[1:]
    conv.input.extend(names)


def _in_float(builder, export, frame_size, preparation):
    """The same steps as nodes, for networks that begin with something else than a convolution of the picture."""
    tensor = builder.add("Transpose", [builder.add("Cast", ["frame"], to=TensorProto.FLOAT)], perm=[0, 3, 1, 2])
    if frame_size != export.size:
        width, height = export.size
        tensor = builder.add("Resize", [tensor, "", "", builder.integers(1, 3, height, width)], mode="linear",
                             coordinate_transformation_mode="half_pixel")
    if preparation.colour == "BGR":
        tensor = builder.add("Gather", [tensor, builder.integers(2, 1, 0)], axis=1)
    if export.dtype == "float32":
        for op, values, nothing in (("Sub", preparation.mean, 0), ("Div", preparation.std, 1)):
            if any(value != nothing for value in values):
                tensor = builder.add(op, [tensor, builder.constant(np.reshape(values, (1, 3, 1, 1)), np.float32)])
    if export.layout == "NHWC":
        tensor = builder.add("Transpose", [tensor], perm=[0, 2, 3, 1])
    if export.dtype == "uint8":
        tensor = builder.add("Cast", [builder.add("Round", [tensor])], to=TensorProto.UINT8)
    return tensor


def _mark_tail(builder):
    """Names what follows the last layers as post-processing: a score or a side in 256 steps would be too coarse."""
    before_layers = set()
    for node in reversed(builder.nodes):
        if node.op_type in _LAYERS and node.name.startswith("net_") or before_layers.intersection(node.output):
            before_layers.update(node.input)
        elif node.name.startswith("net_"):
            node.name = f"post_{node.name}"
