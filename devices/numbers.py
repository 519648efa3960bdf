"""Whether terminals can be told apart by their numbers: what is doubtful in a registry, for whoever mends it.

Purpose: one look at all enabled devices by the rule by which `devices.terminals` finds them: digits without leading zeros,
of the phone number or the IMEI. It changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from devices.schema import RegistryFile
from devices.terminals import number_digits
from model.device import Kind

#: Protocols whose terminals say a number and nothing else of themselves.
BY_NUMBER = ("jt808", "jt905", "gt06")
#: Protocols that come by a port of the gateway, OsmAnd's too.
BY_GATEWAY = (*BY_NUMBER, "osmand")


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was found among the enabled devices.

    Attributes:
        taxis: how many of them are taxis.
        protocols: those of `BY_GATEWAY` that some device is registered with.
        numberless: devices registered with a protocol of `BY_NUMBER` and no number that it could say, in order.
        shared: numbers that more than one device would be found by, with these devices, in order.
    """

    taxis: int
    protocols: frozenset[str]
    numberless: tuple[str, ...]
    shared: dict[str, tuple[str, ...]]


def look_at_numbers(file: RegistryFile) -> Numbers:
    """Look at all enabled devices, one pass. Raises StoreError."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    numberless: list[str] = []
    spoken: set[str] = set()
    with file.reading() as connection:
        (taxis,) = connection.execute(
            "SELECT count(*) FROM device WHERE deleted = 0 AND enabled = 1 AND kind = ?", (Kind.TAXI.value,)
        ).fetchone()
        for device, protocol, phone, imei in connection.execute(
            "SELECT id, protocol, phone_key, imei_key FROM device WHERE deleted = 0 AND enabled = 1"
            " AND (protocol <> '' OR phone_key <> '' OR imei_key <> '') ORDER BY slot"
        ):
            spoken.add(protocol)
            numbers = {number_digits(phone), number_digits(imei)} - {""}
            for number in numbers:
                found[number].append(device)
            if protocol in BY_NUMBER and not numbers:
                numberless.append(device)
    shared = {number: tuple(devices) for number, devices in found.items() if len(devices) > 1}
    return Numbers(int(taxis), frozenset(spoken & set(BY_GATEWAY)), tuple(numberless), shared)
