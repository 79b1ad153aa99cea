"""Takes out of a network what nobody reads: rows of weights whose class is not kept.

A head picks some channels of what the export gives. Here the picking moves against the stream, through transpositions,
reshapes and sums, into the layer that makes the channels, whose other rows are cut out of the weights. So a class that
is not picked is not in the file. Exact, with one exception: where the picking passes a softmax over classes and a
background, the softmax is one over the kept classes and the background afterwards.

Needs the shape of every tensor as numbers. Where a picking cannot move on, `narrow` raises Stuck with the reason, and
nothing of that picking was changed.
"""
from math import prod

import numpy as np
from onnx import helper

_ELEMENTWISE = {"Sigmoid", "Relu", "LeakyRelu", "HardSigmoid", "HardSwish", "Elu", "Tanh", "Exp", "Identity", "Cast", "Neg",
                "Sqrt", "Clip", "Softplus", "Abs", "Erf", "Log", "Mish", "Round", "Floor"}
_BROADCAST = {"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "PRelu"}
_POOLS = {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
_RESHAPES = {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}

KEPT = "_without_background"  # how the name of a node ends that drops the background behind a softmax


class Stuck(Exception):
    """Why a picking could not move into the weights."""


def narrow(builder, shapes, background=None):
    """Moves every picking of a head (nodes named "post_…") in `builder` into the weights. `shapes` maps each tensor to its
    shape. `background` is the index that a softmax over classes needs beside the kept ones (0 or -1), None without.

    Returns the number of tensors that became narrower. Raises Stuck if one could not.
    """
    return _Narrowing(builder, shapes, background).run()


class _Narrowing:
    def __init__(self, builder, shapes, background):
        self._builder = builder
        self._shapes = {name: list(shape) for name, shape in shapes.items()}
        self._background = background
        self._edits = []
        self._due = set()  # tensors of which less is picked than before

    def run(self):
        count = 0
        while True:
            found = self._next()
            if found is None:
                return count
            tensor, axis, kept = found
            self._edits = []
            self._into(tensor, axis, kept, readers=None)
            for edit in self._edits:
                edit()
            self._repick(tensor, axis, kept)
            self._shapes[tensor][axis] = len(kept)
            count += 1

    def _next(self):
        """The next tensor of which only a part is picked: (name, axis, kept indices), from the end."""
        readers = self._readers()
        for node in reversed(self._builder.nodes):
            for tensor in node.output:
                picks = [self._pick(reader, tensor) for reader in readers.get(tensor, ())]
                if not picks or None in picks or len({axis for axis, _ in picks}) != 1:
                    continue
                if tensor not in self._due and not any(one.name.startswith("post_") for one in readers[tensor]):
                    continue
                axis = picks[0][0]
                kept = sorted({int(index) for _, indices in picks for index in indices})
                if len(kept) < self._shapes[tensor][axis]:
                    return tensor, axis, kept
        return None

    def _readers(self):
        readers = {}
        for node in self._builder.nodes:
            for name in set(node.input):
                readers.setdefault(name, []).append(node)
        return readers

    def _pick(self, node, tensor):
        """(axis, indices) of a node that takes constant indices out of `tensor` along one axis, else None."""
        if node.name.endswith(KEPT):
            return None  # what a softmax needs is not for narrowing again
        if node.input[0] != tensor or tensor in node.input[1:] or any(not self._is_constant(one) for one in node.input[1:]):
            return None
        shape = self._shapes[tensor]
        if node.op_type == "Gather":
            axis, indices = _attribute(node, "axis", 0) % len(shape), self._builder.array(node.input[1])
            return (axis, [int(one) % shape[axis] for one in indices.reshape(-1)]) if indices.ndim == 1 else None
        if node.op_type == "Slice":
            return self._slice(node, shape)
        return None

    def _slice(self, node, shape):
        starts, ends = (self._builder.array(node.input[index]).tolist() for index in (1, 2))
        axes = self._builder.array(node.input[3]).tolist() if len(node.input) > 3 else list(range(len(starts)))
        steps = self._builder.array(node.input[4]).tolist() if len(node.input) > 4 else [1] * len(starts)
        cuts = [(axis % len(shape), range(shape[axis])[start:end:step])
                for start, end, axis, step in zip(starts, ends, axes, steps)]
        real = [cut for cut in cuts if len(cut[1]) < shape[cut[0]]]
        return (real or cuts)[0] if len(real) <= 1 else None

    def _repick(self, tensor, axis, kept):
        """Lets what picks out of `tensor` find its channels in the narrower one."""
        place = {index: position for position, index in enumerate(kept)}
        for node in self._readers().get(tensor, []):
            _, indices = self._pick(node, tensor)
            positions = [place[index] for index in indices]
            new = self._builder.integers(*positions)
            node.CopyFrom(helper.make_node("Gather", [tensor, new], list(node.output), name=node.name, axis=axis))

    def _is_constant(self, name):
        return name == "" or name in self._builder.initialisers

    def _replace(self, node, index, array):
        """Gives `node` at input `index` the constant `array`; others may read the old one."""
        def edit():
            node.input[index] = self._builder.constant(array)
        self._edits.append(edit)

    def _through(self, node, index, axis, kept):
        """Goes on into the input `index` of `node`, which must be its only reader."""
        name = node.input[index]
        self._into(name, axis, kept, readers=node)

        def edit():
            self._shapes[name][axis] = len(kept)
        self._edits.append(edit)

    def _into(self, tensor, axis, kept, readers):
        """Plans to make `tensor` give only `kept` along `axis`. `readers` is the one node that may read it."""
        node, self._asked = self._builder.producer(tensor), tensor
        if node is None:
            raise Stuck(f"{tensor} is what the network is given")
        if readers is not None:
            others = [one for one in self._readers()[tensor] if one is not readers]
            if others:
                raise Stuck(f"{tensor} is read by {others[0].op_type} too")
        if node.op_type in _ELEMENTWISE:
            self._through(node, 0, axis, kept)
        elif node.op_type in _BROADCAST:
            self._broadcast(node, axis, kept)
        elif node.op_type in _RESHAPES:
            self._reshaped(node, axis, kept)
        elif node.op_type in _POOLS and axis == 1:
            self._through(node, 0, axis, kept)
        elif node.op_type in _RULES:
            _RULES[node.op_type](self, node, axis, kept)
        else:
            raise Stuck(f"they pass through {node.op_type} ({tensor})")

    def _broadcast(self, node, axis, kept):
        shape = self._shapes[node.output[0]]
        for index, name in enumerate(node.input):
            own = list(self._builder.array(name).shape) if self._is_constant(name) else self._shapes[name]
            mine = axis - (len(shape) - len(own))
            if mine < 0 or own[mine] == 1 and shape[axis] > 1:
                continue
            if self._is_constant(name):
                self._replace(node, index, np.take(self._builder.array(name), kept, axis=mine))
            else:
                self._through(node, index, mine, kept)

    def _reshaped(self, node, axis, kept):
        """The picked axis is the inner part of one axis before: index = outer * length + picked."""
        before, after = self._shapes[node.input[0]], self._shapes[node.output[0]]
        inner, length = prod(after[axis + 1:]), after[axis]
        source = next((one for one in range(len(before) - 1, -1, -1)
                       if prod(before[one + 1:]) == inner and before[one] % length == 0 and before[one] > 1), None)
        if source is None:
            raise Stuck(f"Reshape ({node.output[0]}) mixes them with other sides")
        outer = before[source] // length
        self._through(node, 0, source, [part * length + index for part in range(outer) for index in kept])
        target = [len(kept) if one == axis else side for one, side in enumerate(after)]

        def edit():
            new = self._builder.integers(*target)
            node.CopyFrom(helper.make_node("Reshape", [node.input[0], new], list(node.output), name=node.name))
        self._edits.append(edit)

    def _transpose(self, node, axis, kept):
        permutation = _attribute(node, "perm", list(reversed(range(len(self._shapes[node.output[0]])))))
        self._through(node, 0, permutation[axis], kept)

    def _concat(self, node, axis, kept):
        joined = _attribute(node, "axis", 0) % len(self._shapes[node.output[0]])
        left, first = [], 0
        for index, name in enumerate(node.input):
            constant = self._is_constant(name)
            length = (list(self._builder.array(name).shape) if constant else self._shapes[name])[axis]
            own = kept
            if axis == joined:
                own = [one - first for one in kept if first <= one < first + length]
                first += length
            if own:
                left.append(index)
            if not own or len(own) == length:
                continue
            if constant:
                self._replace(node, index, np.take(self._builder.array(name), own, axis=axis))
            else:
                self._through(node, index, axis, own)

        def edit():
            names = [node.input[index] for index in left]
            del node.input[:]
            node.input.extend(names)
        self._edits.append(edit)

    def _gather(self, node, axis, kept):
        own = _attribute(node, "axis", 0) % len(self._shapes[node.input[0]])
        if not self._is_constant(node.input[1]) or self._builder.array(node.input[1]).ndim != 1:
            raise Stuck(f"they pass through Gather ({node.output[0]})")
        if own != axis:
            self._through(node, 0, axis, kept)
        else:
            self._replace(node, 1, self._builder.array(node.input[1])[kept])
            self._due.add(node.input[0])

    def _split(self, node, axis, kept):
        """Is the same as one Slice for each part, and those are known."""
        cut = _attribute(node, "axis", 0) % len(self._shapes[node.input[0]])
        index, first, slices = next(at for at, one in enumerate(self._builder.nodes) if one is node), 0, []
        for name in node.output:
            end = first + self._shapes[name][cut]
            bounds = [self._builder.integers(one) for one in (first, end, cut)]
            slices.append(helper.make_node("Slice", [node.input[0], *bounds], [name], name=f"{node.name}_from_{first}"))
            if name == self._asked:
                found = slices[-1]
            first = end
        self._builder.nodes[index:index + 1] = slices
        self._slice_out(found, axis, kept)

    def _slice_out(self, node, axis, kept):
        found = self._pick(node, node.input[0])
        if found is None:
            raise Stuck(f"they pass through Slice ({node.output[0]})")
        if found[0] != axis:
            self._through(node, 0, axis, kept)
            return

        def edit():
            new = self._builder.integers(*[found[1][index] for index in kept])
            node.CopyFrom(helper.make_node("Gather", [node.input[0], new], list(node.output), name=node.name, axis=axis))
        self._edits.append(edit)
        self._due.add(node.input[0])

    def _softmax(self, node, axis, kept):
        if _attribute(node, "axis", -1) % len(self._shapes[node.output[0]]) != axis:
            self._through(node, 0, axis, kept)
            return
        length = self._shapes[node.output[0]][axis]
        if self._background is None:
            raise Stuck(f"a softmax over all classes ({node.output[0]}) weighs each against all others")
        needed = sorted({*kept, self._background % length})
        self._through(node, 0, axis, needed)
        if needed == kept:
            return

        def edit():
            # The background is dropped again behind the softmax.
            target = node.output[0]
            whole = f"{target}_with_background"
            node.output[0] = whole
            at = list(self._builder.nodes).index(node)
            positions = self._builder.integers(*[needed.index(index) for index in kept])
            self._builder.nodes.insert(at + 1, helper.make_node(
                "Gather", [whole, positions], [target], name=f"{node.name}{KEPT}", axis=axis))
            self._shapes[whole] = [len(needed) if one == axis else side
                                   for one, side in enumerate(self._shapes[target])]
        self._edits.append(edit)

    def _conv(self, node, axis, kept):
        weights = self._weights(node, 1, axis)
        if axis != 1:
            raise Stuck(f"Conv ({node.output[0]}) has them along a side of the picture")
        groups = _attribute(node, "group", 1)
        if groups != 1:
            if groups != len(weights) or weights.shape[1] != 1:
                raise Stuck(f"Conv ({node.output[0]}) has groups")
            self._through(node, 0, 1, kept)

            def edit():
                next(one for one in node.attribute if one.name == "group").i = len(kept)
            self._edits.append(edit)
        self._replace(node, 1, weights[kept])
        if len(node.input) > 2:
            self._replace(node, 2, self._weights(node, 2, axis)[kept])

    def _gemm(self, node, axis, kept):
        weights = self._weights(node, 1, axis)
        if axis != 1:
            raise Stuck(f"Gemm ({node.output[0]}) has them along its rows")
        self._replace(node, 1, np.take(weights, kept, axis=0 if _attribute(node, "transB", 0) else 1))
        if len(node.input) > 2:
            bias = self._weights(node, 2, axis)
            if bias.shape and bias.shape[-1] > 1:
                self._replace(node, 2, np.take(bias, kept, axis=-1))

    def _matmul(self, node, axis, kept):
        weights = self._weights(node, 1, axis)
        if axis != len(self._shapes[node.output[0]]) - 1:
            self._through(node, 0, axis, kept)
        else:
            self._replace(node, 1, np.take(weights, kept, axis=-1))

    def _batchnormalization(self, node, axis, kept):
        if axis != 1:
            raise Stuck(f"BatchNormalization ({node.output[0]}) has them along a side of the picture")
        for index in range(1, 5):
            self._replace(node, index, self._weights(node, index, axis)[kept])
        self._through(node, 0, 1, kept)

    def _weights(self, node, index, axis):
        if not self._is_constant(node.input[index]):
            raise Stuck(f"{node.op_type} ({node.output[0]}) has computed weights")
        return self._builder.array(node.input[index])


_RULES = {
    "Transpose": _Narrowing._transpose, "Concat": _Narrowing._concat, "Gather": _Narrowing._gather,
    "Slice": _Narrowing._slice_out, "Split": _Narrowing._split,
    "Softmax": _Narrowing._softmax, "Conv": _Narrowing._conv, "Gemm": _Narrowing._gemm,
    "MatMul": _Narrowing._matmul, "BatchNormalization": _Narrowing._batchnormalization,
}


def _attribute(node, name, default):
    found = next((one for one in node.attribute if one.name == name), None)
    return default if found is None else helper.get_attribute_value(found)
