"""Detectors that npm ships as TensorFlow.js graphs, as exports of their kind.

Each is converted up to its last convolutions. What TensorFlow does after them (decoding, loops over a batch,
non-maximum suppression) is left out: the heads do it, for any size of the picture.
"""
import tfjs
from convert import Converter
from heads import Misfit, anchors, module
from heads.parts import picture_sides

# TensorFlow's Object Detection API: levels are already scaled here, at the end of a loop over pictures that resizes.
SSD_SOURCE = "Preprocessor/sub"
SSD_SIZE = (300, 300)
SSD_PREDICTORS = {"box_encodings": "BoxEncodingPredictor", "class_predictions": "ClassPredictor"}
# github.com/610265158/mobilenetv3_centernet: its first convolution takes plain RGB levels.
CENTERNET_SOURCE = "tower_0/images"
CENTERNET_SIZE = (512, 512)
CENTERNET_OUTPUTS = {"keypoints": "tower_0/CenternetHead/centernet_cls_output/BiasAdd", "wh": "tower_0/mul"}
PLAIN_RGB = {"colour": "RGB", "mean": [0, 0, 0], "std": [1, 1, 1], "letterbox": "centred, black"}


def load(path, kind):
    """The graph at `path` (a model.json). Raises Misfit if no detector of `kind` is known in that form."""
    source = tfjs.load(path)
    wanted = {"ssd": SSD_SOURCE, "centernet": CENTERNET_SOURCE}.get(kind)
    if wanted is None or wanted not in source.nodes:
        known = "ssd (TensorFlow's Object Detection API) and centernet (mobilenetv3_centernet)"
        raise Misfit(f"{kind}: this TensorFlow.js graph is not known; of such graphs, {known} are: export it as ONNX")
    return source


def preprocess(kind):
    """Colour, mean and standard deviation that the converted network takes, as in a head's PREPROCESS."""
    return PLAIN_RGB if kind == "centernet" else module(kind).PREPROCESS


def convert(source, kind, builder, tensor):
    """Adds the network to `builder`, reading the normalised NCHW `tensor`. Returns outputs, names to shapes, as
    the head's `decode` takes them; sides are free."""
    return (_ssd if kind == "ssd" else _centernet)(source, builder, tensor)


def _ssd(source, builder, tensor):
    converter = Converter(source, builder, SSD_SOURCE, tensor, (1, 3, *SSD_SIZE), "NHWC")
    outputs = {}
    for name, predictor in SSD_PREDICTORS.items():
        nodes = sorted(one for one in source.nodes if one.startswith("BoxPredictor_") and one.endswith(f"/{predictor}/BiasAdd"))
        count = 4 if name == "box_encodings" else _values_of_an_anchor(source, nodes[0])
        listed = []
        for level in converter.convert(nodes):
            last = builder.add("Transpose", [level], perm=[0, 2, 3, 1])
            listed.append(builder.add("Reshape", [last, builder.integers(1, -1, count)]))
        builder.add("Concat", listed, name=name, axis=1)
        outputs[name] = [1, "anchors", count]
    outputs[_anchors(builder, tensor)] = [1, "anchors", 4]
    return outputs


def _anchors(builder, tensor):
    """cy cx h w in parts of the picture, as TensorFlow exports them, but in the pixels for which the network was trained."""
    sides = picture_sides(builder, tensor)
    centres, extents = anchors.tensorflow(builder, sides, trained=SSD_SIZE)
    shares = [builder.add("Gather", [builder.add("Div", [one, sides]), builder.integers(1, 0)], axis=2)
              for one in (centres, extents)]
    return builder.add("Concat", shares, name="anchors", axis=2)


def _values_of_an_anchor(source, classes):
    """Classes with the background: both predictors of a level have the same anchors, of four values each in the other."""
    boxes = classes.replace("ClassPredictor", "BoxEncodingPredictor")
    channels = [source.constants[tfjs.node_of(source.nodes[one].inputs[1])].size for one in (classes, boxes)]
    return channels[0] * 4 // channels[1]


def _centernet(source, builder, tensor):
    converter = Converter(source, builder, CENTERNET_SOURCE, tensor, (1, 3, *CENTERNET_SIZE), "NHWC")
    tensors = converter.convert(list(CENTERNET_OUTPUTS.values()))
    outputs = {}
    for (name, node), made in zip(CENTERNET_OUTPUTS.items(), tensors):
        outputs[builder.add("Identity", [made], name=name)] = [1, converter.views[node].shape[1], "rows", "columns"]
    return outputs
