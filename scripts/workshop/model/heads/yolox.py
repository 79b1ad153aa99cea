"""YOLOX: one anchor a cell, centre and logarithm of the sides, objectness beside the classes.

Method: Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (arXiv 2107.08430); layout and decoding as in its official
export (github.com/Megvii-BaseDetection/YOLOX, tools/export_onnx.py and yolox/models/yolo_head.py, decode_outputs):
centre = (value + cell) * stride, sides = exp(value) * stride, score = objectness * class, both after a sigmoid.
"""
from . import Misfit
from .parts import (cell_count, check_count, check_rows, class_scores, corners, described, fits, grid, last_steps,
                    slice_last)

# Official models since 0.1.1 take plain levels in OpenCV's order of channels.
PREPROCESS = {"colour": "BGR", "mean": [0, 0, 0], "std": [1, 1, 1], "letterbox": "centred, black"}
NEEDS = ("one output [1, anchors, 5 + classes] (centre, sides, objectness, classes), with or without "
         "--decode_in_inference; or one [1, 5 + classes, h, w] for each of the strides 8, 16, 32")
STRIDES_PX = (8, 16, 32)
BOX_CHANNELS = 5  # x, y, width, height, objectness


def decode(graph, outputs, rows, size):
    """See the package."""
    if len(outputs) == len(STRIDES_PX) and all(len(shape) == 4 for shape in outputs.values()):
        tensor, classes = _joined(graph, outputs, size)
    elif len(outputs) == 1:
        tensor, classes = _single(outputs, size)
    else:
        raise Misfit(f"yolox: expected {NEEDS}; the export has {described(outputs)}")
    check_rows(rows, classes, "yolox")
    steps = set().union(*(last_steps(graph, name) for name in outputs))
    if steps and "Sigmoid" not in steps:
        raise Misfit("yolox: there is no sigmoid before the output: export with tools/export_onnx.py, which has it")
    centres, sides = slice_last(graph, tensor, 0, 2), slice_last(graph, tensor, 2, 4)
    # Only the decoding has an exponential: the network itself has none.
    if "Exp" not in steps:
        cells, strides = grid(graph, STRIDES_PX, size, offset=0)
        centres = graph.add("Add", [graph.add("Mul", [centres, strides]), cells])
        sides = graph.add("Mul", [graph.add("Exp", [sides]), strides])
    boxes = corners(graph, centres, sides)
    objectness = class_scores(graph, tensor, [4])
    scores = class_scores(graph, tensor, [BOX_CHANNELS + row for row in rows])
    return boxes, graph.add("Mul", [scores, objectness])


def _single(outputs, size):
    (name, shape), = outputs.items()
    if not fits(shape, 1, None, None) or (isinstance(shape[2], int) and shape[2] <= BOX_CHANNELS):
        raise Misfit(f"yolox: expected {NEEDS}; the export has {described(outputs)}")
    check_count(shape[1], size, STRIDES_PX, "yolox", name)
    return name, shape[2] - BOX_CHANNELS if isinstance(shape[2], int) else None


def _joined(graph, outputs, size):
    """The maps of the strides as one [1, anchors, 5 + classes]; the largest map is that of the smallest stride."""
    channels = {shape[1] for shape in outputs.values()}
    if len(channels) != 1:
        raise Misfit(f"yolox: the maps have different numbers of channels: {described(outputs)}")
    names = list(outputs)
    if all(isinstance(side, int) for shape in outputs.values() for side in shape[2:]):
        names.sort(key=lambda name: -outputs[name][2] * outputs[name][3])
        for name, stride in zip(names, STRIDES_PX):
            found = outputs[name][2] * outputs[name][3]
            if found != cell_count(size, stride):
                raise Misfit(f"yolox: {name} has {found} cells, and {size[0]}x{size[1]} at stride {stride} has "
                             f"{cell_count(size, stride)}")
    flat = [graph.add("Flatten", [graph.add("Squeeze", [name, graph.integers(0)])], axis=1) for name in names]
    joined = graph.add("Unsqueeze", [graph.add("Concat", flat, axis=1), graph.integers(0)])
    classes = channels.pop()
    return (graph.add("Transpose", [joined], perm=[0, 2, 1]),
            classes - BOX_CHANNELS if isinstance(classes, int) else None)
