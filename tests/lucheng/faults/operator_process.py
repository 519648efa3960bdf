"""An operator as a process of its own: `python -m tests.lucheng.faults.operator_process FOLDER UID`.

Reads a line of JSON for each thing to do, `{"at": monotonic seconds, "operation": …, "arguments": {…}}`, does it at that moment
and answers with a line: the operation's answer, or its error. With a UID other than its own it becomes that user before it
connects, so that the service sees another operator.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from console.client import RemoteClient
from console.socket_path import SOCKET_NAME
from model.errors import LuchengError


def main() -> int:
    """Work until there is no line more."""
    folder, uid = sys.argv[1], int(sys.argv[2])
    os.chdir(folder)
    if uid != os.getuid():
        os.setuid(uid)
    client = RemoteClient(Path(SOCKET_NAME))
    print("ready", flush=True)
    for line in sys.stdin:
        said = json.loads(line)
        time.sleep(max(0.0, said["at"] - time.monotonic()))
        try:
            done = {"row": client.call(said["operation"], **said["arguments"])}
        except LuchengError as error:
            done = {"error": type(error).__name__, "message": error.message}
        print(json.dumps(done), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
