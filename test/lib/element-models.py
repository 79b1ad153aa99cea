"""Models for inference elements.

  element-models.py static IN.onnx OUT.onnx WIDTH HEIGHT   one size, boxes, scores and labels only, ids for the tensors
  element-models.py ssd OUT.onnx WIDTH HEIGHT ROWS.json    constants of the SSD kind; rows [[x1, y1, x2, y2, score, class]], 0..1
"""
import json
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DETECTIONS = ("boxes", "scores", "labels")
# Prefix that libgsttensordecoders.so of GStreamer 1.26.2 requires.
SSD = "Gst.Model.ObjectDetector."


def name_tensors(model, ids):
    del model.metadata_props[:]
    for output, name in ids.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = output, name


def static(source, out, width, height):
    model = onnx.load(source)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    for dim, side in zip(dims, (1, int(height), int(width), 3)):
        dim.Clear()
        dim.dim_value = side
    for output in [one for one in model.graph.output if one.name not in DETECTIONS]:
        model.graph.output.remove(output)
    name_tensors(model, {name: f"vigie-{name}" for name in DETECTIONS})
    onnx.save(model, out)


def ssd(out, width, height, rows):
    rows = np.array(json.loads(rows), np.float32).reshape(-1, 6)
    boxes = rows[None, :, [1, 0, 3, 2]]
    constants = {
        "boxes": boxes,
        "scores": rows[None, :, 4],
        "classes": rows[None, :, 5],
        "count": np.array([len(rows)], np.float32),
    }
    # The graph must use the picture, or the runtime has no input.
    nodes = [
        helper.make_node("Cast", ["frame"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["float"], ["max"], keepdims=0),
        helper.make_node("Mul", ["max", "zero"], ["nothing"]),
    ]
    nodes += [helper.make_node("Add", [f"{name}-value", "nothing"], [name]) for name in constants]
    values = [numpy_helper.from_array(np.ascontiguousarray(v), f"{k}-value") for k, v in constants.items()]
    values.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
    frame = helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, int(height), int(width), 3])
    outputs = [helper.make_tensor_value_info(k, TensorProto.FLOAT, v.shape) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "ssd", [frame], outputs, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    ids = {"boxes": "Boxes", "scores": "Scores", "classes": "Classes", "count": "NumDetections"}
    name_tensors(model, {output: SSD + name for output, name in ids.items()})
    onnx.checker.check_model(model)
    onnx.save(model, out)


if __name__ == "__main__":
    {"static": static, "ssd": ssd}[sys.argv[1]](*sys.argv[2:])
