"""NanoDet-G as a complete detector: pixels in, boxes out.

The network alone gives, per anchor, class scores and four distributions over distances. This module adds what comes
before and after, so that whoever runs the model touches no pixel and decodes nothing:

  in   frame   uint8   [1, H, W, 3]  RGB, H and W multiples of 32, letterboxed (centred, black)
  out  boxes   float32 [n, 4]        x1 y1 x2 y2 in input pixels, inside the frame
       scores  float32 [n]           descending
       labels  int32   [n]           COCO ids
       features uint8  [1, H / 8, W / 8, 128]  added by the quantisation: what the neck takes over from the backbone's
                                     first stage

Method: "NanoDet" (github.com/RangiLyu/nanodet), a one-stage anchor-free detector whose box sides are the expectation
of a distribution (Li et al., "Generalized Focal Loss", 2020).
"""
import numpy as np
from onnx import TensorProto

import tfjs
from convert import Converter
from graph import GraphBuilder
from labels import LABELS as CITY_CLASSES
from postprocess import cut, strongest, suppress

OPSET = 17

COCO_CLASS_COUNT = 80

# From NanoDet-G's training configuration: statistics over BGR channels, heads, distances of 0 … 10 strides.
MEAN_BGR = [103.53, 116.28, 123.675]
STD_BGR = [57.375, 57.12, 58.395]
# The level with which the first convolution pads: one for three channels, because a quantised tensor has one zero point.
PAD_LEVEL = round(sum(MEAN_BGR) / 3)
STRIDES_PX = [8, 16, 32]
DISTANCE_BINS = 11
FEATURE_CHANNELS = 128
FEATURE_CELL_PX = 8
EXPORTED_SHAPE = (1, 3, 416, 416)  # the size the source was exported with
SOURCE_INPUT = "input_1"
SOURCE_SCORES = ["Identity", "Identity_1", "Identity_2"]  # class scores at each stride, in the order of STRIDES_PX


def build(weights_path):
    """The whole detector in float32, from the TensorFlow.js model at `weights_path`.

    Returns the ModelProto and the name of the tensor inside it that becomes the output `features`.
    """
    builder = GraphBuilder()
    builder.prefix = "pre"
    tensor = _preprocess(builder)
    builder.prefix = "net"
    heads, features = _network(builder, tfjs.load(weights_path), tensor)
    _fold_normalisation(builder, tensor)
    builder.prefix = "post"
    _postprocess(builder, heads)
    metadata = {
        "name": "nanodet-g-city10",
        "input": "uint8 RGB NHWC, letterboxed (centred, black), H and W multiples of 32",
        "classes": ",".join(f"{label}:{name}" for label, name in CITY_CLASSES.items()),
    }
    model = builder.model(
        "nanodet-g-city10",
        [("frame", TensorProto.UINT8, [1, "height", "width", 3])],
        [("boxes", TensorProto.FLOAT, ["n", 4]), ("scores", TensorProto.FLOAT, ["n"]),
         ("labels", TensorProto.INT32, ["n"])],
        OPSET, metadata)
    return model, features


def _preprocess(builder):
    """uint8 RGB NHWC -> centred float RGB NCHW: levels of -114 … 141, which are uint8 again with a zero point of 114."""
    frame = builder.add("Cast", ["frame"], to=TensorProto.FLOAT)
    planes = builder.add("Transpose", [frame], perm=[0, 3, 1, 2])
    return builder.add("Sub", [planes, builder.constant(PAD_LEVEL, np.float32)])


def _fold_normalisation(builder, tensor):
    """Makes the convolution that reads `tensor` take centred RGB levels instead of normalised BGR.

    Exact inside the picture. In the row and column of padding around it, the convolution sees PAD_LEVEL instead of
    the mean of each channel, which is at most 0.18 standard deviations away.
    """
    conv = next(node for node in builder.nodes if node.input[0] == tensor)
    weights = builder.array(conv.input[1]).astype(np.float64) / np.reshape(STD_BGR, (1, 3, 1, 1))
    offset = np.reshape(PAD_LEVEL - np.array(MEAN_BGR), (1, 3, 1, 1))
    bias = builder.array(conv.input[2]) + (weights * offset).sum(axis=(1, 2, 3))
    builder.replace_constant(conv.input[1], weights[:, ::-1].astype(np.float32))
    builder.replace_constant(conv.input[2], bias.astype(np.float32))


def _network(builder, source, tensor):
    """Converts the network up to the three head convolutions and prunes their class rows.

    Returns one tensor per stride: [1, classes + 4 * bins, H / stride, W / stride], class rows before the sigmoid; and
    that of the features.
    """
    converter = Converter(source, builder, SOURCE_INPUT, tensor, EXPORTED_SHAPE)
    tensors = converter.convert(_head_nodes(source))
    kept = [*CITY_CLASSES, *range(COCO_CLASS_COUNT, COCO_CLASS_COUNT + 4 * DISTANCE_BINS)]
    for head in tensors:
        for parameter in builder.producer(head).input[1:]:  # weights and bias: one row per output channel
            builder.replace_constant(parameter, builder.array(parameter)[kept])
    return tensors, _features(builder, converter)


def _features(builder, converter):
    """The neck's first convolution: 1x1, over the output of the backbone's first stage, without an activation."""
    rows, columns = (side // FEATURE_CELL_PX for side in EXPORTED_SHAPE[2:])
    pointwise = {node.output[0] for node in builder.nodes
                 if node.op_type == "Conv" and builder.array(node.input[1]).shape[2:] == (1, 1)}
    for view in converter.views.values():
        if view.shape == (1, FEATURE_CHANNELS, rows, columns) and view.tensor in pointwise:
            return view.tensor
    raise ValueError("no convolution takes over the backbone's first stage")


def _back_to(source, name, op):
    """Follows first inputs back from `name` to the next node of kind `op`."""
    node = source.nodes[name]
    while node.op != op:
        node = source.nodes[tfjs.node_of(node.inputs[0])]
    return node


def _head_nodes(source):
    """Names of what the splits into scores and distances read; checks that they cut where we think they do."""
    splits = [_back_to(source, name, "SplitV") for name in SOURCE_SCORES]
    for split in splits:
        sizes = source.constants[tfjs.node_of(split.inputs[1])].tolist()
        if sizes != [COCO_CLASS_COUNT, 4 * DISTANCE_BINS]:
            raise ValueError(f"{split.name}: parts of {sizes} channels")
    return [tfjs.node_of(split.inputs[0]) for split in splits]


def _postprocess(builder, heads):
    """Adds decoding and NMS, down to the three outputs."""
    class_count = len(CITY_CLASSES)
    flat = [builder.add("Reshape", [head, builder.integers(class_count + 4 * DISTANCE_BINS, -1)]) for head in heads]
    anchors = builder.add("Concat", flat, axis=1)
    logits, distances = builder.add("Split", [anchors, builder.integers(class_count, 4 * DISTANCE_BINS)],
                                    outputs=2, axis=0)
    centres, strides = _grid(builder)
    scores, rows, picked = _best(builder, logits)
    boxes = _decode(builder, distances, centres, strides, picked)
    suppress(builder, boxes, scores, rows, list(CITY_CLASSES))


def _grid(builder):
    """Centres [2, anchors] (x, y) and strides [anchors] in pixels, from the frame's size at run time.

    Not from the heads' own: to ask a quantised tensor for its shape, ONNX Runtime turns all of it into floats first.
    """
    xs, ys, strides = [], [], []
    every = builder.integers(-1)
    sides = builder.add("Gather", [builder.add("Shape", ["frame"]), builder.integers(1, 2)])
    for stride_px in STRIDES_PX:
        size = builder.add("Div", [sides, builder.integers(stride_px)])
        height, width = (builder.add("Gather", [size, builder.constant(index, np.int64)]) for index in (0, 1))
        x, y = _centres(builder, width, stride_px), _centres(builder, height, stride_px)
        column = builder.add("Unsqueeze", [y, builder.integers(1)])
        for axis, values in ((xs, x), (ys, column)):
            axis.append(builder.add("Reshape", [builder.add("Expand", [values, size]), every]))
        count = builder.add("Reshape", [builder.add("Mul", [height, width]), every])
        strides.append(builder.add("Expand", [builder.constant(stride_px, np.float32), count]))
    first = builder.integers(0)
    rows = [builder.add("Unsqueeze", [builder.add("Concat", axis, axis=0), first]) for axis in (xs, ys)]
    return builder.add("Concat", rows, axis=0), builder.add("Concat", strides, axis=0)


def _centres(builder, count, stride_px):
    """(i + 0.5) * stride for i below `count`. Without the half, boxes sit half a stride off: AP falls to 0.27."""
    zero, one = builder.constant(0, np.int64), builder.constant(1, np.int64)
    steps = builder.add("Cast", [builder.add("Range", [zero, count, one])], to=TensorProto.FLOAT)
    middles = builder.add("Add", [steps, builder.constant(0.5, np.float32)])
    return builder.add("Mul", [middles, builder.constant(stride_px, np.float32)])


def _best(builder, logits):
    """The strongest candidates: their scores, their class rows, their anchors; each of shape [k]."""
    values, rows, picked = strongest(builder, logits)
    return builder.add("Sigmoid", [values]), rows, picked


def _decode(builder, distances, centres, strides, picked):
    """Boxes [k, 4] of the picked anchors, cut at the frame's edges."""
    chosen = builder.add("Gather", [distances, picked], axis=1)
    bins = builder.add("Softmax", [builder.add("Reshape", [chosen, builder.integers(4, DISTANCE_BINS, -1)])], axis=1)
    values = np.arange(DISTANCE_BINS, dtype=np.float32).reshape(1, -1, 1)
    mean = builder.add("ReduceSum", [builder.add("Mul", [bins, builder.constant(values)]), builder.integers(1)],
                       keepdims=0)
    sides = builder.add("Mul", [mean, builder.add("Gather", [strides, picked], axis=0)])
    centre = builder.add("Gather", [centres, picked], axis=1)
    left_top, right_bottom = builder.add("Split", [sides, builder.integers(2, 2)], outputs=2, axis=0)
    corners = [builder.add("Sub", [centre, left_top]), builder.add("Add", [centre, right_bottom])]
    boxes = builder.add("Transpose", [builder.add("Concat", corners, axis=0)], perm=[1, 0])
    return cut(builder, boxes)
