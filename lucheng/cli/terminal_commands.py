"""`terminal`: which terminals are registered, what they report besides places, and letting another one register."""

from __future__ import annotations

from lucheng.cli.frame import group

terminal = group("terminal")
