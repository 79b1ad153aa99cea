"""Reads an exported detector and brings it to one form: ONNX, opset 17, float32, one picture of a known size, with the
shape of every tensor known and what depends on shapes alone computed.

Whatever stands in the way of that is a Refusal; what is changed is told.
"""
import ast
import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, version_converter

from refusal import Refusal, note

OPSET = 17
INPUT = "export_image"
SIDE_DEFAULT_PX = (416, 256)
# What may be a side of the picture; more than 1920 the card of a model does not take.
SIDE_MAX_PX = 1920


class Export(NamedTuple):
    """An export in our form. Its graph reads the tensor INPUT."""

    graph: onnx.GraphProto
    layout: str  # "NCHW" or "NHWC"
    dtype: str  # "float32" or "uint8": what it takes
    size: tuple  # width, height
    outputs: dict  # name -> shape
    names: Optional[list]  # of the classes, if the export says them


def read(path, wanted, taken=None):
    """The export at `path`; `wanted` is the (width, height) that the user asks for, or None. `taken` names the
    outputs to look at, None for all."""
    path = Path(path)
    if not path.is_file():
        raise Refusal(f"{path} is not a file")
    model = _load(path)
    names = _names_in(model)
    model = _as_float32(_at_opset(model, path))
    layout, dtype, size = _fix_input(model, path, wanted)
    model = _folded(model, path)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    outputs = {one.name: _shape(one) for one in inferred.graph.output}
    unknown = [name for name in taken or [] if name not in outputs]
    if unknown:
        raise Refusal(f"--outputs: {path} has no output {unknown[0]}; it has {', '.join(outputs)}")
    if taken:
        outputs = {name: outputs[name] for name in taken}
    return Export(inferred.graph, layout, dtype, size, outputs, names)


def _load(path):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # protobuf warns of what is refused below
            model = onnx.load(path)
    except FileNotFoundError as error:
        raise Refusal(f"{path}: its weights lie in a file beside it that is not there ({Path(error.filename or '').name}); "
                      "copy both, or export into one file") from error
    except Exception as error:  # protobuf has an exception of its own, and onnx passes on what it meets
        raise Refusal(f"{path} is not an ONNX file, or is cut short ({_line(error)})") from error
    if not model.graph.node or not model.opset_import:
        raise Refusal(f"{path} is not an ONNX file, or is cut short: there is no network in it")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise Refusal(f"{path} is no valid ONNX file ({_line(error)})") from error
    return model


def _line(error):
    """The first line of what a library says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _at_opset(model, path):
    foreign = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
    if foreign:
        raise Refusal(f"{path} has operators outside ONNX ({', '.join(foreign)}): export the network without quantisation, "
                      "optimisation or plug-ins of a vendor")
    quantised = next((node.op_type for node in model.graph.node if "QuantizeLinear" in node.op_type or
                      "Integer" in node.op_type or node.op_type.startswith("QLinear")), None)
    if quantised:
        raise Refusal(f"{path} is quantised already ({quantised}): give the export in float32 or float16")
    version = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    if version == OPSET:
        return model
    try:
        converted = version_converter.convert_version(model, OPSET)
        onnx.checker.check_model(converted)
    except Exception as error:  # the converter throws what its C++ side met
        raise Refusal(f"{path} has opset {version} and cannot be brought to {OPSET} ({_line(error)}): export it with "
                      f"opset {OPSET}") from error
    note(f"opset {version} was brought to {OPSET}")
    return converted


def _as_float32(model):
    """Turns float16 into float32; a half is a float exactly."""
    half, single = TensorProto.FLOAT16, TensorProto.FLOAT
    changed = False
    graph = model.graph
    for tensor in [*graph.initializer, *(one.t for node in graph.node for one in node.attribute if one.HasField("t"))]:
        if tensor.data_type == half:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
            changed = True
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == half:
                attribute.i = single
    for info in [*graph.input, *graph.output, *graph.value_info]:
        if info.type.tensor_type.elem_type == half:
            info.type.tensor_type.elem_type = single
            changed = True
    if changed:
        note("float16 was turned into float32; the quantisation starts from there")
    return model


def _fix_input(model, path, wanted):
    """Finds the picture among the inputs, fixes its shape and names it INPUT. Returns layout, type and size."""
    weights = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in weights]
    if len(inputs) != 1:
        raise Refusal(f"{path} has {len(inputs)} inputs ({', '.join(_told(one) for one in inputs) or 'none'}); a detector of "
                      "ours takes one picture and nothing else")
    picture, = inputs
    shape = _shape(picture)
    dtypes = {TensorProto.FLOAT: "float32", TensorProto.UINT8: "uint8"}
    dtype = dtypes.get(picture.type.tensor_type.elem_type)
    channels_at = next((axis for axis in (1, 3) if len(shape) == 4 and shape[axis] == 3), None)
    if channels_at is None or dtype is None:
        raise Refusal(f"{path} takes {_told(picture)}; expected one picture, float or uint8, [1, 3, H, W] or [1, H, W, 3]")
    if isinstance(shape[0], int) and shape[0] != 1:
        raise Refusal(f"{path} takes {shape[0]} pictures at once: export it with a batch of 1")
    if not isinstance(shape[0], int):
        note(f"the batch was open ({shape[0]}) and is 1 now")
    layout = "NCHW" if channels_at == 1 else "NHWC"
    if layout == "NHWC":
        note("the export takes pictures channels last; they are handed over as they come")
    size = _size(path, shape[2:] if channels_at == 1 else shape[1:3], wanted)
    fixed = [1, 3, size[1], size[0]] if channels_at == 1 else [1, size[1], size[0], 3]
    _free_the_rest(model)
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == picture.name:
                node.input[index] = INPUT
    position = list(model.graph.input).index(picture)
    model.graph.input[position].CopyFrom(helper.make_tensor_value_info(
        INPUT, picture.type.tensor_type.elem_type, fixed))
    return layout, dtype, size


def _size(path, sides, wanted):
    """(width, height) of an input whose height and width are `sides`, numbers or names."""
    height, width = sides
    if isinstance(height, int) and isinstance(width, int):
        if wanted is not None and wanted != (width, height):
            raise Refusal(f"{path} was exported for {width}x{height} and takes no other size: export it for "
                          f"{wanted[0]}x{wanted[1]}, or leave --input out")
        if max(width, height) > SIDE_MAX_PX:
            raise Refusal(f"{path} takes {width}x{height}: more than {SIDE_MAX_PX} pixels a side is not for a camera's box")
        return width, height
    size = wanted or SIDE_DEFAULT_PX
    if isinstance(height, int) and height != size[1] or isinstance(width, int) and width != size[0]:
        raise Refusal(f"{path} takes {width}x{height} (width x height): give --input with the number in it")
    note(f"the export leaves its size open; it is {size[0]}x{size[1]} now")
    return size


def _free_the_rest(model):
    """Forgets the shapes that the exporter wrote down: they were those of another size and batch."""
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def _folded(model, path):
    """Lets ONNX Runtime compute what is constant, now that the input has one shape, and load the model at all."""
    with tempfile.TemporaryDirectory() as scratch:
        before, after = os.path.join(scratch, "before.onnx"), os.path.join(scratch, "after.onnx")
        onnx.save(model, before)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = after
        options.log_severity_level = 4
        try:
            onnxruntime.InferenceSession(before, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class for each of its status codes
            raise Refusal(f"{path} does not load in ONNX Runtime ({_line(error)})") from error
        folded = onnx.load(after)
    # It declares all domains that it knows.
    del folded.opset_import[:]
    folded.opset_import.append(helper.make_opsetid("", OPSET))
    _name_nodes(folded.graph)
    return folded


def _name_nodes(graph):
    """Constants become initialisers; each node's name says that it is the network's, and is the only one."""
    nodes = []
    for node in graph.node:
        if node.op_type == "Constant":
            value = helper.get_attribute_value(node.attribute[0])
            array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.array(value)
            if array.dtype == np.float64:
                array = array.astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
        else:
            nodes.append(node)
    del graph.node[:]
    for index, node in enumerate(nodes):
        node.name = f"net_{node.op_type.lower()}_{index}"
    graph.node.extend(nodes)


def _shape(info):
    dims = info.type.tensor_type.shape.dim
    return [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in dims]


def _told(info):
    kind = TensorProto.DataType.Name(info.type.tensor_type.elem_type).lower()
    return f"{info.name} {kind} [{', '.join(str(side) for side in _shape(info))}]"


def _names_in(model):
    """Names of the classes as exporters write them into metadata (a dict or a list, in Python's form or JSON)."""
    metadata = {one.key: one.value for one in model.metadata_props}
    for key in ("names", "classes", "labels"):
        names = parse_names(metadata.get(key, ""))
        if names:
            return names
    return None


def parse_names(text):
    """Names in the order of their numbers from a list or a {number: name} in `text`; None if it is neither."""
    value = None
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
            break
        except (ValueError, SyntaxError):
            continue
    try:
        if isinstance(value, dict):
            numbered = {int(number): str(name) for number, name in value.items()}
            value = [numbered.get(number, "n/a") for number in range(max(numbered) + 1)]
    except ValueError:
        return None
    return [str(name) for name in value] if isinstance(value, list) and value else None
