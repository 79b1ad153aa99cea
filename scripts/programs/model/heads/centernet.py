"""CenterNet: a map of centres for each class, and the sides at each centre.

Method: Zhou et al., "Objects as Points" (arXiv 1904.07850): a peak is a cell that is the maximum of its 3x3
neighbourhood. Two forms:
  wh of two channels  width and height in cells, beside an offset of the centre within its cell
                      (github.com/xingyizhou/CenterNet, src/lib/models/decode.py, ctdet_decode; without an offset the
                      centre is the cell's middle)
  wh of four channels left, top, right, bottom in pixels from the cell's corner, no offset (Liu et al., "TTFNet",
                      arXiv 1909.00700; github.com/610265158/mobilenetv3_centernet, lib/core/model/centernet.py)
"""
from . import Misfit
from .parts import check_rows, described, grid, last_steps

PREPROCESS = {"colour": "BGR", "mean": [104.04, 113.99, 119.85], "std": [73.70, 69.87, 70.89],
              "letterbox": "centred, black"}
NEEDS = ("a heatmap of centres [1, classes, h, w], sides [1, 2, h, w] (width, height in cells) with an offset "
         "[1, 2, h, w], or sides [1, 4, h, w] (left, top, right, bottom in pixels); channels first or last")
STRIDE_PX = 4  # both forms
NAMES = {"heatmap": ("hm", "heat", "keypoint"), "sides": ("wh", "size"), "offset": ("reg", "off")}


def decode(graph, outputs, rows, size):
    """See the package."""
    parts = _parts(outputs)
    shapes = {part: outputs[name] for part, name in parts.items()}
    channels_last = _channels_last(shapes["sides"])
    axis = 3 if channels_last else 1
    check_rows(rows, shapes["heatmap"][axis], "centernet")
    _check_stride(parts["heatmap"], shapes["heatmap"], channels_last, size)
    heat = graph.add("Gather", [parts["heatmap"], graph.integers(*rows)], axis=axis)
    if channels_last:
        heat = graph.add("Transpose", [heat], perm=[0, 3, 1, 2])
    steps = last_steps(graph, parts["heatmap"])
    if steps and "Sigmoid" not in steps:
        heat = graph.add("Sigmoid", [heat])
    boxes = _boxes(graph, {part: _listed(graph, name, channels_last) for part, name in parts.items()
                           if part != "heatmap"}, shapes["sides"][axis], size)
    flat = graph.add("Reshape", [_peaks(graph, heat), graph.integers(1, len(rows), -1)])
    return boxes, flat


def _parts(outputs):
    """Name of each part. By name; what is left over must have been meant by a name."""
    found = {}
    for name, shape in outputs.items():
        part = next((part for part, words in NAMES.items() if any(word in name.lower() for word in words)), None)
        if part is None or part in found or len(shape) != 4:
            raise Misfit(f"centernet: {name} is not known; expected {NEEDS}, named like hm, wh and reg; "
                         f"the export has {described(outputs)}")
        found[part] = name
    if not {"heatmap", "sides"} <= found.keys():
        raise Misfit(f"centernet: expected {NEEDS}, named like hm, wh and reg; the export has {described(outputs)}")
    return found


def _channels_last(sides):
    first, last = sides[1] in (2, 4), sides[3] in (2, 4)
    if first == last:
        raise Misfit(f"centernet: sides [{', '.join(map(str, sides))}] must have 2 or 4 channels, first or last")
    return last


def _check_stride(name, shape, channels_last, size):
    height, width = shape[1:3] if channels_last else shape[2:4]
    if size is None or not isinstance(height, int) or not isinstance(width, int):
        return
    if (width * STRIDE_PX, height * STRIDE_PX) != tuple(size):
        raise Misfit(f"centernet: {name} is a map of {width}x{height} cells, and {size[0]}x{size[1]} at stride "
                     f"{STRIDE_PX} has {size[0] // STRIDE_PX}x{size[1] // STRIDE_PX}")


def _peaks(graph, heat):
    """Heat where it is the maximum of its neighbourhood, 0 elsewhere."""
    highest = graph.add("MaxPool", [heat], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1])
    peak = graph.add("Cast", [graph.add("Equal", [heat, highest])], to=1)
    return graph.add("Mul", [heat, peak])


def _listed(graph, name, channels_last):
    """A map as [1, cells, channels]."""
    last = name if channels_last else graph.add("Transpose", [name], perm=[0, 2, 3, 1])
    return graph.add("Unsqueeze", [graph.add("Flatten", [last], axis=3), graph.integers(0)])


def _boxes(graph, lists, channels, size):
    offset = 0 if channels == 4 or "offset" in lists else 0.5
    points, strides = grid(graph, (STRIDE_PX,), size, offset)
    if channels == 4:
        if "offset" in lists:
            raise Misfit("centernet: sides of four channels are counted from the cell, an offset has no place beside them")
        near, far = graph.add("Split", [lists["sides"], graph.integers(2, 2)], outputs=2, axis=2)
    else:
        if "offset" in lists:
            points = graph.add("Add", [points, graph.add("Mul", [lists["offset"], strides])])
        near = graph.add("Mul", [lists["sides"], graph.add("Mul", [strides, graph.constant([0.5], "float32")])])
        far = near
    return graph.add("Concat", [graph.add("Sub", [points, near]), graph.add("Add", [points, far])], axis=2)
