"""Imports onnx and onnxruntime without their noise.

Debian links both against one onnx library, and each registers the same operators in it: about 570 harmless lines
"Schema error: …" go straight to file descriptor 2, past Python. They are taken out; anything else is passed on.
Import this module before any other that needs onnx.
"""
import os
import sys
import tempfile
from contextlib import contextmanager


@contextmanager
def _without_schema_errors():
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            caught.seek(0)
            for line in caught.read().decode(errors="replace").splitlines():
                if line.strip() and not line.startswith("Schema error:"):
                    print(line, file=sys.stderr)


with _without_schema_errors():
    import onnx
    # Before onnxruntime: it lists all operators by name, and trips over those that onnxruntime adds.
    import onnx.reference
    import onnxruntime

__all__ = ["onnx", "onnxruntime"]
