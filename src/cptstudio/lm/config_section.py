"""The fields of one network in a config.json, to which names are added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cptstudio.errors import UserError

FULL: Final = "full_attention"
LOCAL: Final = "sliding_attention"
_LONG_ROPES: Final = ("longrope", "su")


def language_model(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of the language model: a part of their own where it also sees images."""
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else config


def long_ropes(section: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield each LongRoPE that the settings of a network describe."""
    parameters = section.get("rope_parameters")
    nested = parameters.values() if isinstance(parameters, Mapping) else ()
    for scaling in (section.get("rope_scaling"), parameters, *nested):
        if not isinstance(scaling, Mapping):
            continue
        if (scaling.get("rope_type") or scaling.get("type")) in _LONG_ROPES:
            yield scaling


class Section:
    """The fields of one network."""

    def __init__(self, fields: dict[str, Any], model_type: str, where: object) -> None:
        self.fields = fields
        self.model_type = model_type
        self.where = where

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field's value; None and a missing field are the same."""
        value = self.fields.get(name)
        return default if value is None else value

    def agree(self, name: str, value: Any, source: str) -> None:
        """Give a field the value of another one.

        Raises:
            UserError: it has a value of its own that is another one.
        """
        own = self.fields.get(name)
        if own is not None and own != value:
            raise UserError(
                f"{self.where}: {name} is {own!r}, but {source} is {value!r}. Both mean "
                "the same, so one of them is wrong. Set both to the right value in "
                "config.json."
            )
        self.fields[name] = value
