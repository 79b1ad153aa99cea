"""Writes the card of a detector that was compiled for a Hailo. Called by scripts/model import for a file NAME.hef.

The file is read for its hash and is not run: what it puts out is told by the arguments, as `hailortcli parse-hef` shows it.

INVARIANT: file and card appear under their final names together, the card last.
"""
import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import labels as our_labels
from arguments import Arguments, refuse
from sizes import size_of
from thresholds import taken_over

NAME = re.compile(r"[a-z0-9-]{1,64}")
MAGIC = b"\x01HEF"  # HailoRT, hef_internal.hpp
BYTES_MAX = 268_435_456  # of what a model card takes
CLASSES_MAX, BOXES_MAX = 91, 512  # likewise
OUTPUT_CHARS_MAX = 127  # HailoRT keeps a name in 128 bytes
OPTIONS = (
    ("--output", "NAME", "its output, as `hailortcli parse-hef FILE` shows it (for instance yolox_tiny/yolox_nms_postprocess)"),
    ("--input", "SIZE", "WIDTHxHEIGHT of its input, multiples of 32"),
    ("--name", "NAME", "of the model: small letters, digits and hyphens (default: from the file's name)"),
    ("--classes", "NAMES", "a file with one class name a line in the network's order, or coco80 or coco91 (default: coco80)"),
    ("--order", "ORDER", "by-class or by-score, as HAILO NMS of parse-hef says (default: by-class)"),
    ("--boxes", "COUNT", "maximum bounding boxes, per class (by-class) or of all (by-score) (default: 100)"),
    ("--licence", "TEXT", "of the weights, for the card"),
    ("--source", "TEXT", "where the file comes from, for the card"),
    ("--summary", "TEXT", "what the model is, for the card"),
)


def parse(arguments):
    parser = Arguments("import", "The card of a detector that was compiled for a Hailo (.hef) with HailoRT's NMS: its hash, and "
                       "its output as the arguments tell it. The model is not run and not measured.")
    parser.add_argument("file", type=Path, help="the compiled model; it is copied beside its card")
    parser.place("--models", "--cache", type=Path)
    for option, metavar, meaning in OPTIONS:
        parser.add_argument(option, metavar=metavar, help=meaning)
    parser.add_argument("--map", metavar="NAME=LABEL", action="append", default=[],
                        help="take the network's class NAME for our LABEL; may be given again")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where both files go (default: .cache/model/NAME)")
    options = parser.parse_args(arguments)
    options.name = options.name or re.sub(r"[^a-z0-9]+", "-", options.file.stem.lower()).strip("-")
    if not NAME.fullmatch(options.name):
        refuse(f"--name takes at most 64 small letters, digits and hyphens, not '{options.name}'")
    shows = f"`hailortcli parse-hef {options.file.name}` shows it"
    if not options.output:
        refuse(f"--output is missing: {shows}, for instance yolox_tiny/yolox_nms_postprocess")
    if len(options.output.encode()) > OUTPUT_CHARS_MAX or not options.output.isprintable():
        refuse(f"--output takes a name of at most {OUTPUT_CHARS_MAX} characters; {shows}")
    if options.input is None:
        refuse(f"--input is missing: {shows}, for instance 416x416")
    options.size = size_of(options.input)
    options.order = options.order or "by-class"
    if options.order not in ("by-class", "by-score"):
        refuse(f"--order takes by-class or by-score, not '{options.order}'")
    boxes = options.boxes or "100"
    if not boxes.isascii() or not boxes.isdigit() or not 1 <= int(boxes) <= BOXES_MAX:
        refuse(f"--boxes takes a number from 1 to {BOXES_MAX}, not '{boxes}'")
    options.boxes = int(boxes)
    options.mapped = dict(_pair(one) for one in options.map)
    options.out = options.out or options.cache / options.name
    return options


def _pair(text):
    name, _, label = text.partition("=")
    if not name or label not in our_labels.LABELS.values():
        refuse(f"--map takes NAME=LABEL with a label of {', '.join(our_labels.LABELS.values())}, not '{text}'")
    return our_labels.plain(name), label


def class_names(given):
    """Names of the network's classes in its order."""
    if given in (None, "coco80"):
        return our_labels.COCO80
    if given == "coco91":
        return our_labels.coco91()
    try:
        text = Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        refuse(f"--classes: {given} cannot be read as text; it is coco80, coco91 or a file with one name a line")
    return [line.strip() for line in text.splitlines() if line.strip()]


def classes_of(options):
    """(names, {class of the network: label})."""
    names = class_names(options.classes)
    if not 1 <= len(names) <= CLASSES_MAX:
        refuse(f"--classes: {options.classes} names {len(names)} classes; expected 1 to {CLASSES_MAX}")
    for name in names:
        if our_labels.tells_identity(name):
            refuse(f"--classes: '{name}' tells who somebody is or whose a vehicle is; no network with such a class is taken")
    rows, labels = our_labels.rows_of(names, options.mapped)
    if not rows:
        refuse(f"--classes: none of {len(names)} classes is one that a detector may name "
               f"({', '.join(our_labels.LABELS.values())}); --map NAME=LABEL takes another word for one of them")
    return names, dict(zip(rows, labels))


def hef_of(file):
    """(SHA-256, bytes) of a .hef."""
    try:
        content = file.read_bytes()
    except OSError as error:
        refuse(f"{file} cannot be read: {error.strerror}; name the .hef that you have fetched")
    if not content.startswith(MAGIC):
        refuse(f"{file} is not a .hef, or is cut short: fetch it again")
    if len(content) > BYTES_MAX:
        refuse(f"{file} has {len(content)} bytes; a model has at most {BYTES_MAX}")
    return hashlib.sha256(content).hexdigest(), len(content)


def card_of(options, names, by_row, digest, length):
    ours = json.loads((options.models / "nanodet-g-city10.json").read_text(encoding="utf-8"))
    kept = {label: our_labels.LABELS[label] for label in sorted(set(by_row.values()))}
    width, height = options.size
    return {
        "name": options.name, "file": f"{options.name}.hef", "sha256": digest, "bytes": length,
        "summary": options.summary or f"{options.file.name}, compiled for a Hailo; of its classes only {', '.join(kept.values())} "
                                      "are read.",
        "weights": {"model": options.file.name, "source": options.source or "not stated",
                    "licence": options.licence or "not stated"},
        "classes": {str(label): name for label, name in kept.items()},
        "input": {
            "name": "frame", "layout": "NHWC", "dtype": "uint8", "colour": "RGB", "multipleOf": 32, "default": [width, height],
            "fixed": True, "letterbox": "centred, black",
            "advice": f"This file takes {width}x{height} and no other size.",
        },
        "hailo": {
            "output": options.output, "order": options.order, "classes": len(names), "boxesMax": options.boxes,
            "labels": {str(row): label for row, label in sorted(by_row.items())},
        },
        "inGraph": {"scoreMin": ours["inGraph"]["scoreMin"]},
        "thresholds": {"meaning": ours["thresholds"]["meaning"], "groups": taken_over(ours, set(kept.values()))},
        "accuracy": [],
        "accuracyNote": "Not measured. `vigie doctor --benchmark --clip` on the box compares it with the CPU's detector.",
    }


def main(arguments):
    options = parse(arguments)
    names, by_row = classes_of(options)
    digest, length = hef_of(options.file)
    if options.only_check:
        return
    made = card_of(options, names, by_row, digest, length)
    options.out.mkdir(parents=True, exist_ok=True)
    model = options.out / made["file"]
    if not (model.exists() and model.samefile(options.file)):
        partly = options.out / f".{made['file']}.{os.getpid()}"
        shutil.copyfile(options.file, partly)
        os.replace(partly, model)
    partly = options.out / f".{options.name}.json.{os.getpid()}"
    partly.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partly, options.out / f"{options.name}.json")
    print(f"{digest}  {model}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        print(f"model: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        sys.exit(1)
