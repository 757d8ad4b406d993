"""Commands of qsearch in processes of their own, forked from one that has imported TensorFlow already.

That import takes a process most of its time. What belongs to the start of a process (its environment, its signals) is
tested with processes that are really new.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

_SERVER = """
import json, os, sys
from qsearch.startup import quiet_start
with quiet_start():
    import qsearch.runner.pipeline
for line in sys.stdin:
    asked = json.loads(line)
    process = os.fork()
    if not process:
        os.chdir(asked["folder"])
        for number, name in ((0, os.devnull), (1, asked["output"]), (2, asked["errors"])):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
        sys.argv = ["qsearch", *asked["arguments"]]
        from qsearch.__main__ import main
        main()
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


@cache
def _server() -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(started.kill)
    return started


def command(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `qsearch` with these arguments, and wait for it."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory() as aside:
        files = {"output": f"{aside}/output", "errors": f"{aside}/errors"}
        asked = {"arguments": arguments, "folder": str(folder or Path.cwd()), **files}
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        output, errors = (Path(files[name]).read_text(encoding="utf-8") for name in ("output", "errors"))
    return subprocess.CompletedProcess(["qsearch", *arguments], code, output, errors)
