"""Exports of detectors for tests.

  make-export.py FOLDER   makes the exports of a JSON object on standard input, {file: {"what": …, option: value}}. `what` is
                          `nanodet` (the weights of models/, dequantised, in the form of NanoDet's own exporter; `fragile`:
                          the same, but not in 8 bits), `yolox` (random weights), or `stills` (a folder of frames of the
                          clip at `clip`)
  make-export.py --look MODEL EXPORT   facts about a float model made of a yolox export, as JSON
"""
import json
import sys
from pathlib import Path

import numpy as np

MODEL = Path(__file__).resolve().parents[2] / "scripts" / "workshop" / "model"
sys.path.insert(0, str(MODEL))
from quiet import onnx  # noqa: E402 - its folder comes from the arguments
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

OPSET = 17
# Up to 12, Split has its sizes as an attribute.
OPSET_OF_SPLIT_INPUTS = 13
CITY = ["person", "bicycle", "car", "motorcycle", "bus", "truck", "dog", "backpack", "handbag", "suitcase"]


def nanodet(options):
    """The network of models/nanodet-g-city10.onnx with float weights; takes RGB levels less 114."""
    model = onnx.load(Path(__file__).resolve().parents[2] / "models" / "nanodet-g-city10.onnx")
    graph = model.graph
    arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    before, nodes = {}, []  # source of each tensor without quantisation
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in arrays:
            arrays[node.output[0]] = _dequantised(node, arrays)
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            before[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    for node in nodes:
        for index, name in enumerate(node.input):
            while name in before:
                name = before[name]
            node.input[index] = name
    rows = len(CITY) + 44
    heads = {node.output[0] for node in nodes if node.op_type == "Conv" and len(arrays[node.input[1]]) == rows}
    flattened = next(list(node.input) for node in nodes if node.op_type == "Concat" and node.name.startswith("post_") and
                     all(_maker(nodes, name).input[0] in heads for name in node.input))
    heads = [_maker(nodes, name).input[0] for name in flattened]  # in the order of the strides
    first = next(node for node in nodes if node.op_type == "Conv")
    picture = first.input[0]
    net = _in_order([node for node in nodes if node.name.startswith("net_")], {picture, *arrays})
    if "fragile" in options:
        net = _beside_a_giant(first, arrays) + net
    classes = len(CITY)
    for index, head in enumerate(heads):
        flat, turned = f"flat{index}", f"turned{index}"
        net.append(helper.make_node("Reshape", [head, "flat_shape"], [flat]))
        net.append(helper.make_node("Transpose", [flat], [turned], perm=[0, 2, 1]))
    arrays["flat_shape"] = np.array([1, classes + 44, -1])
    arrays["parts"] = np.array([classes, 44])
    net += [helper.make_node("Concat", [f"turned{index}" for index in range(len(heads))], ["all"], axis=1),
            helper.make_node("Split", ["all", "parts"], ["logits", "distances"], axis=2),
            helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
            helper.make_node("Concat", ["probabilities", "distances"], ["output"], axis=2)]
    return _model(net, picture, arrays, ["output"], options, CITY)


def _beside_a_giant(first, arrays):
    """Makes the first convolution read the picture times a thousand too, with weights of 0. In 8 bits, one range for both
    loses the picture."""
    picture = first.input[0]
    arrays["thousand"] = np.array(1000, np.float32)
    weights = arrays[first.input[1]]
    arrays["weights_of_both"] = np.concatenate([weights, 0 * weights], axis=1)
    first.input[0], first.input[1] = "both", "weights_of_both"
    return [helper.make_node("Mul", [picture, "thousand"], ["giant"]),
            helper.make_node("Concat", [picture, "giant"], ["both"], axis=1)]


def _maker(nodes, tensor):
    return next(node for node in nodes if tensor in node.output)


def _in_order(nodes, known):
    """Sorts each node after the nodes that make its inputs; the quantisation appends its own at the end."""
    known, ordered = {"", *known}, []
    while nodes:
        ready = [node for node in nodes if known.issuperset(node.input)]
        known.update(name for node in ready for name in node.output)
        ordered += ready
        nodes = [node for node in nodes if node not in ready]
    return ordered


def _dequantised(node, arrays):
    values, scale = (arrays[name] for name in node.input[:2])
    zero = arrays[node.input[2]] if len(node.input) > 2 else 0
    axis = next((one.i for one in node.attribute if one.name == "axis"), 1)
    if scale.ndim == 1:
        shape = [-1 if side == axis else 1 for side in range(values.ndim)]
        scale, zero = scale.reshape(shape), np.reshape(zero, shape)
    return ((values.astype(np.float32) - np.float32(zero)) * scale).astype(np.float32)


def yolox(options):
    """A convolution for each stride with rows x y w h objectness and classes of `names`."""
    names = options["names"].split(",")
    random, arrays, nodes, flat = np.random.default_rng(1), {}, [], []
    tensor, channels = "picture", 3
    rows = 5 + len(names)
    is_old = int(options.get("opset", OPSET)) < OPSET_OF_SPLIT_INPUTS
    split_inputs, split_attributes = ([], {"split": [4, rows - 4]}) if is_old else (["parts"], {})
    if options.get("layout") == "NHWC":
        nodes.append(helper.make_node("Transpose", [tensor], ["planes"], perm=[0, 3, 1, 2]))
        tensor = "planes"
    for stride in (8, 16, 32):
        step = 8 if stride == 8 else 2
        for name, outputs, inputs, kernel in ((f"body{stride}", 8, channels, step), (f"head{stride}", rows, 8, 1)):
            arrays[f"{name}_weights"] = (random.standard_normal((outputs, inputs, kernel, kernel)) / 60).astype(np.float32)
            arrays[f"{name}_bias"] = random.standard_normal(outputs).astype(np.float32)
        if stride == 8:
            arrays["body8_weights"] /= 100  # levels up to 255
        nodes += [
            helper.make_node("Conv", [tensor, f"body{stride}_weights", f"body{stride}_bias"], [f"body{stride}"],
                             kernel_shape=[step, step], strides=[step, step]),
            helper.make_node("Relu", [f"body{stride}"], [f"relu{stride}"]),
            helper.make_node("Conv", [f"relu{stride}", f"head{stride}_weights", f"head{stride}_bias"], [f"head{stride}"],
                             kernel_shape=[1, 1]),
            helper.make_node("Split", [f"head{stride}", *split_inputs], [f"sides{stride}", f"logits{stride}"], axis=1,
                             **split_attributes),
            helper.make_node("Sigmoid", [f"logits{stride}"], [f"scores{stride}"]),
            helper.make_node("Concat", [f"sides{stride}", f"scores{stride}"], [f"map{stride}"], axis=1),
            helper.make_node("Reshape", [f"map{stride}", "flat_shape"], [f"flat{stride}"]),
        ]
        flat.append(f"flat{stride}")
        tensor, channels = f"relu{stride}", 8
    arrays["parts"], arrays["flat_shape"] = np.array([4, rows - 4]), np.array([1, rows, -1])
    nodes += [helper.make_node("Concat", flat, ["joined"], axis=2),
              helper.make_node("Transpose", ["joined"], ["output"], perm=[0, 2, 1])]
    outputs = ["output"]
    if "also" in options:  # further outputs of a face detector
        nodes.append(helper.make_node("Identity", ["relu32"], [options["also"]]))
        outputs.append(options["also"])
    return _model(nodes, "picture", arrays, outputs, options, names)


def _model(nodes, picture, arrays, outputs, options, names):
    width, height = (int(side) for side in options.get("size", "96x64").split("x"))
    batch = options.get("batch", "1")
    sides = ["h", "w"] if "open" in options else [height, width]
    shape = [int(batch) if batch.isdigit() else batch, *([*sides, 3] if options.get("layout") == "NHWC" else [3, *sides])]
    nodes, inputs = list(nodes), [(picture, TensorProto.FLOAT, shape)]
    if "inputs" in options:
        inputs.append(("image_shape", TensorProto.FLOAT, [1, 2]))
        nodes.append(helper.make_node("Identity", ["image_shape"], ["seen"]))
    used = {name for node in nodes for name in node.input}
    weights = [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items() if name in used]
    graph = helper.make_graph(nodes, "export", [helper.make_tensor_value_info(*one) for one in inputs],
                              [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs], weights)
    opset = helper.make_opsetid("", int(options.get("opset", OPSET)))
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    del model.graph.value_info[:]
    if options.get("dtype") == "float16":
        _halve(model)
    if "silent" not in options:
        helper.set_model_props(model, {"names": str(dict(enumerate(names)))})
    return model


def _halve(model):
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for info in [*model.graph.input, *model.graph.output]:
        info.type.tensor_type.elem_type = TensorProto.FLOAT16


def stills(target, clip):
    """Eight frames of a clip."""
    import cv2
    Path(target).mkdir()
    film = cv2.VideoCapture(clip)
    for index in range(8):
        cv2.imwrite(f"{target}/{index}.png", film.read()[1])


def look(path, export_path):
    """Rows of the head convolutions, the metadata, and how far scores and boxes are from those of the export itself."""
    import onnxruntime
    model, export = onnx.load(path), onnx.load(export_path)
    weights = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    rows = sorted({len(weights[node.input[1]]) for node in model.graph.node if node.op_type == "Conv"})
    height, width = (dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:3])
    frame = np.random.default_rng(2).integers(0, 256, (1, height, width, 3), np.uint8)
    run = [onnxruntime.InferenceSession(one, providers=["CPUExecutionProvider"]) for one in (path, export_path)]
    boxes, scores, labels = run[0].run(["boxes", "scores", "labels"], {"frame": frame})
    taken = run[1].get_inputs()[0].name
    levels = frame[:, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32)
    raw, = run[1].run(["output"], {taken: levels})
    names = list(eval({one.key: one.value for one in export.metadata_props}["names"]).values())  # noqa: S307 - our own
    cells = np.concatenate([np.stack([*np.meshgrid(np.arange(width // step), np.arange(height // step)),
                                      np.full((height // step, width // step), step)], -1).reshape(-1, 3)
                            for step in (8, 16, 32)])
    middle = (raw[0, :, :2] + cells[:, :2]) * cells[:, 2:]
    half = np.exp(raw[0, :, 2:4]) * cells[:, 2:] / 2
    corners = np.clip(np.concatenate([middle - half, middle + half], 1), 0, [width, height, width, height])
    kept = [index for index, name in enumerate(names) if name in (*CITY, "motorbike", "van")]  # as the test maps them
    best = raw[0, :, 4:5] * raw[0, :, [5 + index for index in kept]].T
    worst = 0.0
    for box, score in zip(boxes, scores):  # each is one of the export's own
        worst = max(worst, float(np.min(np.abs(corners - box).max(1) + np.abs(best.max(1) - score))))
    print(json.dumps({"rows": rows, "found": len(boxes), "labels": sorted({int(one) for one in labels}), "worst": worst,
                      "best": float(best.max() - (scores[0] if len(scores) else 0)),
                      "metadata": {one.key: one.value for one in model.metadata_props},
                      "outputs": [one.name for one in model.graph.output]}))


def main(arguments):
    if arguments[0] == "--look":
        look(*arguments[1:])
        return
    for name, options in json.load(sys.stdin).items():
        target, what = f"{arguments[0]}/{name}", options["what"]
        if what == "stills":
            stills(target, options["clip"])
            continue
        data = {"nanodet": nanodet, "yolox": yolox}[what](options).SerializeToString()
        Path(target).write_bytes(data[:int(options.get("bytes", len(data)))])


if __name__ == "__main__":
    main(sys.argv[1:])
