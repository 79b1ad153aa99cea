"""Tiny detectors of every kind with random weights, as their exporters write them, and a plain decoding of their
outputs, cell by cell. The importing program puts scripts/workshop/model into the path first.

Each export is a real graph: one convolution for each output map, then what the exporters of its kind add. A reference sees
only the outputs of the export, and returns (box x1 y1 x2 y2 in pixels, scores of ROWS) for each anchor.
"""
import math

import numpy as np
from graph import GraphBuilder
from onnx import TensorProto

CLASSES, ROWS = 5, [3, 0]
BINS = 8  # bins of the distributions of NanoDet and PicoDet
NANO_STRIDES = {False: (8, 16, 32), True: (8, 16, 32, 64)}
random = np.random.default_rng(20)


class Export:
    """Adds what an exporter writes to a builder.

    The network reads a tensor `frame` of bytes, the input with which a head is tested.
    """

    def __init__(self, size):
        self.size = size
        self.builder = GraphBuilder()
        self.outputs = {}
        self.more = {}
        floats = self.builder.add("Cast", ["frame"], to=TensorProto.FLOAT)
        planes = self.builder.add("Transpose", [floats], perm=[0, 3, 1, 2])
        self.cells_of = self.add("Mul", planes, self.constant(1 / 128))

    def constant(self, value):
        return self.builder.constant(value, np.float32)

    def add(self, op, *inputs, **attributes):
        return self.builder.add(op, list(inputs), **attributes)

    def level(self, channels, stride, scale=1.0):
        """A map [1, channels, ceil(H / stride), ceil(W / stride)]."""
        weights = self.constant(random.normal(size=(channels, 3, 1, 1)) * scale)
        bias = self.constant(random.normal(size=channels) * scale)
        return self.add("Conv", self.cells_of, weights, bias, strides=[stride] * 2, kernel_shape=[1, 1])

    def listed(self, level, channels):
        """[1, cells * anchors, channels] of a map."""
        last = self.add("Transpose", level, perm=[0, 2, 3, 1])
        return self.add("Reshape", last, self.builder.integers(1, -1, channels))

    def joined(self, parts, axis=1):
        return self.add("Concat", *parts, axis=axis)

    def put_out(self, name, tensor, shape):
        self.add("Identity", tensor, name=name)
        self.outputs[name] = list(shape)

    def cells(self, stride):
        return math.ceil(self.size[0] / stride) * math.ceil(self.size[1] / stride)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def softmax(values):
    weights = [math.exp(value - max(values)) for value in values]
    return [weight / sum(weights) for weight in weights]


def cells_of(size, strides):
    """(column, line, stride) of each cell in the order of all heads."""
    for stride in strides:
        for line in range(math.ceil(size[1] / stride)):
            for column in range(math.ceil(size[0] / stride)):
                yield column, line, stride


# --- YOLOX ---

def yolox(size, decoded=False):
    export = Export(size)
    parts = []
    for stride in (8, 16, 32):
        box = export.level(4, stride, 0.5)
        scores = [export.add("Sigmoid", export.level(channels, stride)) for channels in (1, CLASSES)]
        parts.append(export.joined([box, *scores]))
    listed = export.joined([export.listed(part, 5 + CLASSES) for part in parts])
    if decoded:
        places = list(cells_of(export.size, (8, 16, 32)))
        grid = export.constant([[[column, line] for column, line, _ in places]])
        strides = export.constant([[[stride] for _, _, stride in places]])
        centre, sides, rest = export.builder.add("Split", [listed, export.builder.integers(2, 2, 1 + CLASSES)],
                                                 outputs=3, axis=2)
        centre = export.add("Mul", export.add("Add", centre, grid), strides)
        listed = export.joined([centre, export.add("Mul", export.add("Exp", sides), strides), rest], axis=2)
    total = sum(export.cells(stride) for stride in (8, 16, 32))
    export.put_out("output", listed, [1, total, 5 + CLASSES])
    return export


def yolox_reference(size, raw, decoded=False):
    cells = cells_of(size, (8, 16, 32))
    for (column, line, stride), (x, y, width, height, objectness, *classes) in zip(cells, raw[0][0].tolist()):
        if not decoded:
            x, y = (x + column) * stride, (y + line) * stride
            width, height = math.exp(width) * stride, math.exp(height) * stride
        yield ([x - width / 2, y - height / 2, x + width / 2, y + height / 2],
               [objectness * classes[row] for row in ROWS])


# --- NanoDet ---

def nanodet(size, plus=False):
    """NanoDet-Plus has a fourth stride, and its points in the corners of the cells."""
    export = Export(size)
    export.more = {"classes": CLASSES}
    strides = NANO_STRIDES[plus]
    scores = [export.add("Sigmoid", export.listed(export.level(CLASSES, stride), CLASSES)) for stride in strides]
    distances = [export.listed(export.level(4 * BINS, stride), 4 * BINS) for stride in strides]
    total = sum(export.cells(stride) for stride in strides)
    export.put_out("output", export.joined([export.joined(scores), export.joined(distances)], axis=2),
                   [1, total, CLASSES + 4 * BINS])
    return export


def nanodet_reference(size, raw, plus=False):
    scores, distances = raw[0][0, :, :CLASSES].tolist(), raw[0][0, :, CLASSES:].tolist()
    for (column, line, stride), classes, bins in zip(cells_of(size, NANO_STRIDES[plus]), scores, distances):
        yield (around((column, line), stride, bins, 0 if plus else 0.5), [classes[row] for row in ROWS])


def around(cell, stride, bins, offset):
    """The box whose sides have the distances that the distributions `bins` expect from a cell's point."""
    left, top, right, bottom = (
        stride * sum(index * share for index, share in enumerate(softmax(bins[side * BINS:(side + 1) * BINS])))
        for side in range(4))
    x, y = ((index + offset) * stride for index in cell)
    return [x - left, y - top, x + right, y + bottom]


# --- PicoDet ---

PICO_STRIDES = (8, 16, 32, 64)


def picodet(size):
    export = Export(size)
    for stride in PICO_STRIDES:
        scores = export.add("Sigmoid", export.listed(export.level(CLASSES, stride), CLASSES))
        export.put_out(f"scores_{stride}", scores, [1, export.cells(stride), CLASSES])
    for stride in PICO_STRIDES:
        level = export.level(4 * BINS, stride)
        export.put_out(f"distances_{stride}", export.listed(level, 4 * BINS), [1, export.cells(stride), 4 * BINS])
    return export


def picodet_reference(size, raw):
    scores, distances = (np.concatenate([one[0] for one in half]).tolist() for half in (raw[:4], raw[4:]))
    for (column, line, stride), classes, bins in zip(cells_of(size, PICO_STRIDES), scores, distances):
        yield around((column, line), stride, bins, 0.5), [classes[row] for row in ROWS]


# --- DETR ---

def detr(size, no_object=False):
    """A query for each cell of 16 pixels."""
    export = Export(size)
    export.more = {"classes": CLASSES}
    count = CLASSES + no_object
    logits, boxes = (export.listed(export.level(channels, 16), channels) for channels in (count, 4))
    export.put_out("logits", logits, [1, export.cells(16), count])
    export.put_out("pred_boxes", export.add("Sigmoid", boxes), [1, export.cells(16), 4])
    return export


def detr_reference(size, raw, no_object=False, kept=False):
    """`kept`: the softmax is one over the kept classes and no object; so in ssd_reference."""
    width, height = size
    for logits, (x, y, wide, high) in zip(raw[0][0].tolist(), raw[1][0].tolist()):
        scores = softmax(logits) if no_object else [sigmoid(one) for one in logits]
        share = sum(scores[row] for row in [*ROWS, -1]) if kept and no_object else 1
        yield ([(x - wide / 2) * width, (y - high / 2) * height, (x + wide / 2) * width, (y + high / 2) * height],
               [scores[row] / share for row in ROWS])


# --- SSD ---

SSD_STRIDES = (16, 32, 64, 128, 256, 512)


def ssd(size, family="tensorflow", anchors=False):
    """Offsets from anchors; the background is the first class."""
    export = Export(size)
    export.more = {"classes": None}
    each = [3, 6, 6, 6, 6, 6] if family == "tensorflow" else [6] * 6
    count = CLASSES + 1
    boxes, scores = ([export.listed(export.level(number * channels, stride), channels)
                      for number, stride in zip(each, SSD_STRIDES)] for channels in (4, count))
    total = sum(number * export.cells(stride) for number, stride in zip(each, SSD_STRIDES))
    named = {"tensorflow": ("box_encodings", "class_predictions"), "torchvision": ("bbox_regression", "cls_logits")}
    for name, parts, channels in zip(named[family], (boxes, scores), (4, count)):
        export.put_out(name, export.joined(parts), [1, total, channels])
    if anchors:
        given = random.uniform(0.1, 0.9, size=(total, 4))
        if family == "torchvision":
            given = np.concatenate([given[:, :2], given[:, :2] + given[:, 2:]], axis=1) * 100
        export.put_out("anchors", export.constant(given), [total, 4])
    return export


def tensorflow_anchors(size):
    """Anchors, cx cy w h in pixels; scales and ratios as in the published configuration of ssd_mobilenet_v2_coco."""
    scales = [0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0]
    for level, stride in enumerate(SSD_STRIDES):
        columns, lines = math.ceil(size[0] / stride), math.ceil(size[1] / stride)
        kinds = [(0.1, 1), (0.2, 2), (0.2, 0.5)] if level == 0 else [
            *((scales[level], ratio) for ratio in (1, 2, 0.5, 3, 0.3333)), (math.sqrt(scales[level] * scales[level + 1]), 1)]
        for line in range(lines):
            for column in range(columns):
                for scale, ratio in kinds:
                    side = scale * min(size)
                    yield ((column + 0.5) * size[0] / columns, (line + 0.5) * size[1] / lines,
                           side * math.sqrt(ratio), side / math.sqrt(ratio))


def torchvision_anchors(size):
    """Anchors of ssdlite320_mobilenet_v3_large, cx cy w h in pixels."""
    scales = [0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0]
    for level, stride in enumerate(SSD_STRIDES):
        columns, lines = math.ceil(size[0] / stride), math.ceil(size[1] / stride)
        scale, between = scales[level], math.sqrt(scales[level] * scales[level + 1])
        shapes = [(scale, scale), (between, between)]
        for ratio in (2, 3):
            shapes += [(scale * math.sqrt(ratio), scale / math.sqrt(ratio)), (scale / math.sqrt(ratio), scale * math.sqrt(ratio))]
        for line in range(lines):
            for column in range(columns):
                for wide, high in shapes:
                    yield ((column + 0.5) / columns * size[0], (line + 0.5) / lines * size[1],
                           min(wide, 1) * size[0], min(high, 1) * size[1])


def given_anchors(raw, family, size):
    for a, b, c, d in raw[2].tolist():
        yield ((b * size[0], a * size[1], d * size[0], c * size[1]) if family == "tensorflow"
               else ((a + c) / 2, (b + d) / 2, c - a, d - b))


def ssd_reference(size, raw, family="tensorflow", anchors=False, kept=False):
    is_torch = family == "torchvision"
    places = given_anchors(raw, family, size) if anchors else (torchvision_anchors if is_torch else tensorflow_anchors)(size)
    offsets, scores = raw[0].reshape(-1, 4).tolist(), raw[1][0].tolist()
    for (cx, cy, wide, high), (a, b, c, d), logits in zip(places, offsets, scores, strict=True):
        dx, dy, dw, dh = (a, b, c, d) if is_torch else (b, a, d, c)
        x, y = cx + dx / 10 * wide, cy + dy / 10 * high
        w, h = math.exp(dw / 5) * wide, math.exp(dh / 5) * high
        classes = softmax(logits) if is_torch else [sigmoid(one) for one in logits]
        share = sum(classes[row] for row in [0, *(row + 1 for row in ROWS)]) if kept and is_torch else 1
        yield [x - w / 2, y - h / 2, x + w / 2, y + h / 2], [classes[row + 1] / share for row in ROWS]
