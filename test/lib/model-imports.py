"""Runs tiny exports with random weights through all of scripts/model import and compares the results.

    model-imports.py PROGRAM-FOLDER OUT CLIP

OUT gets the models, their cards and calibration sets, and NAME.rgb, the frame of the comparison. For each import one
JSON object a line:
  {"name", "size", "frames", "boxesPx", "scores"}   the float model's greatest differences to the export itself, run by
                                                    ONNX Runtime and decoded in plain Python
  {"expected", "float", "u8", "s8"}                 number of boxes of the reference and each form
  {"notes"}                                         output of the import
"""
import contextlib
import io
import json
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from quiet import onnx, onnxruntime  # noqa: E402  first: silences the import
import cv2  # noqa: E402
import head_exports as exports  # noqa: E402
import heads  # noqa: E402
import import_model  # noqa: E402
import numpy as np  # noqa: E402
from onnx import TensorProto, numpy_helper  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SIZE = (96, 64)
# The rows 3 and 0 of head_exports are kept: person and car.
NAMES = ["car", "cat", "bird", "person", "face"]
LABELS = [0, 2]
# Nodes that postprocess.py adds after every head.
SCORE_MIN, IOU_MAX, CANDIDATES_MAX = 0.15, 0.6, 512

# name, kind, options of the export, other peculiarities
CASES = [
    ("yolox-nhwc", "yolox", {}, {"layout": "NHWC"}),
    ("yolox-half", "yolox", {}, {"dtype": "float16", "batch": "n", "open": True}),
    ("yolox-decoded", "yolox", {"decoded": True}, {}),
    ("yolox-maps", "yolox", {"maps": True}, {"opset": 11}),
    ("nanodet", "nanodet", {}, {}),
    ("nanodet-plus", "nanodet", {"plus": True}, {}),
    ("nanodet-apart", "nanodet", {"apart": True}, {}),
    ("nanodet-plus-apart", "nanodet", {"plus": True, "apart": True}, {}),
    ("picodet", "picodet", {}, {}),
    ("picodet-decoded", "picodet", {"decoded": True}, {}),
    ("picodet-logits", "picodet", {"logits": True}, {"opset": 12}),
    ("detr", "detr", {"no_object": True}, {"size": (160, 96)}),
    ("rtdetr", "detr", {}, {"size": (160, 96)}),
    ("detr-softmax", "detr", {"no_object": True, "applied": "Softmax"}, {"size": (160, 96)}),
    ("rtdetr-sigmoid", "detr", {"applied": "Sigmoid"}, {"size": (160, 96)}),
    ("ssd-300", "ssd", {}, {"size": (300, 300)}),
    ("ssd-torchvision", "ssd", {"family": "torchvision"}, {}),
    ("ssd-vgg", "ssd", {"family": "torchvision", "vgg": True}, {"size": (300, 300)}),
    ("ssd-anchors", "ssd", {"anchors": True}, {}),
    ("ssd-bytes", "ssd", {"family": "corners"}, {"layout": "NHWC", "dtype": "uint8"}),
    ("ssd-bytes-300", "ssd", {"family": "corners"}, {"layout": "NHWC", "dtype": "uint8", "size": (300, 300)}),
    ("ssd-torchvision-anchors", "ssd", {"family": "torchvision", "anchors": True}, {}),
]


def export_of(kind, options, form):
    """The export as its exporter writes it, and the reference: the same in float32 and for one size."""
    size, layout, dtype = form.get("size", SIZE), form.get("layout", "NCHW"), form.get("dtype", "float32")
    # YOLOX takes plain levels, the others some that lie around 0.
    greatest = 255 if dtype == "uint8" or kind == "yolox" else 2
    made = getattr(exports, kind)(size, **options, image=(layout, "uint8" if dtype == "uint8" else "float32", greatest))
    if dtype == "float16":
        for name in list(made.builder.initialisers):
            array = made.builder.array(name)
            if array.dtype == np.float32:
                made.builder.replace_constant(name, array.astype(np.float16).astype(np.float32))
    shape = [1, 3, size[1], size[0]] if layout == "NCHW" else [1, size[1], size[0], 3]
    outputs = [(name, TensorProto.FLOAT, [None] * len(shape)) for name, shape in made.outputs.items()]
    taken = TensorProto.UINT8 if dtype == "uint8" else TensorProto.FLOAT
    plain = made.builder.model("export", [("image", taken, shape)], outputs, form.get("opset", 17), {"names": json.dumps(NAMES)})
    written = onnx.ModelProto()
    written.CopyFrom(plain)
    dims = written.graph.input[0].type.tensor_type.shape.dim
    if "batch" in form:
        dims[0].dim_param = form["batch"]
    if "open" in form:
        dims[2].dim_param, dims[3].dim_param = "height", "width"
    if dtype == "float16":
        for tensor in written.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT:
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
        for info in [*written.graph.input, *written.graph.output]:
            info.type.tensor_type.elem_type = TensorProto.FLOAT16
    return written, plain, list(made.outputs)


def taken(frame, kind, form):
    """Converts the frame [H, W, 3] to the input of an export of `kind`."""
    own, size = heads.module(kind).PREPROCESS, form.get("size", SIZE)
    picture = frame.astype(np.float32)
    if size != frame.shape[1::-1]:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    if own["colour"] == "BGR":
        picture = picture[:, :, ::-1]
    if form.get("dtype") == "uint8":
        picture = np.rint(picture).astype(np.uint8)
    else:
        picture = ((picture - own["mean"]) / own["std"]).astype(np.float32)
    return np.ascontiguousarray(picture if form.get("layout") == "NHWC" else picture.transpose(2, 0, 1))[None]


def expected_of(plain, names, kind, options, form, frame):
    """Expected detections of the model: rows [x1, y1, x2, y2, score, label] in pixels of the frame, best first."""
    size = form.get("size", SIZE)
    raw = session(plain.SerializeToString()).run(names, {"image": taken(frame, kind, form)})
    more = {"kept": True} if kind in ("detr", "ssd") else {}
    shares = [side / own for side, own in zip(frame.shape[1::-1], size)] * 2
    limits = [*frame.shape[1::-1]] * 2
    found = []
    for box, scores in getattr(exports, f"{kind}_reference")(size, raw, **options, **more):
        box = [min(max(side * share, 0), limit) for side, share, limit in zip(box, shares, limits)]
        found.append([*map(float, box), float(max(scores)), LABELS[int(np.argmax(scores))]])
    found.sort(key=lambda one: -one[4])
    kept = []
    for one in found[:CANDIDATES_MAX]:
        if one[4] > SCORE_MIN and not any(one[5] == other[5] and overlap(one, other) > IOU_MAX for other in kept):
            kept.append(one)
    return kept


def overlap(one, other):
    """Overlap of boxes with any two opposite corners, as ONNX defines it: random networks give such boxes."""
    one, other = ([*np.minimum(box[:2], box[2:4]), *np.maximum(box[:2], box[2:4])] for box in (one, other))
    width, height = (min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1))
    if width <= 0 or height <= 0:
        return 0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)


def session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # unused constants are reported as warnings
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def found_by(path, frame):
    boxes, scores, labels = session(str(path)).run(["boxes", "scores", "labels"], {"frame": frame[None]})
    return [[*map(float, box), float(score), int(label)] for box, score, label in zip(boxes, scores, labels)]


def apart(found, expected):
    """Greatest difference of boxes and of scores, each row beside the nearest of its label that is left."""
    left, boxes, scores = list(expected), 0.0, 0.0
    for one in found:
        def distance(other):
            return max(abs(a - b) for a, b in zip(one[:5], other[:5])) if other[5] == one[5] else np.inf
        nearest = min(left, key=distance, default=None)
        if nearest is None:
            return np.inf, np.inf
        left.remove(nearest)
        boxes = max(boxes, *(abs(a - b) for a, b in zip(one[:4], nearest[:4])))
        scores = max(scores, abs(one[4] - nearest[4]) if one[5] == nearest[5] else np.inf)
    return boxes, scores


def short_clip(path, clip):
    """Ten frames of the clip: the gate looks at two of them, and random weights fail it anyway."""
    film, writer = cv2.VideoCapture(clip), None
    for _ in range(10):
        picture = film.read()[1]
        writer = writer or cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, picture.shape[1::-1])
        writer.write(picture)
    writer.release()


def main(out, clip):
    (out / "stills").mkdir(parents=True)
    film = cv2.VideoCapture(clip)
    for index in range(8):
        cv2.imwrite(str(out / "stills" / f"{index}.png"), film.read()[1])
    short_clip(out / "short.avi", clip)
    for name, kind, options, form in CASES:
        exports.begin_anew(name)
        written, plain, names = export_of(kind, options, form)
        file = out / f"{name}.export.onnx"
        onnx.save(written, file)
        said = io.StringIO()
        arguments = [str(file), "--kind", kind, "--name", name, "--out", str(out), "--stills", str(out / "stills"),
                     "--accept-accuracy", "--clip", str(out / "short.avi"), "--our-stills", str(out / "none"),
                     "--models", str(ROOT / "models"), "--cache", str(out), "--truth", str(out / "none")]
        if "open" in form:
            arguments += ["--input", "x".join(map(str, SIZE))]
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            import_model.main(arguments)
        # Every model takes multiples of 32.
        width, height = (-(-side // 32) * 32 for side in form.get("size", SIZE))
        frame = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
        if "size" in form and form.get("dtype") == "uint8":
            # With these levels, a resize from 320 to 300 (means of thirtieths) gives no value half-way between two.
            frame = np.where(frame < 128, 0, 252).astype(np.uint8)
        (out / f"{name}.rgb").write_bytes(frame.tobytes())
        expected = expected_of(plain, names, kind, options, form, frame)
        found = found_by(out / f"{name}-{width}x{height}-float.onnx", frame)
        boxes, scores = apart(found, expected)
        calibration = np.load(out / f"{name}-{width}x{height}-calibration" / "frames.npy", mmap_mode="r")
        print(json.dumps({
            "name": name, "kind": kind, "size": [width, height], "frames": list(calibration.shape),
            "boxesPx": boxes, "scores": scores, "expected": len(expected), "float": len(found),
            **{form: len(found_by(out / f"{name}{end}.onnx", frame)) for form, end in (("u8", ""), ("s8", "-s8s8"))},
            "notes": said.getvalue().splitlines()}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[2]), sys.argv[3])
