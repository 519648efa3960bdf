"""The entry of the command `lucheng`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; leaves with its exit status."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")  # a name in another script must not end a command
    from lucheng.cli.root import app  # noqa: PLC0415 after the streams are safe to print on

    app()


if __name__ == "__main__":
    main()
