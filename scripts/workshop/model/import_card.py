"""Cards of imported models. Their form and what is not measured anew come from the committed card of models/."""
import json
from pathlib import Path

import card
from gate import PLAIN
from labels import LABELS
from postprocess import CANDIDATES_MAX, NMS_IOU_MAX, SCORE_MIN
from thresholds import taken_over

# To a score of .05; finer differences are noise on 159 frames.
SCORE_STEP = 0.05


def make(committed, model, facts, quantisation, accuracy, note):
    """The card of the file `model` as a dictionary.

    `committed` is the card of models/, `facts` the ImportFacts, `quantisation` the section on it or None for float,
    `accuracy` the rows of figures, `note` what is to be known about them.
    """
    ours = json.loads(Path(committed).read_text(encoding="utf-8"))
    width, height = facts.size
    made = {
        "name": Path(model).stem, "file": Path(model).name, "sha256": card.sha256_of(model),
        "bytes": Path(model).stat().st_size, "summary": facts.summary,
        "weights": {
            "model": f"{facts.export} ({facts.kind})", "source": facts.source, "licence": facts.licence,
            "sha256": facts.export_sha256, "changes": facts.changes,
        },
        "classes": {str(label): LABELS[label] for label in sorted(set(facts.labels))},
        "input": {
            "name": "frame", "layout": "NHWC", "dtype": "uint8", "colour": "RGB", "multipleOf": 32,
            "default": [width, height], "fixed": True, "letterbox": "centred, black",
            "advice": f"This file takes {width}x{height} and no other size; import the export again for another.",
        },
        "outputs": {name: text for name, text in ours["outputs"].items() if name != "features"},
        "inGraph": {
            "normalisation": facts.normalisation, "nms": "class-wise", "nmsIouMax": NMS_IOU_MAX, "scoreMin": SCORE_MIN,
            "anchorCandidatesMax": CANDIDATES_MAX,
        },
        "thresholds": {"meaning": ours["thresholds"]["meaning"], "groups": _groups(ours, facts)},
    }
    if quantisation is not None:
        made["quantisation"] = quantisation
    return {**made, "accuracy": accuracy, "accuracyNote": note}


def _groups(ours, facts):
    groups = taken_over(ours, {LABELS[label] for label in facts.labels})
    if "person" in groups and facts.person_score is not None:
        start = max(SCORE_MIN, round(facts.person_score / SCORE_STEP) * SCORE_STEP)
        groups["person"].update(startScoreMin=round(start, 2), reason=(
            "From this score on, boxes of people are right 95 times in 100 on the data of the first row of accuracy."))
    return groups


def row(form, view, figures, judged, facts):
    """One row of `accuracy`: the Figures of a form on one of the gate's views."""
    # The doctor compares only rows of the same pictures: those of scripts/evaluate are of encoded films.
    degraded = {"copy": f"{view}, by scripts/model import"} if view != PLAIN else {}
    return {
        "model": form, "data": judged.data, **degraded, "sizePx": list(facts.size), "class": "person",
        "frames": len(judged.frames), "boxes": sum(len(boxes) for boxes in judged.boxes),
        "apAtIou50": round(figures.ap, 3), "recallAtPrecision90": round(figures.recall_at_90, 3),
        "scoreAtPrecision90": None if figures.score_at_90 is None else round(figures.score_at_90, 2),
        "how": "scripts/model import: every fifth frame from the first, as it is or as an infra-red copy, scaled and "
               "letterboxed by OpenCV; AP over all points, matched at IoU 0.5, all boxes of 0.15 and more",
    }


def write(made, path):
    path.write_text(card.text(made), encoding="utf-8")
