"""Decodes tiny exports with random weights by the heads of scripts/model and, cell by cell, in plain Python.

    model-heads.py PROGRAM-FOLDER        prints one JSON object a line:
      {"case", "size", "anchors", "boxesPx", "scores"}   greatest differences to the reference
      {"case", "misfit"}                                 what the head says of an export that does not fit

Each export is a real graph: one convolution for each output map reads the frame, then what the exporters of its kind
add. The reference sees only what the export puts out.
"""
import json
import math
import sys

sys.path.insert(0, sys.argv[1])
from quiet import onnx, onnxruntime  # noqa: E402  first: silences the import
import numpy as np  # noqa: E402
from graph import GraphBuilder  # noqa: E402
from heads import Misfit, anchors as ssd_anchors, module  # noqa: E402
from onnx import TensorProto  # noqa: E402

SIZES = [(96, 64), (64, 128), (160, 96), None]  # None: decoded for any size, and run at FREE
FREE = (128, 96)
CLASSES, ROWS = 5, [3, 0]
random = np.random.default_rng(20)


class Export:
    """Adds what an exporter writes to a builder."""

    def __init__(self, size):
        self.size = size or FREE
        self.builder = GraphBuilder()
        floats = self.builder.add("Cast", ["frame"], to=TensorProto.FLOAT)
        planes = self.builder.add("Transpose", [floats], perm=[0, 3, 1, 2])
        self.picture = self.builder.add("Mul", [planes, self.constant(1 / 128)])
        self.outputs = {}
        self.more = {}

    def constant(self, value):
        return self.builder.constant(value, np.float32)

    def add(self, op, *inputs, **attributes):
        return self.builder.add(op, list(inputs), **attributes)

    def level(self, channels, stride, scale=1.0):
        """A map [1, channels, ceil(H / stride), ceil(W / stride)]."""
        weights = self.constant(random.normal(size=(channels, 3, 1, 1)) * scale)
        bias = self.constant(random.normal(size=channels) * scale)
        return self.add("Conv", self.picture, weights, bias, strides=[stride, stride], kernel_shape=[1, 1])

    def listed(self, level, channels):
        """[1, cells * anchors, channels] of a map."""
        last = self.add("Transpose", level, perm=[0, 2, 3, 1])
        return self.add("Reshape", last, self.builder.integers(1, -1, channels))

    def joined(self, parts, axis=1):
        return self.add("Concat", *parts, axis=axis)

    def put_out(self, name, tensor, shape, free=()):
        """`free` axes have a name instead of a number."""
        self.add("Identity", tensor, name=name)
        self.outputs[name] = [f"side{axis}" if axis in free else side for axis, side in enumerate(shape)]

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

def yolox(size, decoded=False, maps=False):
    export = Export(size)
    free = (1, 2, 3) if size is None else ()
    parts = []
    for stride in (8, 16, 32):
        box = export.level(4, stride, 0.5)
        scores = [export.add("Sigmoid", export.level(channels, stride)) for channels in (1, CLASSES)]
        parts.append(export.joined([box, *scores]))
    if maps:
        for stride, part in zip((8, 16, 32), parts):
            sides = [math.ceil(side / stride) for side in (export.size[1], export.size[0])]
            export.put_out(f"output_{stride}", part, [1, 5 + CLASSES, *sides], [axis for axis in free if axis > 1])
        return export
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
    export.put_out("output", listed, [1, total, 5 + CLASSES], free[:1])
    return export


def yolox_reference(size, raw, decoded=False, maps=False):
    values = (np.concatenate([one.reshape(5 + CLASSES, -1).T for one in raw]) if maps else raw[0][0]).tolist()
    for (column, line, stride), (x, y, width, height, objectness, *classes) in zip(cells_of(size, (8, 16, 32)), values):
        if not decoded:
            x, y = (x + column) * stride, (y + line) * stride
            width, height = math.exp(width) * stride, math.exp(height) * stride
        yield ([x - width / 2, y - height / 2, x + width / 2, y + height / 2],
               [objectness * classes[row] for row in ROWS])


# --- PicoDet ---

PICO_STRIDES, BINS = (8, 16, 32, 64), 8


def picodet(size, decoded=False, logits=False):
    export = Export(size)
    free = (1,) if size is None else ()
    scores = [export.listed(export.level(CLASSES, stride), CLASSES) for stride in PICO_STRIDES]
    if not logits:
        scores = [export.add("Sigmoid", one) for one in scores]
    total = sum(export.cells(stride) for stride in PICO_STRIDES)
    if decoded:
        boxes = [export.listed(export.level(4, stride, 30), 4) for stride in PICO_STRIDES]
        export.put_out("boxes", export.joined(boxes), [1, total, 4], free)
        turned = export.add("Transpose", export.joined(scores), perm=[0, 2, 1])
        export.put_out("scores", turned, [1, CLASSES, total], [2] if free else [])
        return export
    for index, stride in enumerate(PICO_STRIDES):
        export.put_out(f"scores_{stride}", scores[index], [1, export.cells(stride), CLASSES], free)
    for stride in PICO_STRIDES:
        level = export.level(4 * BINS, stride)
        export.put_out(f"distances_{stride}", export.listed(level, 4 * BINS), [1, export.cells(stride), 4 * BINS], free)
    return export


def picodet_reference(size, raw, decoded=False, logits=False):
    if decoded:
        yield from ((box, [raw[1][0][row][index] for row in ROWS]) for index, box in enumerate(raw[0][0].tolist()))
        return
    scores, distances = (np.concatenate([one[0] for one in half]).tolist() for half in (raw[:4], raw[4:]))
    for (column, line, stride), classes, bins in zip(cells_of(size, PICO_STRIDES), scores, distances):
        left, top, right, bottom = (
            stride * sum(index * share for index, share in enumerate(softmax(bins[side * BINS:(side + 1) * BINS])))
            for side in range(4))
        x, y = (column + 0.5) * stride, (line + 0.5) * stride
        yield ([x - left, y - top, x + right, y + bottom],
               [sigmoid(classes[row]) if logits else classes[row] for row in ROWS])


# --- DETR ---

def detr(size, no_object=False, applied=None, names=CLASSES):
    export = Export(size)
    export.more = {"classes": names}
    count = CLASSES + no_object
    logits = export.listed(export.level(count, 16), count)
    if applied:
        logits = export.add(applied, logits, **({"axis": 2} if applied == "Softmax" else {}))
    free = (1,) if size is None else ()
    export.put_out("logits", logits, [1, export.cells(16), count], free)
    export.put_out("pred_boxes", export.add("Sigmoid", export.listed(export.level(4, 16), 4)),
                   [1, export.cells(16), 4], free)
    return export


def detr_reference(size, raw, no_object=False, applied=None, names=CLASSES):
    width, height = size
    for logits, (x, y, wide, high) in zip(raw[0][0].tolist(), raw[1][0].tolist()):
        scores = logits if applied else softmax(logits) if no_object else [sigmoid(one) for one in logits]
        yield ([(x - wide / 2) * width, (y - high / 2) * height, (x + wide / 2) * width, (y + high / 2) * height],
               [scores[row] for row in ROWS])


# --- SSD ---

SSD_STRIDES = (16, 32, 64, 128, 256, 512)


def ssd(size, family="tensorflow", anchors=False, names=None):
    """`names`: how many class names are given; with the background among them, CLASSES is the last row."""
    export = Export(size)
    export.more = {"classes": names}
    each = [3, 6, 6, 6, 6, 6] if family != "torchvision" else [6] * 6
    count = CLASSES + 1
    boxes, scores = ([export.listed(export.level(number * channels, stride), channels)
                      for number, stride in zip(each, SSD_STRIDES)] for channels in (4, count))
    total = sum(number * export.cells(stride) for number, stride in zip(each, SSD_STRIDES))
    free = (1,) if size is None else ()
    named = {"tensorflow": ("box_encodings", "class_predictions"), "torchvision": ("bbox_regression", "cls_logits"),
             "corners": ("raw_detection_boxes", "raw_detection_scores"),
             "coco-ssd": ("Postprocessor/ExpandDims_1", "Postprocessor/Slice")}[family]
    joined, classes = export.joined(boxes), export.joined(scores)
    shape = [1, total, 4]
    if family in ("corners", "coco-ssd"):
        joined, classes = export.add("Sigmoid", joined), export.add("Sigmoid", classes)
    if family == "coco-ssd":
        joined = export.add("Unsqueeze", joined, export.builder.integers(2))
        shape = [1, total, 1, 4]
    export.put_out(named[0], joined, shape, free)
    export.put_out(named[1], classes, [1, total, count], free)
    if anchors:
        given = random.uniform(0.1, 0.9, size=(total, 4))
        if family == "torchvision":
            given = np.concatenate([given[:, :2], given[:, :2] + given[:, 2:]], axis=1) * 100
        export.put_out("anchors", export.constant(given), [total, 4])
    return export


def tensorflow_anchors(size):
    """cx cy w h in pixels; scales and ratios as in the published configuration of ssd_mobilenet_v2_coco."""
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
    """cx cy w h in pixels of ssdlite320_mobilenet_v3_large."""
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


def ssd_reference(size, raw, family="tensorflow", anchors=False, names=None):
    first = 0 if family == "coco-ssd" or names == CLASSES + 1 else 1
    offsets, scores = raw[0].reshape(-1, 4).tolist(), raw[1][0].tolist()
    places = (given_anchors(raw, family, size) if anchors else
              {"torchvision": torchvision_anchors, "tensorflow": tensorflow_anchors}.get(family, lambda _: offsets)(size))
    for (cx, cy, wide, high), (a, b, c, d), classes in zip(places, offsets, scores, strict=True):
        if family in ("corners", "coco-ssd"):
            box = [b * size[0], a * size[1], d * size[0], c * size[1]]
        else:
            dx, dy, dw, dh = (a, b, c, d) if family == "torchvision" else (b, a, d, c)
            x, y = cx + dx / 10 * wide, cy + dy / 10 * high
            w, h = math.exp(dw / 5) * wide, math.exp(dh / 5) * high
            box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
        classes = {"tensorflow": lambda: [sigmoid(one) for one in classes], "torchvision": lambda: softmax(classes)}.get(
            family, lambda: classes)()
        yield box, [classes[row + first] for row in ROWS]


# --- CenterNet ---

def centernet(size, channels=2, offset=True, last=False, logits=False):
    export = Export(size)
    sides = [export.size[1] // 4, export.size[0] // 4]
    heat = export.level(CLASSES, 4)
    parts = {"hm": (heat if logits else export.add("Sigmoid", heat), CLASSES),
             "wh": (export.add("Relu", export.level(channels, 4, 10)), channels)}
    if offset:
        parts["reg"] = export.level(2, 4), 2
    for name, (tensor, count) in parts.items():
        free = () if size else (1, 2) if last else (2, 3)
        if last:
            export.put_out(name, export.add("Transpose", tensor, perm=[0, 2, 3, 1]), [1, *sides, count], free)
        else:
            export.put_out(name, tensor, [1, count, *sides], free)
    return export


def centernet_reference(size, raw, channels=2, offset=True, last=False, logits=False):
    heat, sides, *moves = (one[0].transpose(2, 0, 1) if last else one[0] for one in raw)
    if logits:
        heat = 1 / (1 + np.exp(-heat))
    lines, columns = heat.shape[1:]
    for line in range(lines):
        for column in range(columns):
            around = heat[:, max(line - 1, 0):line + 2, max(column - 1, 0):column + 2]
            scores = [heat[row, line, column] if heat[row, line, column] == around[row].max() else 0 for row in ROWS]
            parts = sides[:, line, column]
            if channels == 4:
                left, top, right, bottom = parts
                x, y = column * 4, line * 4
            else:
                left, right, top, bottom = (float(part) * 2 for part in (parts[0], parts[0], parts[1], parts[1]))
                dx, dy = moves[0][:, line, column] if offset else (0.5, 0.5)
                x, y = (column + dx) * 4, (line + dy) * 4
            yield [x - left, y - top, x + right, y + bottom], scores


CASES = [
    ("yolox", yolox, yolox_reference, [{}, {"decoded": True}, {"maps": True}]),
    ("picodet", picodet, picodet_reference, [{}, {"decoded": True}, {"logits": True}]),
    ("detr", detr, detr_reference, [{}, {"no_object": True}, {"applied": "Sigmoid"}, {"no_object": True, "applied": "Softmax"}]),
    ("ssd", ssd, ssd_reference, [
        {}, {"names": CLASSES}, {"names": CLASSES + 1}, {"anchors": True}, {"family": "torchvision"},
        {"family": "torchvision", "anchors": True}, {"family": "corners"}, {"family": "coco-ssd"}]),
    ("centernet", centernet, centernet_reference, [
        {}, {"offset": False}, {"channels": 4, "offset": False}, {"last": True}, {"logits": True}]),
]


def check(kind, make, reference, options, size):
    if size is None and (options.get("decoded") and kind == "yolox" or options.get("anchors") or
                         options.get("family") == "torchvision"):
        return  # such an export has the grid of one size in it
    export = make(size, **options)
    boxes, scores = module(kind).decode(export.builder, export.outputs, ROWS, size, **export.more)
    model = export.builder.model(
        kind, [("frame", TensorProto.UINT8, [1, *((None, None) if size is None else size[::-1]), 3])],
        [(name, TensorProto.FLOAT, [None] * (2 if name == "anchors" else len(export.outputs.get(name, "xyz"))))
         for name in (boxes, scores, *(one for one in export.outputs if one not in (boxes, scores)))], 17, {})
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3  # constants that nobody reads any more are told as warnings
    session = onnxruntime.InferenceSession(model.SerializeToString(), quiet, providers=["CPUExecutionProvider"])
    width, height = export.size
    frame = random.integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    found = dict(zip([one.name for one in session.get_outputs()], session.run(None, {"frame": frame})))
    expected = list(reference(export.size, [found[name] for name in export.outputs], **options))
    got_boxes, got_scores = found[boxes], found[scores]
    shapes = (1, len(expected), 4), (1, len(ROWS), len(expected))
    if (got_boxes.shape, got_scores.shape) != shapes or got_boxes.dtype != np.float32:
        raise SystemExit(f"{kind} {options}: {got_boxes.shape} {got_scores.shape}, expected {shapes}")
    tell(case=name_of(kind, options), size="free" if size is None else f"{width}x{height}", anchors=len(expected),
         boxesPx=float(np.abs(got_boxes[0] - np.array([box for box, _ in expected])).max()),
         scores=float(np.abs(got_scores[0].T - np.array([values for _, values in expected])).max()),
         spread=float(np.ptp(got_scores)))


def anchors_of_another_size(size, trained=(300, 300)):
    """An SSD run at `size`: anchors have the pixels of the size it was trained for, and its place to the cells there."""
    builder = GraphBuilder()
    sides = builder.constant(size, np.float32)
    made = ssd_anchors.tensorflow(builder, sides, trained)
    model = builder.model("anchors", [], [(name, TensorProto.FLOAT, [1, None, 2]) for name in made], 17, {})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = np.concatenate(session.run(None, {}), axis=2)[0]
    expected = []
    own = iter(list(tensorflow_anchors(trained)))
    for level, stride in enumerate(SSD_STRIDES):
        each, cells = (3 if level == 0 else 6), math.ceil(trained[0] / stride)
        level_own = [next(own) for _ in range(each * cells * cells)]
        shapes = [anchor[2:] for anchor in level_own[:each]]
        # The middle of all cells lies in the middle of the picture that it was trained on.
        place = trained[0] / 2 - (cells - 1) / 2 * stride
        for line in range(math.ceil(size[1] / stride)):
            for column in range(math.ceil(size[0] / stride)):
                expected += [(place + column * stride, place + line * stride, *shape) for shape in shapes]
    tell(case="ssd anchors trained at 300x300", size="x".join(map(str, size)), anchors=len(expected),
         boxesPx=float(np.abs(found - np.array(expected)).max()))


def name_of(kind, options):
    return " ".join([kind, *(f"{name}={value}" for name, value in options.items())])


def tell(**facts):
    print(json.dumps(facts))


def misfit(case, kind, outputs, rows=ROWS, size=(96, 64), **more):
    builder = GraphBuilder()
    try:
        module(kind).decode(builder, outputs, rows, size, **more)
        tell(case=case, misfit=None)
    except Misfit as error:
        tell(case=case, misfit=str(error))


def misfits():
    misfit("yolox: two lists", "yolox", {"a": [1, 126, 10], "b": [1, 126, 10]})
    misfit("yolox: of another size", "yolox", {"output": [1, 8400, 85]})
    misfit("yolox: class 7 of 5", "yolox", {"output": [1, 126, 10]}, [7])
    misfit("picodet: after NMS", "picodet", {"boxes": [100, 6], "count": [1]})
    misfit("picodet: scores turned", "picodet", {"boxes": [1, 128, 4], "scores": [1, 128, 5]})
    misfit("detr: which of both", "detr", {"logits": [1, 100, 12], "pred_boxes": [1, 100, 4]})
    misfit("detr: names that fit neither", "detr", {"logits": [1, 100, 12], "pred_boxes": [1, 100, 4]}, classes=20)
    misfit("detr: with post-processor", "detr", {"labels": [1, 300], "boxes": [1, 300, 4], "scores": [1, 300]})
    misfit("ssd: after NMS", "ssd", {"detection_boxes": [1, 100, 4], "detection_scores": [1, 100],
                                     "detection_classes": [1, 100], "num_detections": [1]})
    misfit("ssd: nameless", "ssd", {"a": [1, 100, 4], "b": [1, 100, 91]})
    misfit("ssd: other anchors", "ssd", {"box_encodings": [1, 77, 4], "class_predictions": [1, 77, 91]})
    misfit("ssd: other anchors, torchvision", "ssd", {"bbox_regression": [1, 77, 4], "cls_logits": [1, 77, 91]})
    misfit("centernet: nameless", "centernet", {"a": [1, 5, 16, 24], "b": [1, 2, 16, 24]})
    misfit("centernet: of another size", "centernet", {"hm": [1, 5, 128, 128], "wh": [1, 2, 128, 128]})
    misfit("no class", "yolox", {"output": [1, 126, 10]}, [])


for kind, make, reference, variants in CASES:
    for options in variants:
        for size in SIZES:
            check(kind, make, reference, options, size)
for other in ((416, 256), (320, 320)):
    anchors_of_another_size(other)
misfits()
