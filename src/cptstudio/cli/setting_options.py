"""Command-line flags made from the settings tree.

Each setting is a flag of its dotted name with hyphens, such as `--optimizer.weight-decay`,
or of a shorter name where most runs touch it. Help texts are the tree's own.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from cptstudio.cli.typed_options import number, whole
from cptstudio.setting_flags import flag_of, leaves
from cptstudio.settings import Length

GROUP_TITLES = {
    "": "Run",
    "model": "Model",
    "data": "Data",
    "method": "Method",
    "optimizer": "Optimizer",
    "schedule": "Schedule",
    "batch": "Batch",
    "evaluation": "Evaluation",
    "checkpoints": "Checkpoints",
    "guards": "Guards",
    "compute": "Compute",
}
_SEPARATOR = "__"


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = (part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _parameter(dotted: str, field: FieldInfo) -> inspect.Parameter:
    annotation = _without_none(field.annotation)
    group = dotted.rpartition(".")[0]
    flag = flag_of(dotted)
    metavar = None
    kind: Any = annotation
    make: Callable[..., Any] = typer.Option
    if annotation is Length:
        kind, metavar = str, "LENGTH"
    elif get_origin(annotation) is Literal:
        kind, metavar = str, "|".join(get_args(annotation))
    elif get_origin(annotation) is tuple:
        kind, metavar = list[str], "TEXT"
    elif annotation in (int, float):
        make = whole if annotation is int else number
    elif annotation is bool:
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    default = field.get_default(call_default_factory=True)
    shown = False if default is None or default is False or default == () else str(default)
    option = make(
        flag,
        help=field.description,
        show_default=shown,
        **({} if metavar is None else {"metavar": metavar}),
        rich_help_panel=GROUP_TITLES[group],
    )
    return inspect.Parameter(
        dotted.replace(".", _SEPARATOR),
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def with_setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add a flag for every setting to a command.

    The command must take `given: dict[str, Any]`, which receives the flags the user gave, by
    dotted name. Its other parameters stay what they are.
    """
    own = [
        parameter
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.name != "given"
    ]
    made = {dotted: _parameter(dotted, field) for dotted, field in leaves()}

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
    """A tree of plain values with dotted settings laid over it."""
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
