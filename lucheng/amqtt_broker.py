"""amqtt as a process of its own: `python -m lucheng.amqtt_broker CONFIG.json`, started by `lucheng.broker`.

Runs until SIGTERM. Sessions live in memory: see `lucheng.broker` for what that means.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from amqtt.broker import Broker

#: A client that is away longer than this loses its session.
SESSION_EXPIRY_S = 86_400


class SessionBroker(Broker):  # type: ignore[misc]  # amqtt has no types
    """amqtt, but what it kept for a client that was away comes without the retain flag, as MQTT says [3.3.1-9].

    With the flag it would pass for a stale retained message, which no stream of ours takes. amqtt is pinned below its
    next minor version, and a test shows the flag, because the overridden method is private.
    """

    async def _publish_session_retained_messages(self, session: Any) -> None:
        handler = self._get_handler(session)
        while handler and not session.retained_messages.empty():
            kept = session.retained_messages.get_nowait()
            # Not awaited: it ends with the client's acknowledgement, which must not hold up the next one.
            sending = asyncio.ensure_future(handler.mqtt_publish(kept.topic, kept.data, kept.qos, retain=False))
            self._tasks_queue.append(sending)


async def serve(config: dict[str, Any], pid_file: Path) -> None:
    """Run a broker until SIGTERM; its pid file is there while it listens."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
    host = f"[{config['listen']}]" if ":" in config["listen"] else config["listen"]
    rules = {
        "password_file": config["password_file"] or "",
        "acl_file": config["acl_file"] or "",
        "anonymous": config["anonymous"],
    }
    broker = SessionBroker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{host}:{config['port']}"}},
            "session_expiry_interval": SESSION_EXPIRY_S,
            "plugins": {"lucheng.amqtt_rules.FileRules": rules},
        }
    )
    await broker.start()
    pid_file.write_text(f"{os.getpid()}\n", encoding="ascii")  # noqa: ASYNC240 one line, once, before any client
    await stop.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
    # Every message a client does not acknowledge in time would be a traceback.
    for _name in ("amqtt", "asyncio"):
        logging.getLogger(_name).setLevel(logging.CRITICAL)
    _config = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    asyncio.run(serve(_config, Path(_config["pid_file"])))
