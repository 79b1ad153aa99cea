"""Writes a copy of the detector whose graph suppresses nothing and reports candidates from a lower score on.

Usage: open-model.py MODEL OUT SCORE_MIN
"""
import sys

import onnx
from onnx import numpy_helper

model = onnx.load(sys.argv[1])
[suppression] = [node for node in model.graph.node if node.op_type == "NonMaxSuppression"]
_boxes, _scores, _most, iou_max, score_min = suppression.input
wanted = {iou_max: 1.0, score_min: float(sys.argv[3])}
for tensor in model.graph.initializer:
    if tensor.name in wanted:
        value = numpy_helper.to_array(tensor).copy()
        value.fill(wanted.pop(tensor.name))
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
if wanted:
    sys.exit("the graph's thresholds are not among its constants: " + ", ".join(wanted))
onnx.save(model, sys.argv[2])
