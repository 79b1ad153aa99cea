"""What a plain Python program costs with the same model: OpenCV decodes and letterboxes, ONNX Runtime detects on one
thread that does not spin, boxes are joined from frame to frame by overlap. No zones, rules, pictures or delivery.

Usage: peer.py CLIP MODEL WIDTH HEIGHT WARM-FRAMES; prints one JSON object, CPU time of the frames after the warm ones.
"""
import json
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


def main(clip, model, width, height, warm):
    cv2.setNumThreads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    video = cv2.VideoCapture(clip)
    canvas = np.zeros((1, height, width, 3), np.uint8)
    tracker, frames, since = Tracker(), 0, None
    while True:
        if frames == warm:
            since = time.process_time()
        there, picture = video.read()
        if not there:
            break
        frames += 1
        rows, columns = picture.shape[:2]
        scale = min(width / columns, height / rows)
        size = (int(columns * scale), int(rows * scale))
        left, top = (width - size[0]) // 2, (height - size[1]) // 2
        small = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
        canvas[0, top : top + size[1], left : left + size[0]] = small
        boxes, scores = session.run(["boxes", "scores"], {"frame": canvas})
        tracker.update(boxes.reshape(-1, 4)[scores.ravel() >= SCORE_MIN])
    spent = (time.process_time() - since) * 1000
    versions = f"OpenCV {cv2.__version__}, ONNX Runtime {onnxruntime.__version__}"
    print(json.dumps({"frames": frames, "cpuMs": spent, "tracks": tracker.next - 1, "versions": versions}))


main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
