"""What follows the decoding in every model: the strongest candidates, cut at the frame, class-wise NMS, the outputs."""
import numpy as np
from onnx import TensorProto

NMS_IOU_MAX = 0.6  # NanoDet's own setting
SCORE_MIN = 0.15  # the lowest score any tracker asks for; below it boxes only cost time
CANDIDATES_MAX = 512  # 128 lose people in a crowd before NMS has merged the doubles
# What GStreamer's onnxinference calls the outputs in GstTensorMeta; it refuses a model that does not say.
TENSOR_IDS = {"boxes": "vigie-boxes", "scores": "vigie-scores", "labels": "vigie-labels"}
CLASS_OFFSET_PX = 8192.0  # above any input side: boxes of two classes never overlap


def finish(builder, boxes, scores, labels):
    """From what a head decodes to the outputs `boxes`, `scores` and `labels` of every model.

    `boxes` is float32 [1, N, 4] in pixels of the frame, `scores` float32 [1, rows, N], `labels` the label of each row.
    """
    values, rows, picked = strongest(builder, builder.add("Squeeze", [scores, builder.integers(0)]))
    all_boxes = builder.add("Squeeze", [boxes, builder.integers(0)])
    chosen = builder.add("Gather", [all_boxes, picked], axis=0)
    suppress(builder, cut(builder, chosen), values, rows, labels)


def strongest(builder, scores):
    """Of scores [classes, N] the strongest candidates: their scores, class rows and indices, each [k], best first."""
    best = builder.add("ReduceMax", [scores], axes=[0], keepdims=0)
    # A small input has fewer anchors than candidates we would take, and TopK refuses that.
    count = builder.add("Min", [builder.add("Shape", [best]), builder.integers(CANDIDATES_MAX)])
    values, picked = builder.add("TopK", [best, count], outputs=2, axis=0)
    rows = builder.add("ArgMax", [builder.add("Gather", [scores, picked], axis=1)], axis=0, keepdims=0)
    return values, rows, picked


def cut(builder, boxes):
    """Boxes [k, 4] cut at the frame's edges."""
    # Shape of the frame is [1, H, W, 3]: the limits of x1 y1 x2 y2 are W H W H.
    limits = builder.add("Gather", [builder.add("Shape", ["frame"]), builder.integers(2, 1, 2, 1)])
    positive = builder.add("Max", [boxes, builder.constant(0, np.float32)])
    return builder.add("Min", [positive, builder.add("Cast", [limits], to=TensorProto.FLOAT)])


def suppress(builder, boxes, scores, rows, labels):
    """Class-wise NMS, and the outputs. Shifting each class to a place of its own makes one plain NMS class-wise.

    `labels` says which label each row has; rows of one label are one class.
    """
    if len(set(labels)) < len(labels):
        own = [labels.index(label) for label in labels]
        rows = builder.add("Gather", [builder.constant(own, np.int64), rows])
    shift = builder.add("Mul", [builder.add("Cast", [rows], to=TensorProto.FLOAT),
                                builder.constant(CLASS_OFFSET_PX, np.float32)])
    apart = builder.add("Add", [boxes, builder.add("Unsqueeze", [shift, builder.integers(1)])])
    selected = builder.add("NonMaxSuppression", [
        builder.add("Unsqueeze", [apart, builder.integers(0)]),
        builder.add("Unsqueeze", [scores, builder.integers(0, 1)]),
        builder.integers(CANDIDATES_MAX),
        builder.constant([NMS_IOU_MAX], np.float32),
        builder.constant([SCORE_MIN], np.float32),
    ])
    # Rows of [batch, class, index], strongest first; only the index tells something here.
    kept = builder.add("Gather", [selected, builder.constant(2, np.int64)], axis=1)
    ids = builder.add("Gather", [builder.constant(labels, np.int32), rows])
    for name, values in (("boxes", boxes), ("scores", scores), ("labels", ids)):
        builder.add("Gather", [values, kept], name=name, axis=0)
