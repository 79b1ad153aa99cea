"""Static int8 quantisation (QDQ) of the network; what comes before and after it stays in float.

Activations uint8 with weights int8 per channel is the form that x86 runs fastest; int8 activations may win on ARM
cores with the dot-product instructions. Ranges are plain minimum and maximum over the calibration pictures.
"""
import logging

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType,
                                      quantize_static)

import detector

ACTIVATION_TYPES = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8}
# ONNX Runtime scales uint8 pictures in float and cuts the fraction off: what is 12.0 on one processor and
# 11.9999995 on another becomes 12 and 11. In float, and rounded, x86-64 and arm64 say the same.
FLOAT_OPS = ("Resize",)


class _Frames(CalibrationDataReader):
    """Hands the frames to the calibration one at a time and counts them on the way."""

    def __init__(self, frames, tick):
        self._frames = iter(frames)
        self._tick = tick

    def get_next(self):
        frame = next(self._frames, None)
        if frame is None:
            return None
        self._tick()
        return {"frame": frame}


def quantise(source, target, frames, activation, tick, features=None, pixels_at=None, only=None):
    """Writes the int8 form of the model file `source` to `target`.

    `frames` are model inputs; `tick` is called once a frame. Nodes whose name does not begin with "net_" stay float:
    a score or a box side in 256 steps would be too coarse. `features` is the tensor that becomes the output of that name
    if activations are uint8; returns its scale and zero point, or None. `pixels_at` is the level to which the first
    convolution's pixels are centred, None if it does not read pixels. `only` names the kinds of nodes to quantise, None
    for all that can be.
    """
    # It advises a pre-processing step (shape inference, fusing) that has nothing to do on this graph.
    logging.getLogger().setLevel(logging.ERROR)
    floats = [node.name for node in onnx.load(source).graph.node
              if not node.name.startswith("net_") or node.op_type in FLOAT_OPS]
    # A network that overflows gives ranges without a middle; the gate sees what becomes of it.
    with np.errstate(invalid="ignore"):
        quantize_static(
            str(source), str(target), _Frames(frames, tick), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=ACTIVATION_TYPES[activation], weight_type=QuantType.QInt8, nodes_to_exclude=floats,
            op_types_to_quantize=only,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True})
    model = onnx.load(target)
    scaling = None
    if activation == "u8" and pixels_at is not None:
        _take_pixels(model.graph, pixels_at)
    if activation == "u8" and features is not None:
        scaling = _expose(model.graph, features)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, target)
    return scaling


def _take_pixels(graph, level):
    """Lets the first convolution read the frame's own bytes.

    Where calibration saw black and white, the centred levels have a scale of 1 and their centre as zero point: what
    QuantizeLinear gives is the frame again. Neither it nor the float steps before it are needed. Elsewhere they stay.
    """
    quantised = next(node for node in graph.node if node.op_type == "QuantizeLinear")
    arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    scale, zero = (arrays[name] for name in quantised.input[1:])
    if (scale, zero) != (1, level):
        return
    steps = [node for node in graph.node if node.name.startswith("pre_") and node.op_type in ("Cast", "Transpose", "Sub")]
    transpose = steps[1]
    if [node.op_type for node in steps] != ["Cast", "Transpose", "Sub"] or quantised.input[0] != steps[2].output[0]:
        raise ValueError(f"{quantised.name} does not follow the preparation of the frame")
    transpose.input[0], transpose.output[0] = "frame", quantised.output[0]
    for node in (steps[0], steps[2], quantised):
        graph.node.remove(node)
    graph.initializer.remove(next(one for one in graph.initializer if one.name == steps[2].input[1]))


def _expose(graph, tensor):
    """Makes the uint8 form of `tensor`, which is computed anyway, the output `features`.

    Channels last: that is how ONNX Runtime has it in memory, so that its own and this transposition cancel out and
    nothing is added to a run. Returns the scale and zero point.
    """
    quantised = next(node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == tensor)
    graph.node.append(helper.make_node("Transpose", [quantised.output[0]], ["features"], name="post_features",
                                       perm=[0, 2, 3, 1]))
    graph.output.append(helper.make_tensor_value_info(
        "features", TensorProto.UINT8, [1, "rows", "columns", detector.FEATURE_CHANNELS]))
    arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    return {"scale": float(arrays[quantised.input[1]]), "zeroPoint": int(arrays[quantised.input[2]])}
