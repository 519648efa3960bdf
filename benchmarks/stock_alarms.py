"""The baseline of `benchmarks.alarms`: stock paho on one shared connection, a row and a commit a message, a line to who listens.

What one writes first: subscribe to points and alarms, `json.loads`, INSERT into SQLite with a commit that waits for the
disk (as ours does), and a JSON line to the subscriber's Unix socket for every alarm. It registers nothing, checks nothing,
knows no duplicates and keeps no state.
"""

from __future__ import annotations

import json
import socket
import sqlite3
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

TOPICS = [("lucheng/v1/+/+/up/point", 1), ("lucheng/v1/+/+/up/alarm", 1)]
_SCHEMA = (
    "CREATE TABLE points (device TEXT, ts INTEGER, lat REAL, lon REAL, speed_kmh REAL, body TEXT)",
    "CREATE TABLE alarms (device TEXT, ts INTEGER, kind TEXT, body TEXT)",
)


def serve(port: int, socket_path: Path, file: Path) -> None:
    """Wait for the one subscriber, then take messages for ever; ended by a signal."""
    database = sqlite3.connect(file)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    for statement in _SCHEMA:
        database.execute(statement)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(socket_path))
    listener.listen(1)
    subscriber, _ = listener.accept()

    def on_message(_client: Client, _data: Any, message: MQTTMessage) -> None:
        device = "/".join(message.topic.split("/")[2:4])
        body = json.loads(message.payload)
        kinds = [body["kind"]] if message.topic.endswith("/alarm") else body.get("alarms", [])
        if message.topic.endswith("/point"):
            place = (body["lat"], body["lon"], body.get("speed_kmh"))
            database.execute(
                "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?)", (device, body["ts"], *place, message.payload.decode())
            )
        for kind in kinds:
            database.execute(
                "INSERT INTO alarms VALUES (?, ?, ?, ?)", (device, body["ts"], kind, message.payload.decode())
            )
        database.commit()
        for kind in kinds:
            subscriber.sendall(json.dumps({"device": device, "kind": kind}).encode() + b"\n")

    client = Client(CallbackAPIVersion.VERSION2, "stock-alarms", protocol=MQTTv311)
    client.on_message = on_message
    client.on_subscribe = lambda *_: subscriber.sendall(b'{"ready": true}\n')
    client.connect("127.0.0.1", port)
    client.subscribe(TOPICS)
    client.loop_forever()
