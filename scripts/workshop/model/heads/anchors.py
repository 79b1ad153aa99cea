"""Anchors of the usual SSD models, where an export does not bring its own.

Sources: TensorFlow's Object Detection API, multiple_grid_anchor_generator.create_ssd_anchors with the values of
ssd_mobilenet_v1/v2_coco (six grids of stride 16 to 512, scales .2 to .95); torchvision, DefaultBoxGenerator with those
of ssdlite320_mobilenet_v3_large and ssd300_vgg16.
"""
from math import ceil, sqrt

import numpy as np

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


def tensorflow(size):
    """Centres and sides as arrays [N, 2] in pixels, at `size` (width, height). Anchors are square in the picture: their scale
    is a share of its shorter side."""
    centres, extents = [], []
    for level, stride in enumerate(TF_STRIDES_PX):
        columns, lines = (ceil(side / stride) for side in size)
        shapes = _tensorflow_shapes(level)
        x, y = np.meshgrid((np.arange(columns) + 0.5) * size[0] / columns, (np.arange(lines) + 0.5) * size[1] / lines)
        centres.append(np.repeat(np.stack([x.reshape(-1), y.reshape(-1)], axis=1), len(shapes), axis=0))
        extents.append(np.tile(shapes, (columns * lines, 1)) * min(size))
    return np.concatenate(centres), np.concatenate(extents)


def _tensorflow_shapes(level):
    """Width and height of each anchor of a cell, as shares."""
    scale, following = TF_SCALES[level:level + 2]
    kinds = ([(0.1, 1.0), (scale, 2.0), (scale, 0.5)] if level == 0
             else [*((scale, ratio) for ratio in TF_RATIOS), (sqrt(scale * following), 1.0)])
    return [(share * sqrt(ratio), share / sqrt(ratio)) for share, ratio in kinds]


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
