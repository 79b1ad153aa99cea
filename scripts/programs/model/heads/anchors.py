"""Anchors of the usual SSD models, where an export does not bring its own.

Sources: TensorFlow's Object Detection API, multiple_grid_anchor_generator.create_ssd_anchors with the values of
ssd_mobilenet_v1/v2_coco (six grids of stride 16 to 512, scales .2 to .95); torchvision, DefaultBoxGenerator with those
of ssdlite320_mobilenet_v3_large and ssd300_vgg16.
"""
from math import ceil, sqrt

import numpy as np
from onnx import TensorProto

TF_STRIDES_PX = (16, 32, 64, 128, 256, 512)
TF_SCALES = [0.2 + 0.15 * index for index in range(6)] + [1.0]
TF_RATIOS = (1.0, 2.0, 0.5, 3.0, 0.3333)
# ssdlite320: torchvision's scales and both ratios for all six grids. ssd300: VOC's scales and step of each grid.
LITE_SCALES = [0.2 + 0.15 * index for index in range(6)] + [1.0]
LITE_RATIOS = [(2, 3)] * 6
VGG_SCALES = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]
VGG_RATIOS = [(2,), (2, 3), (2, 3), (2, 3), (2,), (2,)]
VGG_GRIDS = (38, 19, 10, 5, 3, 1)
VGG_STEPS_PX = (8, 16, 32, 64, 100, 300)


def tensorflow_count(size):
    """Anchors of a TensorFlow MobileNet SSD at `size` (width, height)."""
    counts = [ceil(size[0] / stride) * ceil(size[1] / stride) for stride in TF_STRIDES_PX]
    return 3 * counts[0] + 6 * sum(counts[1:])


def tensorflow_at(size):
    """Centres and sides as arrays [N, 2] in pixels, for the one `size` (width, height) of an export."""
    centres, extents = [], []
    for level, stride in enumerate(TF_STRIDES_PX):
        columns, lines = (ceil(side / stride) for side in size)
        shapes = _tensorflow_shapes(level)
        x, y = np.meshgrid((np.arange(columns) + 0.5) * size[0] / columns, (np.arange(lines) + 0.5) * size[1] / lines)
        centres.append(np.repeat(np.stack([x.reshape(-1), y.reshape(-1)], axis=1), len(shapes), axis=0))
        extents.append(np.tile(shapes, (columns * lines, 1)) * min(size))
    return np.concatenate(centres), np.concatenate(extents)


def tensorflow(graph, sides, trained=None):
    """Names of centres and sides, [1, N, 2] each (x, y), in pixels; `sides` are width and height of the input, float32
    [2]. Anchors are square in the picture: their scale is a share of its shorter side.

    `trained` is the (width, height) of a network that is run at another size than it was trained for. Its convolutions know
    pixels, not shares: anchors keep their pixels then, and lie to the cells as they did in the middle of the picture.
    """
    shorter = (graph.add("ReduceMin", [sides], axes=[0], keepdims=1) if trained is None
               else graph.constant(min(trained), np.float32))
    whole = graph.add("Cast", [sides], to=TensorProto.INT64)
    centres, extents = [], []
    for level, stride in enumerate(TF_STRIDES_PX):
        up = graph.add("Add", [whole, graph.integers(stride - 1)])
        counts = graph.add("Div", [up, graph.integers(stride)])  # columns, rows
        shapes = _tensorflow_shapes(level)
        every = [_spread(graph, counts, axis, len(shapes)) for axis in (0, 1)]
        points = graph.add("Concat", every, axis=2)
        if trained is None:
            step = graph.add("Div", [sides, graph.add("Cast", [counts], to=TensorProto.FLOAT)])
            centres.append(graph.add("Mul", [points, step]))
        else:
            shift = [side / 2 - stride * ceil(side / stride) / 2 for side in trained]
            apart = graph.add("Mul", [points, graph.constant(stride, np.float32)])
            centres.append(graph.add("Add", [apart, graph.constant(shift, np.float32)]))
        repeats = graph.add("ReduceProd", [counts], axes=[0], keepdims=1)
        tiled = graph.add("Tile", [graph.constant([shapes], np.float32), graph.add(
            "Concat", [graph.integers(1), repeats, graph.integers(1)], axis=0)])
        extents.append(graph.add("Mul", [tiled, shorter]))
    return graph.add("Concat", centres, axis=1), graph.add("Concat", extents, axis=1)


def _tensorflow_shapes(level):
    """Width and height of each anchor of a cell, as shares."""
    scale, following = TF_SCALES[level:level + 2]
    kinds = ([(0.1, 1.0), (scale, 2.0), (scale, 0.5)] if level == 0
             else [*((scale, ratio) for ratio in TF_RATIOS), (sqrt(scale * following), 1.0)])
    return [(share * sqrt(ratio), share / sqrt(ratio)) for share, ratio in kinds]


def _spread(graph, counts, axis, repeats):
    """index + 0.5 along `axis` (0: columns, 1: rows) for every anchor of every cell: [1, rows * columns * repeats, 1]."""
    zero, one = graph.constant(0, np.int64), graph.constant(1, np.int64)
    count = graph.add("Gather", [counts, graph.constant(axis, np.int64)])
    steps = graph.add("Cast", [graph.add("Range", [zero, count, one])], to=TensorProto.FLOAT)
    middles = graph.add("Add", [steps, graph.constant(0.5, np.float32)])
    placed = graph.add("Reshape", [middles, graph.integers(*((1, -1, 1) if axis == 0 else (-1, 1, 1)))])
    shape = graph.add("Concat", [graph.add("Gather", [counts, graph.integers(1, 0)]), graph.integers(repeats)], axis=0)
    return graph.add("Reshape", [graph.add("Expand", [placed, shape]), graph.integers(1, -1, 1)])


def torchvision(count, size):
    """Centres and sides of torchvision's default boxes as arrays [N, 2] in pixels, or None if it has no model with
    `count` of them at `size` (width, height)."""
    lite = [(ceil(size[0] / stride), ceil(size[1] / stride)) for stride in TF_STRIDES_PX]
    vgg = [(cells, cells) for cells in VGG_GRIDS]
    for grids, ratios, scales, steps in ((lite, LITE_RATIOS, LITE_SCALES, None), (vgg, VGG_RATIOS, VGG_SCALES, VGG_STEPS_PX)):
        total = sum(columns * lines * (2 + 2 * len(kinds)) for (columns, lines), kinds in zip(grids, ratios))
        if total == count and (steps is None or tuple(size) == (300, 300)):
            return _default_boxes(grids, ratios, scales, steps, size)
    return None


def _default_boxes(grids, ratios, scales, steps, size):
    centres, sides = [], []
    for level, (columns, lines) in enumerate(grids):
        scale, following = scales[level:level + 2]
        shapes = [(scale, scale), (sqrt(scale * following),) * 2]
        for ratio in ratios[level]:
            wide, high = scale * sqrt(ratio), scale / sqrt(ratio)
            shapes += [(wide, high), (high, wide)]
        across = size[0] / steps[level] if steps else columns
        down = size[1] / steps[level] if steps else lines
        x, y = np.meshgrid((np.arange(columns) + 0.5) / across, (np.arange(lines) + 0.5) / down)
        points = np.stack([x.reshape(-1), y.reshape(-1)], axis=1)
        centres.append(np.repeat(points, len(shapes), axis=0))
        sides.append(np.tile(np.clip(shapes, 0, 1), (len(points), 1)))
    return np.concatenate(centres) * size, np.concatenate(sides) * size
