"""SSD: boxes as offsets from anchors, classes with a background.

Method: Liu et al., "SSD: Single Shot MultiBox Detector" (arXiv 1512.02325): centre = anchor's centre + offset / 10 *
anchor's side, side = exp(offset / 5) * anchor's side. Two families, told apart by the names of their outputs:

  TensorFlow Object Detection API (github.com/tensorflow/models, research/object_detection: box_coders/faster_rcnn_box_coder,
    meta_architectures/ssd_meta_arch): offsets y x h w `box_encodings`, or boxes y1 x1 y2 x2 in parts of the picture
    `raw_detection_boxes`; anchors, if given, as cy cx h w in parts of the picture (export_tflite_ssd_graph_lib).
  torchvision (torchvision/models/detection/ssd.py, _utils.BoxCoder): offsets x y w h `bbox_regression`, softmax over
    `cls_logits` with the background first; anchors, if given, as x1 y1 x2 y2 in pixels.
"""
import numpy as np

from . import Misfit, anchors
from .parts import check_rows, class_scores, corners, described, fits, frame_sides, last_steps, slice_last

# The slim MobileNets of TensorFlow: levels / 127.5 - 1. torchvision's ssdlite320 has the same, its ssd300 not.
PREPROCESS = {"colour": "RGB", "mean": [127.5, 127.5, 127.5], "std": [127.5, 127.5, 127.5],
              "letterbox": "centred, black"}
NEEDS = ("boxes before non-maximum suppression and scores with the background first: raw_detection_boxes [1, anchors, 4] "
         "and raw_detection_scores, or box_encodings and class_predictions (TensorFlow), or bbox_regression and "
         "cls_logits (torchvision); and anchors [anchors, 4] unless they are the usual ones")
CENTRE_SCALE, SIDE_SCALE = 10.0, 5.0
# What a part is called, in the order in which the names are looked for.
BOXES = {"raw_detection_boxes": "corners", "postprocessor/expanddims_1": "corners", "box_encodings": "tensorflow",
         "bbox_regression": "torchvision"}
SCORES = ("raw_detection_scores", "postprocessor/slice", "class_predictions", "cls_logits")
WITHOUT_BACKGROUND = "postprocessor/slice"


def decode(graph, outputs, rows, size, classes=None):
    """See the package. `classes` is the number of class names that are known, None if unknown."""
    boxes, scores, given = _parts(outputs)
    family = next(family for word, family in BOXES.items() if word in boxes.lower())
    probabilities = _probabilities(graph, scores, family)
    count = outputs[scores][-1]
    # A list of names may count the background, as COCO's own numbers from 1 and torchvision's categories do.
    background = 0 if WITHOUT_BACKGROUND in scores.lower() or classes == count else 1
    check_rows(rows, count - background if isinstance(count, int) else None, "ssd")
    listed = graph.add("Reshape", [boxes, graph.integers(1, -1, 4)])  # [1, anchors, 1, 4] in older graphs
    picked = class_scores(graph, probabilities, [row + background for row in rows])
    sides = frame_sides(graph, size)
    if family == "corners":
        return _pixels(graph, listed, sides), picked
    centres, extents = _anchors(graph, outputs, boxes, given, family, size, sides)
    return _moved(graph, _turned(graph, listed) if family == "tensorflow" else listed, centres, extents), picked


def _parts(outputs):
    """Names of boxes, scores and anchors (or None)."""
    def named(words):
        return [name for word in words for name in outputs if word in name.lower()]
    boxes, scores = named(BOXES), named(SCORES)
    given = [name for name in named(("anchor", "prior")) if "indices" not in name.lower()]
    if not boxes or not scores:
        if any("detection_boxes" in name or name.lower() == "labels" for name in outputs):
            raise Misfit(f"ssd: {described(outputs)} is what remains after non-maximum suppression, and classes cannot be "
                         f"taken out of it: export {NEEDS.split(': ')[1]}")
        raise Misfit(f"ssd: expected {NEEDS}; the export has {described(outputs)}: name the outputs so")
    if not (fits(outputs[boxes[0]], 1, None, 4) or fits(outputs[boxes[0]], 1, None, 1, 4)):
        raise Misfit(f"ssd: {boxes[0]} must be [1, anchors, 4], it is [{', '.join(map(str, outputs[boxes[0]]))}]")
    if not fits(outputs[scores[0]], 1, None, None):
        raise Misfit(f"ssd: {scores[0]} must be [1, anchors, classes + 1], it is "
                     f"[{', '.join(map(str, outputs[scores[0]]))}]")
    return boxes[0], scores[0], given[0] if given else None


def _probabilities(graph, scores, family):
    steps = last_steps(graph, scores)
    if family == "corners" or steps & {"Sigmoid", "Softmax"}:
        return scores
    # Of its MobileNets, TensorFlow's configuration says score_converter: SIGMOID.
    return graph.add("Softmax", [scores], axis=2) if family == "torchvision" else graph.add("Sigmoid", [scores])


def _turned(graph, tensor):
    """y x h w -> x y w h."""
    return graph.add("Gather", [tensor, graph.integers(1, 0, 3, 2)], axis=2)


def _pixels(graph, listed, sides):
    """y1 x1 y2 x2 in parts of the picture -> x1 y1 x2 y2 in pixels."""
    return graph.add("Mul", [_turned(graph, listed), graph.add("Concat", [sides, sides], axis=0)])


def _anchors(graph, outputs, boxes, given, family, size, sides):
    """Names of the anchors' centres and sides in pixels, [1, anchors, 2] each."""
    if given is not None:
        if outputs[given][-1] != 4:
            raise Misfit(f"ssd: {given} must be [anchors, 4], it is [{', '.join(map(str, outputs[given]))}]")
        listed = graph.add("Reshape", [given, graph.integers(1, -1, 4)])
        if family == "tensorflow":
            turned = _turned(graph, listed)
            return [graph.add("Mul", [slice_last(graph, turned, first, first + 2), sides]) for first in (0, 2)]
        near, far = slice_last(graph, listed, 0, 2), slice_last(graph, listed, 2, 4)
        middle = graph.add("Mul", [graph.add("Add", [near, far]), graph.constant(0.5, np.float32)])
        return middle, graph.add("Sub", [far, near])
    count = outputs[boxes][1]
    if family == "tensorflow":
        if isinstance(count, int) and anchors.tensorflow_count(size) != count:
            raise Misfit(f"ssd: {boxes} has {count} anchors, a MobileNet SSD of {size[0]}x{size[1]} has "
                         f"{anchors.tensorflow_count(size)}: export the anchors too, as an output named anchors")
        # Constants: what foreign classes are cut out of must have shapes that are known beforehand.
        return _constants(graph, anchors.tensorflow(size))
    usual = anchors.torchvision(count, size) if isinstance(count, int) else None
    if usual is None:
        raise Misfit(f"ssd: {boxes} has {count} anchors, neither those of ssdlite320 nor of ssd300: export the anchors "
                     f"too, as an output named anchors")
    return _constants(graph, usual)


def _constants(graph, arrays):
    return [graph.constant(array[None], np.float32) for array in arrays]


def _moved(graph, offsets, centres, extents):
    """Boxes of offsets x y w h from anchors."""
    shift = graph.add("Mul", [slice_last(graph, offsets, 0, 2), graph.constant(1 / CENTRE_SCALE, np.float32)])
    growth = graph.add("Mul", [slice_last(graph, offsets, 2, 4), graph.constant(1 / SIDE_SCALE, np.float32)])
    middle = graph.add("Add", [centres, graph.add("Mul", [shift, extents])])
    return corners(graph, middle, graph.add("Mul", [graph.add("Exp", [growth]), extents]))
