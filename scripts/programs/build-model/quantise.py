"""Static int8 quantisation (QDQ) of the network; what comes before and after it stays in float.

Activations uint8 with weights int8 per channel is the form that x86 runs fastest; int8 activations may win on ARM
cores with the dot-product instructions. Ranges are plain minimum and maximum over the calibration pictures.
"""
import logging

import onnx
from onnxruntime.quantization import (CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType,
                                      quantize_static)

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


def quantise(source, target, frames, activation, tick):
    """Writes the int8 form of the model file `source` to `target`.

    `frames` are model inputs; `tick` is called once a frame. Nodes whose name does not begin with "net_" stay float:
    a score or a box side in 256 steps would be too coarse.
    """
    # It advises a pre-processing step (shape inference, fusing) that has nothing to do on this graph.
    logging.getLogger().setLevel(logging.ERROR)
    floats = [node.name for node in onnx.load(source).graph.node
              if not node.name.startswith("net_") or node.op_type in FLOAT_OPS]
    quantize_static(
        str(source), str(target), _Frames(frames, tick), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=ACTIVATION_TYPES[activation], weight_type=QuantType.QInt8, nodes_to_exclude=floats,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={"ActivationSymmetric": False, "WeightSymmetric": True})
    onnx.checker.check_model(onnx.load(target), full_check=True)
