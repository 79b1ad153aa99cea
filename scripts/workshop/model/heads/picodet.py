"""PicoDet: a distribution over each side's distance, as NanoDet, at four strides.

Method: Yu et al., "PP-PicoDet" (arXiv 2111.00902), with the distances of Li et al., "Generalized Focal Loss"
(arXiv 2006.04388). Layout as exported by PaddleDetection (github.com/PaddlePaddle/PaddleDetection,
ppdet/modeling/heads/pico_head.py, and configs/picodet/README_en.md on export without post-processing or without NMS):
distance = sum of index * softmax over the bins, times the stride, from the point (cell + 0.5) * stride.
"""
import numpy as np

from . import Misfit
from .parts import check_count, check_rows, class_scores, described, fits, grid, last_steps

# ImageNet's statistics in levels: configs/picodet/_base_/picodet_*_reader.yml.
PREPROCESS = {"colour": "RGB", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375],
              "letterbox": "centred, black"}
NEEDS = ("for each of the strides 8, 16, 32, 64 scores [1, cells, classes], then for each distances "
         "[1, cells, 4 * bins] (export.benchmark=True); or boxes [1, anchors, 4] and scores [1, classes, anchors] "
         "(export.nms=False)")
STRIDES_PX = (8, 16, 32, 64)


def decode(graph, outputs, rows, size):
    """See the package."""
    shapes = list(outputs.values())
    if len(outputs) == 2 and all(len(shape) == 3 for shape in shapes):
        return _decoded(graph, outputs, rows, size)
    if len(outputs) == 2 * len(STRIDES_PX) and all(fits(shape, 1, None, None) for shape in shapes):
        return _per_stride(graph, outputs, rows, size)
    raise Misfit(f"picodet: expected {NEEDS}; the export has {described(outputs)}")


def _decoded(graph, outputs, rows, size):
    """Boxes in pixels already. Their scores have the classes before the anchors."""
    boxes = [name for name, shape in outputs.items() if fits(shape, 1, None, 4) and isinstance(shape[2], int)]
    if len(boxes) != 1:
        raise Misfit(f"picodet: one output must be boxes [1, anchors, 4]; the export has {described(outputs)}")
    scores, = (name for name in outputs if name != boxes[0])
    classes, anchors = outputs[scores][1:]
    found = outputs[boxes[0]][1]
    if isinstance(anchors, int) and isinstance(found, int) and anchors != found:
        raise Misfit(f"picodet: {found} boxes, and scores for {anchors}: {scores} must be [1, classes, anchors]")
    check_rows(rows, classes, "picodet")
    check_count(found, size, STRIDES_PX, "picodet", boxes[0])
    return boxes[0], graph.add("Gather", [scores, graph.integers(*rows)], axis=1)


def _per_stride(graph, outputs, rows, size):
    scores, distances = _halves(graph, outputs)
    for names in (scores, distances):
        counts = [outputs[name][1] for name in names]
        if all(isinstance(count, int) for count in counts):
            names.sort(key=lambda name: -outputs[name][1])
            check_count(sum(counts), size, STRIDES_PX, "picodet", " + ".join(names))
    classes, channels = outputs[scores[0]][2], outputs[distances[0]][2]
    if not isinstance(channels, int) or channels % 4 or channels < 8:
        raise Misfit(f"picodet: distances need 4 * bins channels, {distances[0]} has {channels}")
    check_rows(rows, classes, "picodet")
    bins = channels // 4
    joined = graph.add("Reshape", [graph.add("Concat", distances, axis=1), graph.integers(1, -1, 4, bins)])
    shares = graph.add("Softmax", [joined], axis=3)
    weights = graph.constant(np.arange(bins).reshape(bins, 1), np.float32)
    mean = graph.add("Squeeze", [graph.add("MatMul", [shares, weights]), graph.integers(3)])
    points, strides = grid(graph, STRIDES_PX, size, offset=0.5)
    sides = graph.add("Mul", [mean, strides])
    left_top, right_bottom = graph.add("Split", [sides, graph.integers(2, 2)], outputs=2, axis=2)
    boxes = graph.add("Concat", [graph.add("Sub", [points, left_top]), graph.add("Add", [points, right_bottom])],
                      axis=2)
    picked = class_scores(graph, graph.add("Concat", scores, axis=1), rows)
    steps = last_steps(graph, scores[0])
    return boxes, graph.add("Sigmoid", [picked]) if steps and "Sigmoid" not in steps else picked


def _halves(graph, outputs):
    """Names of the scores and of the distances: those behind a sigmoid are scores; without one, the first four."""
    names = list(outputs)
    behind = [name for name in names if "Sigmoid" in last_steps(graph, name)]
    scores = behind if len(behind) == len(STRIDES_PX) else names[:len(STRIDES_PX)]
    halves = scores, [name for name in names if name not in scores]
    if any(len({outputs[name][2] for name in half}) != 1 for half in halves):
        raise Misfit(f"picodet: four outputs must be scores of the same classes and four distances of the same bins; "
                     f"the export has {described(outputs)}")
    return halves
