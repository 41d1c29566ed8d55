"""The fields of one network in a config.json, to which names are added."""

from __future__ import annotations

from typing import Any, Final

from cptstudio.errors import UserError

FULL: Final = "full_attention"
LOCAL: Final = "sliding_attention"


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
                f"{self.where}: {name} is {own!r} and {source} is {value!r}. The two say the same "
                "thing, so one of them is wrong. Set both to the right value in config.json."
            )
        self.fields[name] = value
