"""Decodes tiny exports with random weights by the heads of scripts/model and, cell by cell, in plain Python.

    model-heads.py PROGRAM-FOLDER        prints one JSON object a line:
      {"case", "size", "anchors", "boxesPx", "scores", "narrow"}   greatest differences to the reference; `narrow` is the
                                                         one of the scores without the weights of other classes
      {"case", "misfit"}                                 message of the head about an export that does not fit
"""
import json
import sys
from types import SimpleNamespace

sys.path.insert(0, sys.argv[1])
from quiet import onnx, onnxruntime  # noqa: E402  first: silences the import
import assemble  # noqa: E402
import numpy as np  # noqa: E402
from graph import GraphBuilder  # noqa: E402
from head_exports import (CLASSES, ROWS, detr, detr_reference, nanodet, nanodet_reference, picodet,  # noqa: E402
                          picodet_reference, random, ssd, ssd_reference, yolox, yolox_reference)
from heads import Misfit, module  # noqa: E402
from onnx import TensorProto  # noqa: E402

SIZES = [(96, 64), (64, 128), (160, 96)]

CASES = [
    ("yolox", yolox, yolox_reference, [{}, {"decoded": True}]),
    ("nanodet", nanodet, nanodet_reference, [{}, {"plus": True}]),
    ("picodet", picodet, picodet_reference, [{}]),
    ("detr", detr, detr_reference, [{}, {"no_object": True}]),
    ("ssd", ssd, ssd_reference, [
        {}, {"anchors": True}, {"family": "torchvision"}, {"family": "torchvision", "anchors": True}]),
]


def run(export, kind, names, frame):
    """Values of these tensors of the export."""
    outputs = [(name, TensorProto.FLOAT, [None] * (2 if name == "anchors" else len(export.outputs.get(name, "xyz"))))
               for name in names]
    model = export.builder.model(kind, [("frame", TensorProto.UINT8, [*frame.shape])], outputs, 17, {})
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3  # unused constants are reported as warnings
    session = onnxruntime.InferenceSession(model.SerializeToString(), quiet, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, {"frame": frame})))


def cut_out(export, kind, boxes, scores, shape):
    """Cuts the classes that are not kept out of the weights; the import refuses an export in which it cannot."""
    given = [onnx.helper.make_tensor_value_info("frame", TensorProto.UINT8, shape)]
    network = SimpleNamespace(graph=SimpleNamespace(input=given))
    assemble._narrowed(export.builder, network, kind, boxes, scores, CLASSES - len(ROWS))
    assemble._keep_only(export.builder, [boxes, scores])


def check(kind, make, reference, options, size):
    export = make(size, **options)
    export.builder.prefix = "post"  # by which the nodes of the head are known
    boxes, scores = module(kind).decode(export.builder, export.outputs, ROWS, size, **export.more)
    width, height = export.size
    frame = random.integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    found = run(export, kind, [boxes, scores, *(one for one in export.outputs if one not in (boxes, scores))], frame)
    expected = list(reference(export.size, [found[name] for name in export.outputs], **options))
    got_boxes, got_scores = found[boxes], found[scores]
    shapes = (1, len(expected), 4), (1, len(ROWS), len(expected))
    if (got_boxes.shape, got_scores.shape) != shapes or got_boxes.dtype != np.float32:
        raise SystemExit(f"{kind} {options}: {got_boxes.shape} {got_scores.shape}, expected {shapes}")
    whole = [found[name] for name in export.outputs]
    kept = {"kept": True} if kind in ("detr", "ssd") else {}
    cut_out(export, kind, boxes, scores, [*frame.shape])
    narrow = run(export, kind, [boxes, scores], frame)[scores]
    expected_narrow = [values for _, values in reference(export.size, whole, **options, **kept)]
    tell(case=name_of(kind, options), size=f"{width}x{height}", anchors=len(expected),
         boxesPx=float(np.abs(got_boxes[0] - np.array([box for box, _ in expected])).max()),
         scores=float(np.abs(got_scores[0].T - np.array([values for _, values in expected])).max()),
         narrow=float(np.abs(narrow[0].T - np.array(expected_narrow)).max()), spread=float(np.ptp(got_scores)))


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
    misfit("yolox: of another size", "yolox", {"output": [1, 8400, 85]})
    misfit("picodet: after NMS", "picodet", {"boxes": [100, 6], "count": [1]})
    misfit("detr: which of both", "detr", {"logits": [1, 100, 12], "pred_boxes": [1, 100, 4]})
    misfit("ssd: after NMS", "ssd", {"detection_boxes": [1, 100, 4], "detection_scores": [1, 100],
                                     "detection_classes": [1, 100], "num_detections": [1]})
    misfit("ssd: other anchors", "ssd", {"box_encodings": [1, 77, 4], "class_predictions": [1, 77, 91]})


for kind, make, reference, variants in CASES:
    for options in variants:
        for size in SIZES:
            check(kind, make, reference, options, size)
misfits()
