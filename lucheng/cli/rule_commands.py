"""`rules`: which rules there are, what each raises, and the limits in force; needs neither service nor data folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from lucheng.cli import output
from lucheng.cli.choose import settings_of
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json
from lucheng.cli.texts import in_language, text

if TYPE_CHECKING:
    from config.sections import Settings

rules = group("rules")


def rows(settings: Settings) -> list[dict[str, Any]]:
    """The rules in the order in which they run, with the limits that the settings give them."""
    from analytics.rules.table import EVERY_RULE, RULES  # noqa: PLC0415 NumPy costs 0.1 s
    from lucheng.limits import rule_limits  # noqa: PLC0415 as above

    limits = rule_limits(settings)
    return [
        {
            "rule": entry.name,
            "raises": list(entry.raises),
            "devices": list(entry.kinds),
            "by": "device" if entry.make is None else "rule",
            "on": entry.make is None or entry.name not in limits.off,
            "limits": {name: getattr(limits, name) for name in entry.parameters + (EVERY_RULE if entry.make else ())},
            "en": entry.words.en,
            "zh": entry.words.zh,
        }
        for entry in RULES
    ]


@rules.command("list", help=text("rules.list"))
@command
def rules_list(context: typer.Context, *, as_json: Json = False) -> None:
    from analytics.rules.table import RULES  # noqa: PLC0415 as above

    found = rows(settings_of(place(context)))
    if as_json:
        output.as_json(found)
        return
    shown = [
        {**row, "when": in_language(entry.words), "by": text(f"rules.by_{row['by']}")}
        for row, entry in zip(found, RULES, strict=True)
    ]
    output.table(("rule", "on", "raises", "devices", "by", "limits", "when"), shown)
