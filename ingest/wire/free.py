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
    *,
    named_only: Mapping[str, str] | None = None,
) -> list[Out]:
    """The message that `args` names, with the values it gives as JSON.

    Args:
        catalogue: the protocol's table.
        allowed: names that may be sent.
        answered_by: message down to the message up that answers it.
        args: `message` and `values` of the command `message`.
        version: edition that the terminal speaks.
        named_only: message to its field of which only the codes of the table may be sent: a maker's own may be anything,
            cutting the power too.

    Raises Refused for another name, for a code that is not in the table, and for text that is no JSON object; Malformed for fields that do not fit.
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
    body = entry.write(values, version)
    field = (named_only or {}).get(name)
    code = "" if field is None else entry.read(body, version)[field]
    if not isinstance(code, str):
        raise Refused(f"{name}: {field} {code} is a maker's own code.", mend="Use one that the reference names.")
    return [Out(entry.id, body, () if answer is None else (answer,))]
