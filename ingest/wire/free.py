"""Messages that people may send by name, with the fields of the protocol's table.

Purpose: what a protocol can be told and no command of its own is for: phone books, areas, routes, questions to the driver.
Invariants: only names that a protocol allows; what listens, dials, shows pictures, cuts power or sets parameters is never
among them: those have commands of their own, and their gate. It decides nothing about who may.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from ingest.wire.message import Catalogue
from ingest.wire.orders import Out
from model.errors import Refused


def free_message(
    catalogue: Catalogue,
    allowed: Collection[str],
    answered_by: Mapping[int, int],
    args: Mapping[str, str],
    version: int = 0,
) -> list[Out]:
    """The message that `args` names, with the values it gives as JSON.

    Args:
        catalogue: the protocol's table.
        allowed: names that may be sent.
        answered_by: message down to the message up that answers it.
        args: `message` and `values` of the command `message`.
        version: edition that the terminal speaks.

    Raises Refused for another name and for text that is no JSON object; Malformed for fields that do not fit.
    """
    name = args["message"]
    if name not in allowed:
        raise Refused(
            f"{name} is no message to be sent by name.", mend="Use one of " + ", ".join(sorted(allowed)) + "."
        )
    try:
        values = json.loads(args["values"])
    except (ValueError, RecursionError) as error:
        raise Refused(f"The values of {name} are no JSON.", mend='Write {"field": value, …}.') from error
    if not isinstance(values, dict):
        raise Refused(f"The values of {name} are no object.", mend='Write {"field": value, …}.')
    entry = catalogue.by_name[name]
    answer = answered_by.get(entry.id)
    return [Out(entry.id, entry.write(values, version), () if answer is None else (answer,))]
