"""What several heads have in common: points of grids, boxes from centres, looking back through an export."""
from math import ceil

import numpy as np
from onnx import TensorProto

from . import Misfit

# Operations that move or scale values without being a layer of a network.
_PASSING = {"Add", "Cast", "Concat", "Div", "Flatten", "Gather", "Identity", "Mul", "Reshape", "ScatterND", "Slice",
            "Split", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Clip", "Relu"}


def described(outputs):
    """The outputs as one says them: `name [1, 8400, 85], …`."""
    return ", ".join(f"{name} [{', '.join(str(side) for side in shape)}]" for name, shape in outputs.items()) or "none"


def fits(shape, *wanted):
    """Whether `shape` can be `wanted`, in which None is any number; a free side (a name) fits everything."""
    return len(shape) == len(wanted) and all(
        want is None or not isinstance(side, int) or side == want for side, want in zip(shape, wanted))


def check_rows(rows, classes, kind):
    """Refuses class rows that the export does not have. `classes` is None where the export leaves it open."""
    if not rows:
        raise Misfit(f"{kind}: no class is kept")
    if isinstance(classes, int) and not all(0 <= row < classes for row in rows):
        raise Misfit(f"{kind}: class {max(rows)} is to be kept, and the export has {classes} classes (0 to {classes - 1})")


def check_count(count, size, strides, kind, name):
    """Refuses a number of anchors that is not that of one for each cell of the strides."""
    if size is None or not isinstance(count, int):
        return
    expected = sum(cell_count(size, stride) for stride in strides)
    if count != expected:
        width, height = size
        raise Misfit(f"{kind}: {name} has {count} anchors, and {width}x{height} at strides "
                     f"{', '.join(map(str, strides))} has {expected}: give the size with which it was exported")


def cell_count(size, stride):
    """Cells of a grid over `size` (width, height), which convolutions round up."""
    return ceil(size[0] / stride) * ceil(size[1] / stride)


def grid(graph, strides, size, offset):
    """Points of all cells and their strides: float32 [1, N, 2] (x, y, in pixels) and [1, N, 1]; strides in turn,
    rows of cells from above, cells from the left. A point lies at (index + offset) * stride."""
    if size is None:
        return _grid_at_run_time(graph, strides, offset)
    points, scales = [], []
    for stride in strides:
        columns, lines = (np.arange(ceil(side / stride)) for side in size)
        x, y = np.meshgrid((columns + offset) * stride, (lines + offset) * stride)
        points.append(np.stack([x.reshape(-1), y.reshape(-1)], axis=1))
        scales.append(np.full((x.size, 1), stride))
    return (graph.constant(np.concatenate(points)[None], np.float32),
            graph.constant(np.concatenate(scales)[None], np.float32))


def _grid_at_run_time(graph, strides, offset):
    sides = graph.add("Gather", [graph.add("Shape", ["frame"]), graph.integers(1, 2)])  # height, width
    points, scales = [], []
    for stride in strides:
        up = graph.add("Add", [sides, graph.integers(stride - 1)])
        counts = graph.add("Div", [up, graph.integers(stride)])
        height, width = (graph.add("Gather", [counts, graph.constant(axis, np.int64)]) for axis in (0, 1))
        x = graph.add("Expand", [_steps(graph, width, stride, offset), counts])
        column = graph.add("Unsqueeze", [_steps(graph, height, stride, offset), graph.integers(1)])
        y = graph.add("Expand", [column, counts])
        flat = [graph.add("Reshape", [axis, graph.integers(1, -1, 1)]) for axis in (x, y)]
        points.append(graph.add("Concat", flat, axis=2))
        total = graph.add("Reshape", [graph.add("Mul", [height, width]), graph.integers(1)])
        shape = graph.add("Concat", [graph.integers(1), total, graph.integers(1)], axis=0)
        scales.append(graph.add("Expand", [graph.constant(stride, np.float32), shape]))
    return graph.add("Concat", points, axis=1), graph.add("Concat", scales, axis=1)


def _steps(graph, count, stride, offset):
    zero, one = graph.constant(0, np.int64), graph.constant(1, np.int64)
    indices = graph.add("Cast", [graph.add("Range", [zero, count, one])], to=TensorProto.FLOAT)
    return graph.add("Mul", [graph.add("Add", [indices, graph.constant(offset, np.float32)]),
                             graph.constant(stride, np.float32)])


def corners(graph, centres, sides):
    """x1 y1 x2 y2 [1, N, 4] of centres and sides [1, N, 2] each."""
    half = graph.add("Mul", [sides, graph.constant(0.5, np.float32)])
    return graph.add("Concat", [graph.add("Sub", [centres, half]), graph.add("Add", [centres, half])], axis=2)


def frame_sides(graph, size):
    """Width and height of the input, float32 [2]."""
    return graph.constant(size, np.float32) if size is not None else _sides_of(graph, "frame", (2, 1))


def picture_sides(graph, picture):
    """Width and height of the NCHW tensor `picture`, float32 [2]."""
    return _sides_of(graph, picture, (3, 2))


def _sides_of(graph, tensor, axes):
    sides = graph.add("Gather", [graph.add("Shape", [tensor]), graph.integers(*axes)])
    return graph.add("Cast", [sides], to=TensorProto.FLOAT)


def slice_last(graph, tensor, first, end):
    """Channels `first` to `end` (excluded) of the last of three axes."""
    return graph.add("Slice", [tensor, graph.integers(first), graph.integers(end), graph.integers(2)])


def class_scores(graph, tensor, channels):
    """Picks `channels` of scores [1, N, all] and turns them to [1, channels, N]."""
    picked = graph.add("Gather", [tensor, graph.integers(*channels)], axis=2)
    return graph.add("Transpose", [picked], perm=[0, 2, 1])


def last_steps(graph, tensor):
    """Kinds of the operations between `tensor` and the last layers of the network: tells whether a sigmoid, a softmax
    or a decoding is in the export already. Empty for a graph's own input."""
    found, waiting, seen = set(), [tensor], set()
    while waiting:
        name = waiting.pop()
        node = graph.producer(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        found.add(node.op_type)
        if node.op_type in _PASSING:
            waiting.extend(node.input)
    return found
