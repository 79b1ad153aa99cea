"""Makes a detector of our contract of an exported one. Called by scripts/model import.

INVARIANT: files appear under their final names only when all of them are there and the gate has passed, cards last.
"""
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import NamedTuple, Optional

from quiet import onnx, onnxruntime  # first: silences the import, keeps its order
import card
import cv2
import gate
import heads
import import_card
import labels as our_labels
import numpy as np
import quantise
import stills
from arguments import Arguments, refuse
from assemble import Preparation, assemble
from export import parse_names, read
from progress import Progress, say
from refusal import Refusal, note
from sizes import size_of

NAME = re.compile(r"[a-z0-9-]{1,40}")  # a card's name has 64 characters, and -1920x1920-float goes behind it
STILLS_MIN, STILLS_MAX = 8, 400
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
# In a transformer the attention's own products, its softmax and its normalisation do not stand 8 bits; its layers do.
OPTIONS = (
    ("--kind", "KIND", ", ".join(heads.KINDS)),
    ("--name", "NAME", "of the model: small letters, digits and hyphens (default: from the file's name)"),
    ("--classes", "NAMES", "a file with one class name a line in the export's order, or coco80 or coco91 (default: what the "
                           "export says of itself)"),
    ("--input", "SIZE", "WIDTHxHEIGHT, multiples of 32: the size of an export that leaves it open (default: the export's, "
                        "else 416x256)"),
    ("--outputs", "NAMES", "which of the export's outputs to take, joined by commas (default: all)"),
    ("--colour", "ORDER", "RGB or BGR, where the export is unlike its kind"),
    ("--mean", "LEVELS", "three numbers of 0 to 255, likewise"),
    ("--std", "LEVELS", "three numbers, likewise"),
    ("--licence", "TEXT", "of the weights, for the card"),
    ("--source", "TEXT", "where the weights come from, for the card"),
    ("--summary", "TEXT", "what the model is, for the card"),
)
ONLY = {"detr": ["Conv", "Gemm", "MatMul"]}
LOUD = "NOT ACCEPTED BY THE GATE: "
PARTLY = 3  # exit status: some forms were written and others refused


class ImportFacts(NamedTuple):
    """What the cards of one import have in common."""

    kind: str
    export: str  # the file's name
    export_sha256: str
    size: tuple
    labels: list
    summary: str
    licence: str
    source: str
    changes: str
    normalisation: str
    person_score: Optional[float] = None


class Produced(NamedTuple):
    """Names of the files of one import; `refused` are those that the gate let nobody have, `accepted` what it said and the
    user took upon themselves, `objections` all that it said."""

    files: list
    accepted: list
    refused: list
    objections: list


def parse(arguments):
    parser = Arguments("import", "A detector of our contract of an exported one (.onnx): pre- and post-processing put into the "
                       "graph, cut down to our classes, quantised, measured. Exit status 1 where it is refused, 3 where an "
                       "int8 form of it is and the others are written.")
    parser.add_argument("file", type=Path, help="the export")
    parser.place("--clip", "--our-stills", "--models", "--cache", "--truth", type=Path)
    for option, metavar, meaning in OPTIONS:
        parser.add_argument(option, metavar=metavar, help=meaning)
    parser.add_argument("--map", metavar="NAME=LABEL", action="append", default=[],
                        help="take the export's class NAME for our LABEL; may be given again")
    parser.add_argument("--stills", type=Path, metavar="FOLDER",
                        help="pictures of your own streets to calibrate on (default: those of Debian's opencv-doc)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where all files go (default: .cache/model/NAME)")
    parser.add_argument("--accept-accuracy", action="store_true",
                        help="write the model although the gate on accuracy refuses it; the card says so")
    options = parser.parse_args(arguments)
    if options.kind not in heads.KINDS:
        told = "is missing" if options.kind is None else f"takes no '{options.kind}'"
        refuse(f"--kind {told}: it is one of {', '.join(heads.KINDS)}")
    options.name = options.name or re.sub(r"[^a-z0-9]+", "-", options.file.stem.lower()).strip("-")
    if not NAME.fullmatch(options.name):
        refuse(f"--name takes at most 40 small letters, digits and hyphens, not '{options.name}'")
    options.input = options.input and size_of(options.input)
    options.preparation = _preparation(options, heads.module(options.kind).PREPROCESS)
    options.mapped = dict(_pair(one) for one in options.map)
    options.out = options.out or options.cache / options.name
    return options


def _preparation(options, own):
    colour = options.colour or own["colour"]
    if colour not in ("RGB", "BGR"):
        refuse(f"--colour takes RGB or BGR, not '{colour}'")
    values = []
    for name in ("mean", "std"):
        text = getattr(options, name)
        try:
            numbers = own[name] if text is None else [float(one) for one in re.split(r"[\s,]+", text.strip())]
        except ValueError:
            numbers = []
        if len(numbers) != 3 or not all(np.isfinite(numbers)) or (name == "std" and min(numbers) <= 0):
            refuse(f"--{name} takes three numbers as in 123.7,116.3,103.5, not '{text}'")
        values.append(numbers)
    return Preparation(colour, *values)


def _pair(text):
    name, _, label = text.partition("=")
    if not name or label not in our_labels.LABELS.values():
        refuse(f"--map takes NAME=LABEL with a label of {', '.join(our_labels.LABELS.values())}, not '{text}'")
    if our_labels.tells_identity(name):
        refuse(f"--map: '{name}' tells who somebody is or whose a vehicle is; no model may name it, whatever it is called")
    return our_labels.plain(name), label


def class_names(options, export):
    """Names of the export's classes in its order. Raises Refusal where nobody knows them."""
    given = options.classes
    if given == "coco80":
        names = our_labels.COCO80
    elif given == "coco91":
        names = our_labels.coco91()
    elif given is not None:
        try:
            text = Path(given).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Refusal(f"--classes: {given} cannot be read as text; it is coco80, coco91 or a file with one name a "
                          "line") from error
        names = parse_names(text) or [line.strip() for line in text.splitlines() if line.strip()]
    else:
        names = export.names
    if not names:
        raise Refusal(f"{options.file} does not say what its classes are called, and a class without a name is not taken: "
                      "give --classes with a file of one name a line, or coco80 or coco91")
    return names


def main(arguments):
    options = parse(arguments)
    if options.only_check:
        return
    say(f"reading {options.file.name}")
    export = read(options.file, options.input, options.outputs and options.outputs.split(","))
    names = class_names(options, export)
    rows, labels = our_labels.rows_of(names, options.mapped)
    if not rows:
        raise Refusal(f"none of the export's {len(names)} classes ({_some(names)}) is one that a detector may name "
                      f"({', '.join(our_labels.LABELS.values())}); --map NAME=LABEL takes another word for one of them")
    assembled = assemble(options.name, options.kind, export, rows, labels, names, options.preparation)
    options.out.mkdir(parents=True, exist_ok=True)
    scratch = options.out / f".{options.name}.{os.getpid()}"
    scratch.mkdir()
    try:
        made = produce(options, assembled, names, labels, scratch)
        for name in sorted(made.files, key=lambda one: one.endswith(".json")):
            _move(scratch / name, options.out / name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for name in made.files:
        if name.endswith(".onnx"):
            print(f"{card.sha256_of(options.out / name)}  {options.out / name}")
    for line in made.accepted:
        note(line)
    if made.refused:
        _tell_refused(options, made)
        sys.exit(PARTLY)


def _tell_refused(options, made):
    """Takes away what an earlier import left under the refused names, which would pass for forms of this one; tells why."""
    for name in made.refused:
        for path in (options.out / name, (options.out / name).with_suffix(".json")):
            path.unlink(missing_ok=True)
    passed = " and ".join(name for name in made.files if name.endswith(".onnx"))
    print(f"model: gate on accuracy: {'; '.join(made.objections)}. Written: {passed}, which passed; refused: "
          f"{' and '.join(made.refused)}. Other stills may help (--stills); --accept-accuracy writes them all the same",
          file=sys.stderr)


def _move(source, target):
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(source, target)


def _some(names):
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "")


def produce(options, assembled, names, labels, scratch):
    """Makes all files in `scratch`. Raises Refusal where the gate leaves no form."""
    width, height = assembled.frame_size
    float_name = f"{options.name}-{width}x{height}-float"
    models = {"float": scratch / f"{float_name}.onnx", "u8": scratch / f"{options.name}.onnx",
              "s8": scratch / f"{options.name}-s8s8.onnx"}
    onnx.save(assembled.model, models["float"])
    pictures = _stills(options)
    judged = _judged(options, labels)
    size, figures = assembled.frame_size, {}
    objection = "no class of it is in the data of the gate: nothing was measured"
    if judged is not None:
        figures[gate.PLAIN] = _measured({"float": models["float"]}, size, judged, gate.PLAIN)
        objection = gate.objection(figures[gate.PLAIN]["float"])
    if objection is not None and not options.accept_accuracy:
        raise Refusal(f"gate on accuracy: {objection}. Nothing was written; --accept-accuracy writes the model all the same")
    frames = [stills.letterbox(picture, width, height) for picture in pictures]
    for form in ("u8", "s8"):
        quantise.quantise(models["float"], models[form], frames, form,
                          Progress(f"calibrating {form}", len(frames)).tick, pixels_at=assembled.pad_level,
                          only=ONLY.get(options.kind))
        _carry_ids(models["float"], models[form])
    folder = f"{options.name}-{width}x{height}-calibration"
    _write_calibration(scratch / folder, frames)
    lost = {}
    if judged is not None:
        quantised = {form: models[form] for form in ("u8", "s8")}
        figures[gate.PLAIN].update(_measured(quantised, size, judged, gate.PLAIN))
        figures[gate.INFRA_RED] = _measured(models, size, judged, gate.INFRA_RED)
        lost = gate.losses(figures)
    told = {"float": [objection] if objection else [], **lost}
    facts = _facts(options, assembled, names, labels)
    written, refused = [folder], []
    for form, path in models.items():
        if told.get(form) and not options.accept_accuracy:
            refused.append(path.name)
            continue
        rows = [import_card.row(form, view, figures[view][form], judged, facts) for view in figures]
        own = facts._replace(person_score=figures[gate.PLAIN][form].score_at_95 if judged and judged.measured else None)
        made = import_card.make(options.models / "nanodet-g-city10.json", path, own,
                                _quantisation(options, form, pictures, size), rows, _note_of(form, told))
        import_card.write(made, path.with_suffix(".json"))
        written += [path.name, path.with_suffix(".json").name]
    every = [line for lines in told.values() for line in lines]
    return Produced(written, every if options.accept_accuracy else [], refused, every)


def _note_of(form, told):
    """What the card of a form says of its accuracy: what was said against the float form holds for all."""
    against = told["float"] if form == "float" else [*told["float"], *told.get(form, [])]
    return LOUD + "; ".join(against) if against else "A sample of 159 frames is small: differences below .01 mean nothing."


def _stills(options):
    if options.stills is None:
        return stills.load(options.our_stills)
    if not options.stills.is_dir():
        raise Refusal(f"--stills: {options.stills} is not a folder")
    paths = sorted(path for path in options.stills.iterdir() if path.suffix.lower() in PICTURES)
    if not STILLS_MIN <= len(paths) <= STILLS_MAX:
        raise Refusal(f"--stills: {options.stills} holds {len(paths)} pictures ({', '.join(sorted(PICTURES))}); expected "
                      f"{STILLS_MIN} to {STILLS_MAX}, some by day and some by night")
    pictures = []
    for path in paths:
        picture = cv2.imread(str(path))
        if picture is None:
            raise Refusal(f"--stills: {path} is no picture that OpenCV can read")
        pictures.append(picture)
    return stills.with_dark_copies(pictures)


def _carry_ids(source, target):
    """The quantisation drops metadata; an element of GStreamer looks for it."""
    model = onnx.load(target)
    onnx.helper.set_model_props(model, {one.key: one.value for one in onnx.load(source).metadata_props})
    onnx.save(model, target)


def _write_calibration(folder, frames):
    """What vendors' compilers calibrate on: frames.npy [n, H, W, 3] uint8 RGB, and the same as pictures with a list."""
    folder.mkdir()
    np.save(folder / "frames.npy", np.concatenate(frames))
    names = [f"{index:03d}.png" for index in range(len(frames))]
    for name, frame in zip(names, frames):
        cv2.imwrite(str(folder / name), cv2.cvtColor(frame[0], cv2.COLOR_RGB2BGR))
    (folder / "dataset.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _judged(options, labels):
    """The Truth, or None where the model knows nobody of whom it tells."""
    if gate.PERSON not in labels:
        return None
    judged = gate.truth(options.clip, options.truth, options.models / "nanodet-g-city10.onnx", lambda: None)
    if not judged.frames:
        raise Refusal(f"{options.clip} has no frame that OpenCV can read: delete it and run again")
    return judged


def _measured(models, size, judged, view):
    progress = Progress(f"measuring, {view}", len(models) * len(judged.frames))
    return gate.figures_of(models, size, judged, view, progress.tick)


def _facts(options, assembled, names, labels):
    preparation = options.preparation
    foreign = len(names) - len(labels)
    changes = (f"Classes mapped by name, {foreign} of {len(names)} class rows removed from the weights, pre- and "
               "post-processing added; no weight was trained further.")
    if assembled.softened:
        changes += " Scores are a softmax over the kept classes and the background, no longer over all classes."
    kept = ", ".join(our_labels.LABELS[label] for label in sorted(set(labels)))
    return ImportFacts(
        options.kind, options.file.name, card.sha256_of(options.file), assembled.frame_size, labels,
        options.summary or f"{options.file.name}, a detector of the kind {options.kind}, cut down to {kept}.",
        options.licence or "not stated", options.source or "not stated", changes,
        f"order {preparation.colour}, mean {preparation.mean}, standard deviation {preparation.std}"
        + ("" if assembled.pad_level is None else f": folded into the first convolution, which pads with level "
                                                  f"{assembled.pad_level}"))


def _quantisation(options, form, pictures, size):
    if form == "float":
        return None
    return {
        "method": "static QDQ, minimum and maximum", "activations": "uint8" if form == "u8" else "int8",
        "weights": "int8, symmetric, per channel",
        "float": "everything after the last layer, and enlargements between",
        "stills": "Debian's opencv-doc, as for the detector of models/" if options.stills is None else
                  "the user's own folder, every fifth again at a quarter of the brightness",
        "pictures": len(pictures), "picturesSha256": stills.digest(pictures), "sizesPx": [list(size)],
        "tools": {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
    }


def _interrupted(number, _frame):
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    try:
        main(sys.argv[1:])
    except Refusal as error:
        print(f"model: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"model: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        sys.exit(1)
