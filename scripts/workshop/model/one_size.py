"""The form of a model that elements of GStreamer and accelerators take: one size of picture, a tensor id for each output."""
import json

import onnx
from onnx import helper

import card
from postprocess import TENSOR_IDS


def write(path, width, height):
    """Writes `<name>-<width>x<height>.onnx` and its card beside the model file `path`, which takes any size."""
    model = onnx.load(path)
    for dim, side in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, height, width, 3)):
        dim.dim_value = side
    # An element hands on all outputs; features are for the box's own detector, which asks for them by name.
    for output in [one for one in model.graph.output if one.name not in TENSOR_IDS]:
        model.graph.node.remove(next(node for node in model.graph.node if output.name in node.output))
        model.graph.output.remove(output)
    helper.set_model_props(model, {**{one.key: one.value for one in model.metadata_props}, **TENSOR_IDS})
    onnx.checker.check_model(model, full_check=True)
    target = path.with_name(f"{path.stem}-{width}x{height}.onnx")
    onnx.save(model, target)
    made = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    made.pop("features", None)
    made["outputs"].pop("features", None)
    made.update(name=target.stem, file=target.name, sha256=card.sha256_of(target), bytes=target.stat().st_size)
    made["input"].update(default=[width, height], fixed=True, advice=f"This file takes {width}x{height} and no other size.")
    target.with_suffix(".json").write_text(card.text(made), encoding="utf-8")
    print(f"{made['sha256']}  {target.name}")
