"""Reads `LUCHENG_SECTION__NAME` variables through pydantic-settings.

Kept apart because importing pydantic-settings costs more than everything else a short command does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from config.base import ENV_DELIMITER, ENV_PREFIX
from config.sections import Settings


class _FromEnvironment(BaseSettings, Settings):
    """The same fields as `Settings`, as pydantic-settings wants them."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_DELIMITER)


class _Source(EnvSettingsSource):
    """A table is JSON; a text that is none goes on as it is, so that it is refused in the words of the schema."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def explode(env: Mapping[str, str]) -> dict[str, Any]:
    """Nested values of `env`, texts as they came; every name has to be one of the schema's."""
    source = _Source(_FromEnvironment)
    source.env_vars = {name.lower(): value for name, value in env.items()}
    return source()
