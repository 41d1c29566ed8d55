"""Problems with given values, as sentences: the one place that reads pydantic's errors.

Nothing of what pydantic says reaches a user: each kind of error has a sentence here, made from
the field's title, bounds and choices, and a kind that is new to us has a plain one.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from cptstudio.errors import Finding, UserError
from cptstudio.typed_numbers import AmbiguousNumberError, UnreadableNumberError, read_number

_OWN = "finding"


def wrong(sentence: str, at: str = "") -> PydanticCustomError:
    """Return the error for a validator to raise: a sentence for the user.

    Args:
        sentence: what is wrong and what to do.
        at: the field it is about, relative to what the validator checks; "" for all of that.
    """
    return PydanticCustomError(_OWN, "{sentence}", {"sentence": sentence, "at": at})


def typed_value(model: type[BaseModel], name: str | None, value: Any) -> Any:
    """Return a field's value with typed numbers read, for models' validators before pydantic's own.

    A yes or no is no number, though pydantic would take it for 1 or 0.

    Raises:
        PydanticCustomError: it is no number, or could be two.
    """
    field = model.model_fields.get(name or "")
    kind = None if field is None else _inner_type(field.annotation)
    if field is None or kind not in (int, float) or not isinstance(value, str | bool):
        return value
    if isinstance(value, bool):
        raise wrong(number_wanted(field, whole=kind is int))
    extra = field.json_schema_extra
    unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
    try:
        number = read_number(value, whole=kind is int, unit=unit)
    except AmbiguousNumberError as error:
        raise wrong(str(error)) from None
    except UnreadableNumberError:
        raise wrong(number_wanted(field, whole=kind is int)) from None
    if number is None and type(None) not in get_args(field.annotation):
        raise wrong(number_wanted(field, whole=kind is int))
    return number


class LateModel(BaseModel, defer_build=True):
    """Base of a model that is built when it is first used, in whatever thread.

    The server has a hundred, a sixth of the computing time of its start, and its first answers need
    a few.
    """


class ReadsNumbers(LateModel):
    """Base of what people fill in: typed numbers are read, a yes or no is none.

    Attributes:
        former_names: names that fields had before, which are still read, and their names of today.
    """

    former_names: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_former_names(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not cls.former_names.keys() & values.keys():
            return values
        for former, name in cls.former_names.items():
            if former in values and name in values:
                raise wrong(f"“{former}” is the former name of “{name}”. Use only one.", name)
        return {cls.former_names.get(name, name): value for name, value in values.items()}

    @field_validator("*", mode="before")
    @classmethod
    def _read_number(cls, value: Any, info: ValidationInfo) -> Any:
        return typed_value(cls, info.field_name, value)


def described(
    default: Any, title: str, help: str, unit: str = "", basic: bool = False, **bounds: Any
) -> Any:
    """Return a field with what the form, the command line and the documentation need."""
    extra: dict[str, Any] = {"basic": basic, **({"unit": unit} if unit else {})}
    return Field(default, title=title, description=help, json_schema_extra=extra, **bounds)


def field_of(model: type[BaseModel], name: str, **changes: Any) -> Any:
    """Return a field for another model with the bounds, default and texts that this one has.

    Args:
        changes: other values of its attributes, such as `title` or `default`.
    """
    field = copy(model.model_fields[name])
    for attribute, value in changes.items():
        setattr(field, attribute, value)
    return field


_Checked = TypeVar("_Checked", bound=BaseModel)


def checked(model: type[_Checked], **values: Any) -> _Checked:
    """Return a model of these values, as commands make them of their options.

    Raises:
        UserError: with all findings.
    """
    try:
        return model(**values)
    except ValidationError as error:
        raise UserError("Fix these values:", findings_of(error, model)) from None


def findings_of(error: ValidationError, model: type[BaseModel]) -> list[Finding]:
    """Return all findings of a failed validation, each with the field it is about.

    Args:
        model: the model that was validated, whose titles and bounds the sentences use.
    """
    details = error.errors(include_url=False)
    places = [detail["loc"] for detail in details]
    found = []
    for detail in details:
        place = detail["loc"]
        inner = any(other != place and other[: len(place)] == place for other in places)
        if inner and detail["type"] == "too_short":
            continue  # It is short because what is in it is wrong, which is told already.
        found.append(_finding(detail, model))
    return list(dict.fromkeys(found))


def sentences(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return the same as sentences that name their fields."""
    return [str(finding) for finding in findings_of(error, model)]


def _finding(detail: ErrorDetails, model: type[BaseModel]) -> Finding:
    context: Mapping[str, Any] = detail.get("ctx") or {}
    place = detail["loc"]
    if detail["type"] == _OWN and context["at"]:
        place = (*place, *context["at"].split("."))
    field, titles, known = _walk(model, place)
    sentence = _sentence(detail, context, place, field, known)
    missing = detail["type"] == "missing"
    return Finding(sentence, ".".join(map(str, place)), ", ".join(titles), missing)


def title_of(model: type[BaseModel], dotted: str) -> str:
    """Return the title of a field, or its name where there is no such field."""
    return ", ".join(_walk(model, dotted.split("."))[1]) or dotted


def _walk(
    model: type[BaseModel], place: Sequence[str | int]
) -> tuple[FieldInfo | None, list[str], list[str]]:
    """The field at a place, the titles on the way to it, and the names its neighbours have."""
    titles: list[str] = []
    field: FieldInfo | None = None
    annotation: Any = model
    known: list[str] = []
    for part in place:
        annotation = _inner_type(annotation)
        if isinstance(part, int):
            titles.append(f"entry {part + 1}")
            annotation = next(iter(get_args(annotation)), None)
            continue
        fields = _fields_of(annotation)
        if not fields:
            # Inside a plain dictionary, or a branch of a union: the keys are all there is.
            titles.append(part)
            annotation = (get_args(annotation) or (None,))[-1]
            continue
        known = list(fields)
        field = fields.get(part)
        annotation = None if field is None else field.annotation
        is_group = bool(_fields_of(_inner_type(annotation)))
        if field is None:
            titles = [".".join(map(str, place))]
            break
        if field.title:
            titles.append(field.title)
        elif titles:
            titles.append(part.replace("_", " ").capitalize())
        elif not is_group:
            titles = [".".join(map(str, place))]
            break
        elif part == place[-1]:
            titles.append(part.replace("_", " ").capitalize())
    return field, titles, known


def _fields_of(annotation: Any) -> dict[str, FieldInfo]:
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            return annotation.model_fields
        found = getattr(annotation, "__pydantic_fields__", None)
        if isinstance(found, dict):
            return found
    return {}


def _inner_type(annotation: Any) -> Any:
    """The one type of an optional or annotated one."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            parts = [part for part in get_args(annotation) if part is not type(None)]
            if len(parts) != 1:
                return annotation
            annotation = parts[0]
        else:
            return annotation


# --- sentences -------------------------------------------------------------------------------

_UNKNOWN = "This value isn't valid here."
_NUMBERS = {"int_type", "int_parsing", "int_from_float", "float_type", "float_parsing"}
_GROUPS = {"model_type", "model_attributes_type", "dict_type", "dataclass_type", "mapping_type"}
_SENTENCES = {
    "missing": "Required.",
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode"), "Enter text."),
    **dict.fromkeys(("bool_type", "bool_parsing"), "Use true or false."),
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "iterable_type"), "Use a list."),
    "greater_than": "Use a value above {gt}.",
    "greater_than_equal": "Use at least {ge}.",
    "less_than": "Use a value below {lt}.",
    "less_than_equal": "Use at most {le}.",
    "int_parsing_size": "Use a smaller number.",
    "literal_error": "Choose {expected}.",
    "enum": "Choose {expected}.",
    "string_too_short": "Use at least {min_length} characters.",
    "string_too_long": "Use at most {max_length} characters.",
    "too_short": "Add at least {min_length} entries.",
    "too_long": "Use at most {max_length} entries.",
}
_AT_LEAST_ONE = {"string_too_short": "Enter some text.", "too_short": "Add at least one entry."}
"""Where the bound is 1."""


def _sentence(
    detail: ErrorDetails,
    context: Mapping[str, Any],
    place: Sequence[str | int],
    field: FieldInfo | None,
    known: Sequence[str],
) -> str:
    kind = detail["type"]
    if kind == _OWN:
        return str(context["sentence"])
    if kind in ("value_error", "assertion_error"):
        return _as_sentence(str(context.get("error", "")))
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(place[-1]), known, 1) if place else []
        return "Unknown field." + (f" Did you mean {near[0]}?" if near else "")
    if kind in _NUMBERS or kind == "finite_number":
        return number_wanted(field, whole=kind.startswith("int"))
    if kind in _GROUPS:
        return _group_wanted(place, field)
    if context.get("min_length") == 1 and kind in _AT_LEAST_ONE:
        return _AT_LEAST_ONE[kind]
    shown = {name: plain(value).replace("'", "") for name, value in context.items()}
    return _SENTENCES.get(kind, _UNKNOWN).format_map(shown)


_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def limits_of(field: FieldInfo) -> dict[str, Any]:
    """Return the bounds of a field of numbers, as "ge", "gt", "le" and "lt"."""
    return {
        name: value
        for name in _LIMITS
        for one in field.metadata
        if (value := getattr(one, name, None)) is not None
    }


def number_wanted(field: FieldInfo | None, *, whole: bool) -> str:
    """Return the values that a field of numbers takes, as a sentence."""
    if field is not None:
        whole = _inner_type(field.annotation) is int
    words = "Enter a whole number" if whole else "Enter a number"
    limits = limits_of(field) if field is not None else {}
    if "ge" in limits and "le" in limits:
        return f"{words} from {plain(limits['ge'])} to {plain(limits['le'])}."
    parts = [f"{_LIMITS[name]} {plain(limit)}" for name, limit in limits.items()]
    return f"{words} {' and '.join(parts)}".rstrip() + "."


def _group_wanted(place: Sequence[str | int], field: FieldInfo | None) -> str:
    fields = _fields_of(_inner_type(field.annotation)) if field is not None else {}
    if not place or isinstance(place[-1], int) or not fields:
        return "Use a section of named values."
    first = next(iter(fields))
    return f"Use a section, such as {place[-1]}: {{{first}: …}}."


def plain(value: Any) -> str:
    """Return a bound as people write it: 65,536 and 0.01."""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{int(value):,}" if value == int(value) else f"{value:g}"
    return str(value)


def _as_sentence(text: str) -> str:
    if not text:
        return _UNKNOWN
    ended = text if text.endswith((".", "!", "?")) else f"{text}."
    return ended[0].upper() + ended[1:]
