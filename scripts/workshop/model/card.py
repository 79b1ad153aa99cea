"""The model card: the JSON file beside the model that says what it is, where it comes from and how good it is.

Its prose, thresholds and accuracy are written by hand in the committed card; a build renews only what it can know
by itself. Accuracy belongs to one file: it is dropped as soon as the file is another one.
"""
import hashlib
import json
import re
from pathlib import Path

import detector
import postprocess
import stills
from labels import LABELS


def sha256_of(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def renew(committed, model, target, quantisation, package, scaling):
    """Writes the card `target` of the file `model`, starting from the card `committed`.

    `quantisation` and `package` are the sections on how this build was made; `scaling` is that of the features, None if
    the model has none. Returns True if the accuracy figures
    could be kept.
    """
    card = json.loads(Path(committed).read_text(encoding="utf-8"))
    digest = sha256_of(model)
    same = card.get("sha256") == digest
    card.update(
        file=Path(model).name, sha256=digest, bytes=Path(model).stat().st_size,
        classes={str(label): name for label, name in LABELS.items()})
    card["weights"]["package"].update(package)
    if scaling is None:
        card.pop("features", None)
    else:
        card.setdefault("features", {}).update(
            channels=detector.FEATURE_CHANNELS, cellPx=detector.FEATURE_CELL_PX, **scaling)
    card["inGraph"].update(
        anchorCandidatesMax=postprocess.CANDIDATES_MAX, nmsIouMax=postprocess.NMS_IOU_MAX, scoreMin=postprocess.SCORE_MIN)
    card["quantisation"].update(quantisation, sizesPx=[list(size) for size in stills.SIZES_PX])
    if not same:
        card["accuracy"] = []
        card.pop("accuracyNote", None)
    Path(target).write_text(text(card), encoding="utf-8")
    return same


def text(card):
    """Indented JSON, with lists of plain numbers on one line."""
    text = json.dumps(card, indent=2, ensure_ascii=False)
    return re.sub(r"\[[\d.,\s]+\]", lambda found: re.sub(r"\s+", " ", found[0]).replace("[ ", "[").replace(" ]", "]"),
                  text) + "\n"
