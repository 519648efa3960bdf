"""Loggers that load structlog only when something is logged: it costs 0.2 s, and most commands log nothing."""

from __future__ import annotations

import sys
from typing import Any, TextIO, cast


class LazyLogger:
    """`structlog.get_logger(name)`, made at the first call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._made: Any = None

    def __getattr__(self, method: str) -> Any:
        if self._made is None:
            import structlog  # noqa: PLC0415 (the reason for this module)

            if not structlog.is_configured():
                configure()  # structlog's own default is standard output, which belongs to the command's answer
            self._made = structlog.get_logger(self._name)
        return getattr(self._made, method)


def logger(name: str) -> LazyLogger:
    """A lazy logger of that name."""
    return LazyLogger(name)


class _StandardError:
    """Standard error as it is at the moment of writing: a test or a command may have replaced it since."""

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure() -> None:
    """Where logs go: one JSON object a line on standard error, UTC times."""
    import logging  # noqa: PLC0415 (as above)

    import structlog  # noqa: PLC0415

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
