"""What several heads have in common: points of grids, boxes from centres, looking back through an export."""
from math import ceil

import numpy as np

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
    if not isinstance(count, int):
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
    points, scales = [], []
    for stride in strides:
        columns, lines = (np.arange(ceil(side / stride)) for side in size)
        x, y = np.meshgrid((columns + offset) * stride, (lines + offset) * stride)
        points.append(np.stack([x.reshape(-1), y.reshape(-1)], axis=1))
        scales.append(np.full((x.size, 1), stride))
    return (graph.constant(np.concatenate(points)[None], np.float32),
            graph.constant(np.concatenate(scales)[None], np.float32))


def corners(graph, centres, sides):
    """x1 y1 x2 y2 [1, N, 4] of centres and sides [1, N, 2] each."""
    half = graph.add("Mul", [sides, graph.constant(0.5, np.float32)])
    return graph.add("Concat", [graph.add("Sub", [centres, half]), graph.add("Add", [centres, half])], axis=2)


def frame_sides(graph, size):
    """Width and height of the input, float32 [2]."""
    return graph.constant(size, np.float32)


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
