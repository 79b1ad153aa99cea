"""NanoDet: one anchor a cell, each side of the box the expectation of a distribution over distances.

Method: "NanoDet" (github.com/RangiLyu/nanodet) after Li et al., "Generalized Focal Loss" (2020). The first generation has
three strides and its points in the middle of each cell; NanoDet-Plus has a fourth, 64, and its points in the corner.
"""
import numpy as np

from . import Misfit
from .parts import cell_count, check_rows, class_scores, described, fits, grid, last_steps, slice_last

# Statistics over BGR channels in all of its published configurations.
PREPROCESS = {"colour": "BGR", "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395],
              "letterbox": "centred, black"}
NEEDS = ("one output [1, anchors, classes + 4 x bins] (class scores, then the distances of left, top, right, bottom), or "
         "for each stride one of class scores [1, anchors, classes] and one of distances [1, anchors, 4 x bins]")
# reg_max + 1 of the published configurations: NanoDet-m and -Plus 7, NanoDet-g 10.
BINS = (8, 11)
GENERATIONS = (((8, 16, 32), 0.5), ((8, 16, 32, 64), 0))  # strides, where in a cell its point lies


def decode(graph, outputs, rows, size, classes=None):
    """See the package; the shape of a joined output does not tell how many classes there are."""
    if not all(fits(shape, 1, None, None) for shape in outputs.values()) or not outputs:
        raise Misfit(f"nanodet: expected {NEEDS}; the export has {described(outputs)}")
    steps = set().union(*(last_steps(graph, name) for name in outputs))
    if len(outputs) == 1:
        scores, distances, own, count, bins = _joined(graph, outputs, classes)
    else:
        scores, distances, own, count, bins = _apart(graph, outputs)
    check_rows(rows, own, "nanodet")
    strides, offset = _generation(count, size)
    points, scales = grid(graph, strides, size, offset)
    apart = graph.add("Reshape", [distances, graph.integers(1, -1, 4, bins)])
    shares = graph.add("Softmax", [apart], axis=3)
    values = graph.constant(np.arange(bins, dtype=np.float32))
    mean = graph.add("ReduceSum", [graph.add("Mul", [shares, values]), graph.integers(3)], keepdims=0)
    sides = graph.add("Mul", [mean, scales])
    left_top = graph.add("Sub", [points, slice_last(graph, sides, 0, 2)])
    right_bottom = graph.add("Add", [points, slice_last(graph, sides, 2, 4)])
    boxes = graph.add("Concat", [left_top, right_bottom], axis=2)
    found = class_scores(graph, scores, rows)
    return boxes, found if "Sigmoid" in steps else graph.add("Sigmoid", [found])


def _joined(graph, outputs, classes):
    (name, (_, count, channels)), = outputs.items()
    bins = next((bins for bins in BINS if classes is not None and channels == classes + 4 * bins), None)
    if bins is None:
        expected = " or ".join(str((classes or 0) + 4 * bins) for bins in BINS)
        raise Misfit(f"nanodet: {name} has {channels} channels; {classes} classes and four distributions of 8 or 11 bins have "
                     f"{expected}: give the names of all its classes, or its kind")
    return name, slice_last(graph, name, classes, channels), classes, count, bins


def _apart(graph, outputs):
    """The outputs of all strides, those of the largest map first, joined to one of scores and one of distances."""
    widths = {shape[2] for shape in outputs.values()}
    bins = next((bins for bins in BINS if 4 * bins in widths and len(widths) == 2), None)
    if bins is None:
        raise Misfit(f"nanodet: expected {NEEDS}; the export has {described(outputs)}")
    classes = next(width for width in widths if width != 4 * bins)
    tensors, counts = [], []
    for wanted in (classes, 4 * bins):
        names = [name for name, shape in outputs.items() if shape[2] == wanted]
        if all(isinstance(outputs[name][1], int) for name in names):
            names.sort(key=lambda name: -outputs[name][1])
        counts.append([outputs[name][1] for name in names])
        tensors.append(graph.add("Concat", names, axis=1))
    if len(counts[0]) != len(counts[1]) or all(isinstance(one, int) for one in sum(counts, [])) and counts[0] != counts[1]:
        raise Misfit(f"nanodet: scores of {counts[0]} anchors and distances of {counts[1]}")
    known = all(isinstance(count, int) for count in counts[0])
    return *tensors, classes, sum(counts[0]) if known else None, bins


def _generation(count, size):
    """Strides, and where in a cell its point lies, of a network with `count` anchors at `size`."""
    if not isinstance(count, int):
        return GENERATIONS[0]
    sums = []
    for strides, offset in GENERATIONS:
        sums.append(sum(cell_count(size, stride) for stride in strides))
        if sums[-1] == count:
            return strides, offset
    raise Misfit(f"nanodet: the export has {count} anchors, and {size[0]}x{size[1]} has {sums[0]} at strides 8, 16, 32 and "
                 f"{sums[1]} with 64: give the size with which it was exported")
