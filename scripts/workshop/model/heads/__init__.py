"""Decoding of what exported detectors give: one module for each kind of head.

A head module has

  PREPROCESS  dict(colour, mean, std, letterbox): what networks of the kind were trained on, unless the user says
              otherwise. `colour` is 'RGB' or 'BGR'; `mean` and `std` are of the three channels in that order, in
              levels of 0 to 255. `letterbox` is always ours: what the camera pipeline gives.
  NEEDS       one line for people: which outputs an export of this kind has.
  decode(graph, outputs, rows, size) -> (boxes, scores)

`decode` adds nodes to the GraphBuilder `graph` in which the export's own nodes already are. `outputs` maps the names
of the export's outputs to their shapes (numbers, or names for what is free), in the export's order. `rows` are the
export's class indices that are kept, in our order. `size` is (width, height) of the input in pixels. A head that cannot
tell from the shapes whether a background is beside the classes takes `classes` too, the number of class names. It returns the names of

  boxes   float32 [1, N, 4]       x1 y1 x2 y2 in pixels of the input, not yet cut at its edges
  scores  float32 [1, rows, N]    0 to 1, without background, objectness multiplied in

and raises Misfit where the outputs are not those of the kind. Classes outside `rows` do not reach `scores`.
"""
import importlib

KINDS = ("yolox", "nanodet", "picodet", "detr", "ssd")


class Misfit(ValueError):
    """The export's outputs do not fit the kind; the message is one line for the user."""


def module(kind):
    """The head module of `kind`, one of KINDS."""
    if kind not in KINDS:
        raise Misfit(f"kind {kind!r} is none of {', '.join(KINDS)}")
    return importlib.import_module(f"heads.{kind}")
