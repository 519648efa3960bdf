"""Sets a new InfluxDB up once: organisation, bucket and token of the settings; one that is set up already is left alone.

influx_setup.py URL ORG BUCKET TOKEN_FILE PASSWORD_FILE [SECONDS]: waits so long for the server. Standard library only.
The token is the one that lucheng is told; `lucheng store init` then makes buckets, retention and the hourly task.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

DEFAULT_WAIT_S = 120.0
PAUSE_S = 0.5
USER = "admin"


def first_line(path: str) -> str:
    """The secret in a file."""
    return Path(path).read_text(encoding="utf-8").split("\n", 1)[0].strip()


def asked(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer to one request. Raises OSError."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 the operator's own URL
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 as above
        found = json.load(answer)
    assert isinstance(found, dict)
    return found


def set_up(url: str, org: str, bucket: str, token: str, password: str, wait_s: float) -> bool:
    """Whether it had to be set up. Raises TimeoutError, urllib.error.HTTPError."""
    deadline_s = time.monotonic() + wait_s
    setup = f"{url.rstrip('/')}/api/v2/setup"
    while True:
        try:
            if not asked(setup)["allowed"]:
                return False
            body = {"username": USER, "password": password, "org": org, "bucket": f"{bucket}_unused", "token": token}
            asked(setup, body)
        except urllib.error.HTTPError:
            raise
        except (OSError, ValueError) as error:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{url} does not answer: {error}") from error
            time.sleep(PAUSE_S)
        else:
            return True


def main(arguments: list[str]) -> int:
    """The command."""
    if len(arguments) not in {5, 6}:
        print("usage: influx_setup.py URL ORG BUCKET TOKEN_FILE PASSWORD_FILE [SECONDS]", file=sys.stderr)  # noqa: T201 a command
        return 2
    url, org, bucket, token_file, password_file = arguments[:5]
    wait_s = float(arguments[5]) if len(arguments) == 6 else DEFAULT_WAIT_S
    try:
        made = set_up(url, org, bucket, first_line(token_file), first_line(password_file), wait_s)
    except (TimeoutError, urllib.error.HTTPError) as error:
        print(f"influx_setup: {error}", file=sys.stderr)  # noqa: T201 as above
        return 1
    print(f"{url}: {'set up' if made else 'was set up already'}")  # noqa: T201 as above
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
