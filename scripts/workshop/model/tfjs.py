"""Reads a TensorFlow.js graph model: a JSON file with the nodes, and binary shards with the weights.

Only what an inference graph without control flow needs. Format: the TensorFlow.js `graph-model` layout
(`modelTopology`, `weightsManifest`), attributes encoded as protobuf JSON.
"""
import base64
import json
from pathlib import Path

import numpy as np


class Node:
    """One operation: its kind, its name, its inputs and its attributes in plain Python values."""

    def __init__(self, raw):
        self.op = raw["op"]
        self.name = raw["name"]
        # "^x" marks a control dependency: order only, no data.
        self.inputs = [name for name in raw.get("input", []) if not name.startswith("^")]
        self.attributes = {key: _plain(value) for key, value in raw.get("attr", {}).items()}


class Graph:
    """Nodes by name, constants by name."""

    def __init__(self, nodes, constants):
        self.nodes = nodes
        self.constants = constants

    def ordered(self, outputs):
        """Names of the nodes that `outputs` need, each after the nodes it reads; constants are left out."""
        done, order = set(), []
        # An explicit stack: a deep graph must not meet Python's recursion limit.
        stack = [(name, False) for name in reversed(outputs)]
        while stack:
            name, inputs_done = stack.pop()
            if inputs_done:
                order.append(name)
            elif name not in done and name not in self.constants:
                done.add(name)
                stack.append((name, True))
                stack.extend((node_of(source), False) for source in reversed(self.nodes[name].inputs))
        return order


def node_of(reference):
    """The node a reference points to: "split:1" is the second output of node "split"."""
    return reference.split(":")[0]


def load(path):
    """Reads the model at `path` (the .json; the shards lie beside it). Raises ValueError on a size mismatch."""
    path = Path(path)
    model = json.loads(path.read_text(encoding="utf-8"))
    constants = {}
    for group in model["weightsManifest"]:
        data = b"".join((path.parent / shard).read_bytes() for shard in group["paths"])
        constants.update(_read_group(group["weights"], data))
    nodes = {raw["name"]: Node(raw) for raw in model["modelTopology"]["node"]}
    return Graph(nodes, constants)


def _read_group(weights, data):
    """Cuts one group's bytes into arrays; the arrays lie one after another without gaps."""
    arrays, offset = {}, 0
    for weight in weights:
        quantization = weight.get("quantization", {})
        stored = np.dtype(quantization.get("dtype", weight["dtype"]))
        count = int(np.prod(weight["shape"], dtype=np.int64))
        array = np.frombuffer(data, stored, count, offset).astype(weight["dtype"]).reshape(weight["shape"])
        offset += count * stored.itemsize
        if "scale" in quantization:  # affine 8 or 16 bit; a float16 store has no scale
            array = array * quantization["scale"] + quantization["min"]
        arrays[weight["name"]] = array
    if offset != len(data):
        raise ValueError(f"weights: the manifest describes {offset} bytes, the file has {len(data)}")
    return arrays


def _plain(value):
    """An attribute as protobuf JSON ({"i": "2"}, {"list": {"i": [...]}}, …) as int, float, bool, str or list."""
    if "list" in value:
        return [_plain({kind: item}) for kind, items in value["list"].items() for item in items]
    if "s" in value:
        return base64.b64decode(value["s"]).decode()
    if "i" in value:
        return int(value["i"])
    for kind in ("f", "b"):
        if kind in value:
            return value[kind]
    return value  # shapes and types: nobody here asks for them
