"""Command-line flags made from the settings tree.

Each setting is a flag of its dotted name with hyphens, such as `--optimizer.weight-decay`,
or of a shorter name where most runs touch it. Help texts are the tree's own.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cptstudio.cli.typed_options import number, whole
from cptstudio.lengths import Length
from cptstudio.setting_flags import flag_of, leaves
from cptstudio.settings import group_title
from cptstudio.validation import field_of, limits_of

_SEPARATOR = "__"
_WITHOUT_SUBJECT = re.compile(r"[a-z0-9]|(In|As|An|Used|Added|Applied|Completed|Values) ")


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = (part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _with_subject(field: FieldInfo) -> str | None:
    """A field's help text; after its title where it begins with a choice or goes on from there.

    On a page the title stands above the help, beside a flag such as --optimizer nothing does.
    """
    title, text = field.title, field.description
    if not title or not text:
        return text
    return f"{title}. {text}" if _WITHOUT_SUBJECT.match(text) else text


def _parameter(
    name: str, field: FieldInfo, flag: str, panel: str | None, **bounds: Any
) -> inspect.Parameter:
    annotation = _without_none(field.annotation)
    metavar = None
    kind: Any = annotation
    make: Callable[..., Any] = typer.Option
    if annotation is Length:
        kind, metavar = str, "LENGTH"
    elif get_origin(annotation) is Literal:
        kind, metavar = str, "|".join(get_args(annotation))
    elif get_origin(annotation) is tuple:
        choices = get_args(get_args(annotation)[0])
        kind, metavar = list[str], "|".join(choices) or "TEXT"
    elif annotation in (int, float):
        make = partial(whole if annotation is int else number, **bounds)
    elif annotation is bool:
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    default = field.get_default(call_default_factory=True)
    shown = False if default is None or default is False or default == () else str(default)
    if isinstance(default, tuple) and default:
        shown = ", ".join(map(str, default))
    if isinstance(default, Length):
        shown = default.words
    if default is True:
        shown = "yes"
    help = _with_subject(field)
    if annotation is Length:
        help = f"{help} Such as '2 epochs', '500 steps' or '10M tokens'."
    option = make(
        flag,
        help=help,
        show_default=shown,
        **({} if metavar is None else {"metavar": metavar}),
        rich_help_panel=panel,
    )
    return inspect.Parameter(
        name.replace(".", _SEPARATOR),
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def with_setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add a flag for every setting to a command.

    The command must take `given: dict[str, Any]`, which receives the flags the user gave, by
    dotted name. Its other parameters stay what they are.
    """
    made = {}
    for dotted, field in leaves():
        panel = group_title(dotted.rpartition(".")[0])
        made[dotted] = _parameter(dotted, field, flag_of(dotted), panel)
    return _with_options(command, made)


def with_field_options(
    model: type[BaseModel],
    *,
    leave_out: Collection[str] = (),
    defaults: Mapping[str, Any] | None = None,
    flags: Mapping[str, str] | None = None,
    upper: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a flag for every field of a model to a command, as `with_setting_options` does.

    Args:
        leave_out: fields without a flag.
        defaults: those that the command has instead of the model's.
        flags: where a flag is not called as its field.
        upper: what is above a bound is refused at its flag, not with all else by the model.
    """
    made = {}
    for name, field in model.model_fields.items():
        if name in leave_out:
            continue
        if defaults and name in defaults:
            field = field_of(model, name, default=defaults[name])
        flag = (flags or {}).get(name, f"--{name.replace('_', '-')}")
        least, most = (limits_of(field).get(bound) for bound in ("ge", "le"))
        made[name] = _parameter(name, field, flag, None, least=least, most=most if upper else None)
    return partial(_with_options, made=made)


def _with_options(
    command: Callable[..., Any], made: Mapping[str, inspect.Parameter]
) -> Callable[..., Any]:
    own = [
        parameter
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.name != "given"
    ]

    def run(**arguments: Any) -> Any:
        given = {}
        for dotted, parameter in made.items():
            value = arguments.pop(parameter.name)
            if value is not None and value != []:
                given[dotted] = value
        return command(**arguments, given=given)

    run.__signature__ = inspect.Signature([*own, *made.values()])  # type: ignore[attr-defined]
    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    return run


def merge(tree: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tree of plain values with dotted settings laid over it."""
    merged: dict[str, Any] = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in tree.items()
    }
    for dotted, value in given.items():
        group, _, name = dotted.rpartition(".")
        if group:
            merged.setdefault(group, {})[name] = value
        else:
            merged[name] = value
    return merged
