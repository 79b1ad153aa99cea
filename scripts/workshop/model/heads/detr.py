"""DETR and its kin: a set of queries, each with classes and one box in parts of the picture.

Methods: Carion et al., "End-to-End Object Detection with Transformers" (arXiv 2005.12872): a softmax over the classes
and a last one for "no object" (github.com/facebookresearch/detr, models/detr.py, PostProcess). Zhao et al., "DETRs Beat
YOLOs on Real-time Object Detection" (arXiv 2304.08069): a sigmoid for each class and no background
(github.com/lyuwenyu/RT-DETR, rtdetr_postprocessor.py). Both: cx cy w h in parts of the input's width and height.
"""
from . import Misfit
from .parts import check_rows, class_scores, corners, described, fits, frame_sides, last_steps, slice_last

PREPROCESS = {"colour": "RGB", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375],
              "letterbox": "centred, black"}
NEEDS = ("two outputs: logits [1, queries, classes] (RT-DETR) or [1, queries, classes + 1] (DETR, no-object last), and "
         "boxes [1, queries, 4] (cx cy w h, 0 to 1); of RT-DETR without its post-processor")
# Logits of the published COCO models: DETR counts ids up to 90, 0 and "no object"; RT-DETR the 80 classes, its
# relatives of the deformable kind 91 ids.
SOFTMAX_COUNTS = {92}
SIGMOID_COUNTS = {80, 91}


def decode(graph, outputs, rows, size, classes=None):
    """See the package. `classes` is the number of class names that are known, None if unknown: it tells the two apart."""
    logits, boxes = _pair(outputs)
    count = outputs[logits][2]
    scores = _probabilities(graph, logits, count, classes)
    known = count - 1 if scores.no_object and isinstance(count, int) else count
    check_rows(rows, known, "detr")
    sides = frame_sides(graph, size)
    centres, extents = (graph.add("Mul", [slice_last(graph, boxes, first, first + 2), sides]) for first in (0, 2))
    return corners(graph, centres, extents), class_scores(graph, scores.tensor, rows)


def _pair(outputs):
    """Names of the logits and of the boxes."""
    if len(outputs) == 2 and all(fits(shape, 1, None, None) for shape in outputs.values()):
        fitting = [name for name, shape in outputs.items() if shape[2] == 4]
        named = [name for name in fitting if "box" in name.lower()]
        boxes = fitting if len(fitting) == 1 else named
        if len(boxes) == 1:
            logits, = (name for name in outputs if name != boxes[0])
            return logits, boxes[0]
    if any(len(shape) == 2 for shape in outputs.values()):
        raise Misfit(f"detr: {described(outputs)} is what a post-processor gives: export the model without it, "
                     f"with logits and boxes as outputs")
    raise Misfit(f"detr: expected {NEEDS}; the export has {described(outputs)}")


class _Scores:
    """A tensor [1, queries, count] of probabilities, and whether its last class is "no object"."""

    def __init__(self, tensor, no_object):
        self.tensor, self.no_object = tensor, no_object


def _probabilities(graph, logits, count, classes):
    steps = last_steps(graph, logits)
    if "Softmax" in steps:
        return _Scores(logits, True)
    if "Sigmoid" in steps:
        return _Scores(logits, False)
    if _has_no_object(logits, count, classes):
        return _Scores(graph.add("Softmax", [logits], axis=2), True)
    return _Scores(graph.add("Sigmoid", [logits]), False)


def _has_no_object(logits, count, classes):
    if classes is not None and isinstance(count, int):
        if classes in (count, count - 1):
            return classes == count - 1
        raise Misfit(f"detr: {classes} class names, and {logits} has {count} values a query: give {count} names "
                     f"(RT-DETR) or {count - 1} (DETR)")
    if count in SOFTMAX_COUNTS or count in SIGMOID_COUNTS:
        return count in SOFTMAX_COUNTS
    raise Misfit(f"detr: {logits} has {count} values a query, with (DETR) or without (RT-DETR) a last one for no object: "
                 f"give the names of the classes")
