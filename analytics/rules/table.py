"""The one table of the rules: what each raises, for whom, and the parameters that move it; the reference is generated from it.

Invariants: the order is that in which they run; a name is permanent, signal ids are made with it. Kinds that devices
say themselves (alarm bits and messages) are in it as well, with no rule to run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analytics.meaning.rule import Rule
from model.codes import Word


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """One rule.

    Attributes:
        name: as in signal ids and `lucheng rules list`.
        make: makes it with an empty memory; None where the device itself tells and `analytics.rise` lifts the bit.
        raises: kinds of alarm.
        kinds: device kinds that it watches.
        parameters: names in `RuleLimits`; the unit is the end of the name.
        words: when it raises, and when it clears.
    """

    name: str
    make: Callable[[], Rule] | None
    raises: tuple[str, ...]
    kinds: tuple[str, ...]
    parameters: tuple[str, ...]
    words: Word


#: Filled by the modules of this folder, in running order.
RULES: tuple[RuleEntry, ...] = ()
