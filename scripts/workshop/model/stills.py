"""The pictures that calibrate the quantisation: streets and other scenes from Debian's opencv-doc.

All of them lie in one Debian package, so anybody can build the same model without a data set whose licence forbids
it. vtest.avi gives the view of a street camera; the others widen the range of colours and edges; darkened copies
stand for the night, where a detector calibrated on daylight only loses its small activations.
"""
import gzip
import hashlib
from pathlib import Path

import cv2
import numpy as np

CLIP = "vtest.avi"
CLIP_FRAMES = 40
PICTURES = ["leuvenA.jpg", "leuvenB.jpg", "home.jpg", "building.jpg", "messi5.jpg", "aero1.jpg", "aero3.jpg",
            "graf1.png", "licenseplate_motion.jpg", "basketball1.png", "stuff.jpg", "left01.jpg", "ela_original.jpg",
            "fruits.jpg", "baboon.jpg", "box_in_scene.png", "cards.png", "board.jpg"]
NIGHT_EVERY = 5  # every fifth picture comes a second time, dark
NIGHT_GAIN = 0.25

# Width and height in turn: the default input, a square one, and the large one for distant views.
SIZES_PX = [(416, 256), (416, 416), (640, 384)]


def load(folder):
    """All calibration pictures as BGR arrays, in a fixed order. Raises FileNotFoundError if one is missing."""
    folder = Path(folder)
    pictures = _clip_frames(folder / CLIP) + [_picture(folder / name) for name in PICTURES]
    return with_dark_copies(pictures)


def with_dark_copies(pictures):
    """`pictures`, and every NIGHT_EVERY-th of them again, dark."""
    return pictures + [(picture * np.float32(NIGHT_GAIN)).astype(np.uint8) for picture in pictures[::NIGHT_EVERY]]


def model_inputs(pictures):
    """What the model would be given: uint8 RGB [1, H, W, 3], each picture at one of SIZES_PX in turn."""
    for index, picture in enumerate(pictures):
        yield letterbox(picture, *SIZES_PX[index % len(SIZES_PX)])


def letterbox(picture, width, height):
    """Fits a BGR picture into width x height, centred on black, as the camera pipeline does."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    fitted_width, fitted_height = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    left, top = (width - fitted_width) // 2, (height - fitted_height) // 2
    frame = np.zeros((1, height, width, 3), np.uint8)
    fitted = cv2.resize(picture, (fitted_width, fitted_height), interpolation=cv2.INTER_AREA)
    frame[0, top:top + fitted_height, left:left + fitted_width] = cv2.cvtColor(fitted, cv2.COLOR_BGR2RGB)
    return frame


def digest(pictures):
    """SHA-256 over the decoded pictures: tells whether two builds were calibrated on the same pixels."""
    total = hashlib.sha256()
    for picture in pictures:
        total.update(repr(picture.shape).encode())
        total.update(picture.tobytes())
    return total.hexdigest()


def _clip_frames(path):
    """CLIP_FRAMES frames spread over the clip. Read in order: seeking depends on the decoder's index."""
    path = _unpacked(path)
    count = int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = {index * count // CLIP_FRAMES for index in range(CLIP_FRAMES)}
    clip, frames = cv2.VideoCapture(str(path)), []
    for index in range(count):
        readable, frame = clip.read()
        if readable and index in wanted:
            frames.append(frame)
    if len(frames) != CLIP_FRAMES:
        raise ValueError(f"{path}: {len(frames)} of {CLIP_FRAMES} frames could be read")
    return frames


def _picture(path):
    picture = cv2.imread(str(_unpacked(path)))
    if picture is None:
        raise ValueError(f"{path} is not a picture")
    return picture


def _unpacked(path):
    """`path`, made from `path`.gz if that is all there is: Debian may compress files of a doc package."""
    packed = path.with_name(path.name + ".gz")
    if not path.exists() and packed.exists():
        path.write_bytes(gzip.decompress(packed.read_bytes()))
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: this version of opencv-doc differs from the one expected")
    return path
