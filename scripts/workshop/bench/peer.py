"""Measures a plain Python program with the same model: OpenCV decodes and letterboxes, ONNX Runtime detects on one
thread that does not spin, boxes are joined from frame to frame by overlap. No zones, rules, pictures or delivery.

Usage: peer.py CLIP MODEL WIDTH HEIGHT WARM-FRAMES; prints one JSON object, CPU time of the frames after the warm ones.
       peer.py --live URL MODEL WIDTH HEIGHT EVERY WARM-SECONDS SECONDS; detects on every EVERY-th frame of a camera and
       prints CPU time and memory of SECONDS after the warm ones.
"""
import json
import os
import re
import sys
import time

import cv2
import numpy as np
import onnxruntime

IOU_MIN = 0.3
SCORE_MIN = 0.3
FORGOTTEN_AFTER = 10


def overlap(a, b):
    """Intersection over union of boxes n x 4 and m x 4 (xyxy), n x m."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=2)
    area = lambda boxes: np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return both / (area(a)[:, None] + area(b)[None, :] - both + 1e-9)


class Tracker:
    def __init__(self):
        self.boxes = np.zeros((0, 4), np.float32)
        self.missed = np.zeros(0, int)
        self.ids = np.zeros(0, int)
        self.next = 1

    def update(self, found):
        matched = set()
        self.missed += 1
        if len(self.boxes) and len(found):
            worth = overlap(self.boxes, found)
            while worth.max() >= IOU_MIN:
                i, j = np.unravel_index(worth.argmax(), worth.shape)
                self.boxes[i], self.missed[i] = found[j], 0
                matched.add(j)
                worth[i, :] = worth[:, j] = 0
        new = np.array([j for j in range(len(found)) if j not in matched], int)
        keep = self.missed < FORGOTTEN_AFTER
        self.boxes = np.concatenate([self.boxes[keep], found[new]])
        self.missed = np.concatenate([self.missed[keep], np.zeros(len(new), int)])
        self.ids = np.concatenate([self.ids[keep], np.arange(self.next, self.next + len(new))])
        self.next += len(new)


class Peer:
    def __init__(self, model, width, height):
        cv2.setNumThreads(1)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.width, self.height = width, height
        self.canvas = np.zeros((1, height, width, 3), np.uint8)
        self.tracker = Tracker()

    def look(self, picture):
        rows, columns = picture.shape[:2]
        scale = min(self.width / columns, self.height / rows)
        size = (int(columns * scale), int(rows * scale))
        left, top = (self.width - size[0]) // 2, (self.height - size[1]) // 2
        small = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
        self.canvas[0, top : top + size[1], left : left + size[0]] = small
        boxes, scores = self.session.run(["boxes", "scores"], {"frame": self.canvas})
        self.tracker.update(boxes.reshape(-1, 4)[scores.ravel() >= SCORE_MIN])


def replay(clip, model, width, height, warm):
    peer, video = Peer(model, width, height), cv2.VideoCapture(clip)
    frames, since = 0, None
    while True:
        if frames == warm:
            since = time.process_time()
        there, picture = video.read()
        if not there:
            break
        frames += 1
        peer.look(picture)
    spent = (time.process_time() - since) * 1000
    versions = f"OpenCV {cv2.__version__}, ONNX Runtime {onnxruntime.__version__}"
    print(json.dumps({"frames": frames, "cpuMs": spent, "tracks": peer.tracker.next - 1, "versions": versions}))


def live(url, model, width, height, every, warm, seconds):
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
    peer, video = Peer(model, width, height), cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    began, frames, looks, since = time.monotonic(), 0, 0, None
    while time.monotonic() - began < warm + seconds:
        if since is None and time.monotonic() - began >= warm:
            since, looks = (time.process_time(), time.monotonic()), 0
        # Each frame is decoded, but becomes a picture only for a detector run.
        if not video.grab():
            sys.exit("the camera ended the stream")
        frames += 1
        if frames % every == 0:
            peer.look(video.retrieve()[1])
            looks += 1
    spent, wall = time.process_time() - since[0], time.monotonic() - since[1]
    with open("/proc/self/smaps_rollup", encoding="ascii") as memory:
        pss = int(re.search(r"^Pss:\s+(\d+) kB$", memory.read(), re.MULTILINE)[1])
    print(json.dumps({"cpuS": spent, "wallS": wall, "looks": looks, "pssKiB": pss}))


if sys.argv[1] == "--live":
    live(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:]))
else:
    replay(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
