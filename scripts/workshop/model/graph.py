"""A small builder for ONNX graphs: collects nodes and constants, gives names that are the same on every run."""
import numpy as np
import onnx
from onnx import helper, numpy_helper


class GraphBuilder:
    """Nodes and initialisers in the order in which they were added.

    Names are `<prefix>_<op>_<count>`: deterministic, and the prefix says which part a node belongs to, so that
    quantisation can leave whole parts alone.
    """

    def __init__(self):
        self.nodes = []
        self.initialisers = {}
        self.prefix = "net"
        self._count = 0

    @classmethod
    def over(cls, graph):
        """A builder that goes on from the nodes and initialisers of the GraphProto `graph`."""
        builder = cls()
        builder.nodes = list(graph.node)
        builder.initialisers = {one.name: one for one in graph.initializer}
        return builder

    def constant(self, value, dtype=None):
        """Adds a constant and returns its name."""
        array = np.ascontiguousarray(value, dtype=dtype)
        # ascontiguousarray makes a scalar one-dimensional; ONNX tells the two apart.
        array = array.reshape(np.shape(value))
        name = self._next("constant")
        self.initialisers[name] = numpy_helper.from_array(array, name)
        return name

    def integers(self, *values):
        """Adds a one-dimensional int64 constant, the form in which ONNX takes shapes, axes and indices."""
        return self.constant(values, np.int64)

    def add(self, op, inputs, outputs=1, name=None, **attributes):
        """Adds a node. Returns its output's name, or the list of names if `outputs` is above one.

        `name` fixes the name of a single output.
        """
        base = self._next(op.lower())
        names = [name or base] if outputs == 1 else [f"{base}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=base, **attributes))
        return names[0] if outputs == 1 else names

    def producer(self, tensor):
        """The node that makes `tensor`, or None for an input or a constant."""
        return next((node for node in reversed(self.nodes) if tensor in node.output), None)

    def array(self, name):
        """The value of a constant."""
        return numpy_helper.to_array(self.initialisers[name])

    def replace_constant(self, name, array):
        """Gives the constant `name` another value."""
        self.initialisers[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)

    def model(self, name, inputs, outputs, opset, metadata):
        """A checked ModelProto. `inputs` and `outputs` are lists of (name, type, shape); None is a free size."""
        def infos(rows):
            return [helper.make_tensor_value_info(*row) for row in rows]

        graph = helper.make_graph(self.nodes, name, infos(inputs), infos(outputs), list(self.initialisers.values()))
        # IR version 8 came with opset 17: any runtime that knows the opset reads the file.
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8,
                                  producer_name="vigie")
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _next(self, kind):
        self._count += 1
        return f"{self.prefix}_{kind}_{self._count}"
