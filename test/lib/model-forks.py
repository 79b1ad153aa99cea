"""Runs scripts/workshop/model/import_model.py many times, each in a fork of one process that has loaded its libraries. The
start of Python takes most of the time of a refusal. The argument is the folder of that program; reads lists of arguments
as JSON, prints the output of each run.
"""
import json
import os
import runpy
import sys
import tempfile
from pathlib import Path

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
import import_model  # noqa: E402, F401: loads what a run needs


def run(arguments):
    said = [tempfile.TemporaryFile() for _ in range(2)]
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for number, file in zip((1, 2), said):
                os.dup2(file.fileno(), number)
            sys.argv = [str(folder / "import_model.py"), *arguments]
            runpy.run_path(sys.argv[0], run_name="__main__")
            code = 0
        except SystemExit as error:
            code = error.code or 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    for file in said:
        file.seek(0)
    out, err = (file.read().decode() for file in said)
    return {"code": os.waitstatus_to_exitcode(status), "out": out, "err": err}


print(json.dumps([run(arguments) for arguments in json.load(sys.stdin)]))
