"""The gate on accuracy: people of PETS09-S2L1 (vtest.avi), every fifth frame, as it is and as an infra-red copy (copies.py).

The truth is MOTChallenge's where it is at hand. Where it is not, it is what the detector of models/ finds with a score of
0.5 and more (right 95 times in 100): that shows a decoding, an order of colours or a quantisation that is wrong, and does
not tell which of two good detectors is better. Definitions are those of scripts/evaluate detector (ap.ts); pictures are
scaled by OpenCV instead of GStreamer, so that figures differ from its by about .01.
"""
from pathlib import Path
from typing import NamedTuple, Optional

import cv2
import numpy as np
import onnxruntime

import copies
import stills
from labels import LABELS

EVERY = 5  # neighbouring frames say nearly the same
IOU_MIN = 0.5
# NanoDet's decoding without its half of a cell gives .27, detectors of this size that are whole .85 and more.
AP_MIN = 0.6
# What int8 costs NanoDet-G is .012; a network that loses more than this has not stood it.
LOSS_MAX = 0.03
# What int8 costs NanoDet-G on infra-red copies is .041 to .057, by the noise that is drawn, with a standard error of .008:
# the worst and three of these (docs/design/027-other-models.md).
NIGHT_LOSS_MAX = 0.08
REFERENCE_SIZE_PX = (416, 256)
REFERENCE_SCORE_MIN = 0.5
PLAIN, INFRA_RED = VIEWS = ("plain", "infra-red")
PERSON = next(label for label, name in LABELS.items() if name == "person")


class Truth(NamedTuple):
    """What is there, in pixels of the clip; `boxes` and `ignored` hold an array [n, 4] for each frame of the sample."""

    frames: list  # BGR pictures
    boxes: list
    ignored: list  # people whom the benchmark does not judge
    measured: bool  # ground truth, not another detector
    data: str


class Figures(NamedTuple):
    """What is written into the card; the scores are None where no threshold reaches that precision."""

    ap: float
    recall_at_90: float
    score_at_90: Optional[float]
    score_at_95: Optional[float]


def truth(clip, path, reference, tick):
    """The sample of `clip` with the ground truth in the file `path`, else with what the model `reference` finds."""
    sample = list(_every_fifth(clip))
    pictures = [picture for _, picture in sample]
    if Path(path).is_file():
        rows = np.loadtxt(path, delimiter=",", usecols=range(7), ndmin=2)
        boxes, ignored = [], []
        for number, _ in sample:
            own = rows[rows[:, 0] == number]
            xyxy = np.concatenate([own[:, 2:4], own[:, 2:4] + own[:, 4:6]], axis=1)
            boxes.append(xyxy[own[:, 6] != 0])
            ignored.append(xyxy[own[:, 6] == 0])
        return Truth(pictures, boxes, ignored, True, "PETS09-S2L1 (vtest.avi, MOTChallenge ground truth)")
    found = people({"reference": reference}, REFERENCE_SIZE_PX, pictures, tick)["reference"]
    sure = [boxes[scores >= REFERENCE_SCORE_MIN] for boxes, scores in found]
    name = Path(reference).stem
    return Truth(pictures, sure, [np.zeros((0, 4))] * len(sure), False,
                 f"PETS09-S2L1 (vtest.avi) without ground truth: agreement with what {name} finds with a score of "
                 f"{REFERENCE_SCORE_MIN} and more")


def _every_fifth(path):
    clip, number = cv2.VideoCapture(str(path)), 0
    while True:
        readable, picture = clip.read()
        if not readable:
            break
        number += 1
        if (number - 1) % EVERY == 0:
            yield number, picture


def people(models, size, pictures, tick):
    """{name: [(boxes [n, 4] in pixels of the picture, scores [n]), …]}: the people that each of the model files `models`,
    {name: path}, finds in each picture."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as on the box; more of them wait by spinning
    sessions = {name: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
                for name, path in models.items()}
    found = {name: [] for name in models}
    for picture in pictures:
        frame = stills.letterbox(picture, *size)
        height, width = picture.shape[:2]
        scale = min(size[0] / width, size[1] / height)
        left, top = (size[0] - round(width * scale)) // 2, (size[1] - round(height * scale)) // 2
        for name, session in sessions.items():
            boxes, scores, labels = session.run(["boxes", "scores", "labels"], {"frame": frame})
            person = labels == PERSON
            found[name].append(((boxes[person] - [left, top, left, top]) / scale, scores[person]))
            tick()
    return found


def figures_of(models, size, judged, view, tick):
    """{name: Figures} of the model files `models` on one of VIEWS of the Truth `judged`."""
    pictures = judged.frames if view == PLAIN else copies.infra_red(judged.frames)
    return {name: measure(one, judged) for name, one in people(models, size, pictures, tick).items()}


def measure(found, judged):
    """Figures of what `people` found, against the Truth `judged`."""
    ranked = []
    for (boxes, scores), truths, ignored in zip(found, judged.boxes, judged.ignored):
        free, free_ignored = list(range(len(truths))), list(range(len(ignored)))
        for index in np.argsort(-scores, kind="stable"):
            right = _take(boxes[index], truths, free)
            if right or not _take(boxes[index], ignored, free_ignored):
                ranked.append((float(scores[index]), right))
    ranked.sort(key=lambda one: -one[0])
    right = np.cumsum([one[1] for one in ranked]) if ranked else np.zeros(0)
    precision = right / np.arange(1, len(ranked) + 1)
    recall = right / max(1, sum(len(boxes) for boxes in judged.boxes))
    best = np.maximum.accumulate(precision[::-1])[::-1] if ranked else precision
    ap = float(np.sum(np.diff(np.concatenate([[0.0], recall])) * best))
    at = {level: np.flatnonzero(precision >= level) for level in (0.9, 0.95)}
    score = {level: ranked[places[-1]][0] if len(places) else None for level, places in at.items()}
    return Figures(ap, float(recall[at[0.9][-1]]) if len(at[0.9]) else 0.0, score[0.9], score[0.95])


def _take(box, truths, free):
    """Takes from `free` the truth that `box` overlaps most; False where none overlaps enough."""
    if not free:
        return False
    overlaps = _ious(box, truths[free])
    best = int(np.argmax(overlaps))
    if overlaps[best] < IOU_MIN:
        return False
    free.pop(best)
    return True


def _ious(box, others):
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    return shared / (np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - shared + 1e-9)


def objection(figures):
    """What speaks against a model whose float form has these Figures on PLAIN, or None."""
    if figures.ap >= AP_MIN:
        return None
    return (f"the float model reaches AP {figures.ap:.3f} on people, less than {AP_MIN}: --kind, --colour, --mean or --std may "
            "not be the export's, or it was not trained on such views")


def losses(figures):
    """What speaks against the int8 forms of a model whose {view: figures_of} are `figures`: {"u8": [line, …], "s8": …}."""
    told = {"u8": [], "s8": []}
    for form, name in (("u8", "U8S8"), ("s8", "S8S8")):
        for view, most, where in ((PLAIN, LOSS_MAX, ""), (INFRA_RED, NIGHT_LOSS_MAX, " on infra-red copies")):
            whole, left = figures[view]["float"].ap, figures[view][form].ap
            if whole - left > most:
                told[form].append(f"{name} loses {whole - left:.3f} of the float model's AP {whole:.3f}{where}, more than {most}")
    return told
