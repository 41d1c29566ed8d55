"""Which command lines train: decided by their parsed arguments.

A command line is read the way the system and the program themselves read it: the interpreter's
own options first, then the module or script it runs, then that program's options. A word such
as `mlx_lm.lora` anywhere else (the name of a file in an editor, a pattern for grep, the text
after `sh -c`) decides nothing.

The options are those of mlx-lm 0.2 to 0.32 and mlx-lm-lora 5.10, read by argparse as these
programs do, so that `--iters=100` and unambiguous abbreviations mean here what they mean there.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NoReturn, TypeVar

from cptstudio.python_source import parse_source

Tool = Literal["mlx-lm", "mlx-lm-lora", "mlx-tune"]

SCRIPT_SIZE_LIMIT: Final = 1024 * 1024

_PYTHON = re.compile(r"(?:[Pp]ython|pypy)w?(?:\d+(?:\.\d+)*)?t?(?:-(?:32|64|intel64|dbg))?")
_CONSOLE_SCRIPTS: Final[dict[str, Tool]] = {
    "mlx_lm.lora": "mlx-lm",
    "mlx_lm_lora.train": "mlx-lm-lora",
    "mlx-lm-lora": "mlx-lm-lora",
}
_MODULES: Final[dict[str, Tool]] = {"mlx_lm.lora": "mlx-lm", "mlx_lm_lora.train": "mlx-lm-lora"}
# Programs and packages whose first argument names what they do.
_WITH_SUBCOMMAND: Final[dict[str, tuple[Tool, str]]] = {
    "mlx_lm": ("mlx-lm", "lora"),
    "mlx_lm_lora": ("mlx-lm-lora", "train"),
}
_PYTHON_OPTIONS_WITH_VALUE = "WX"


def _options(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_VALUES_OF_ALL = _options(
    "--model --data --optimizer --num-layers --batch-size --iters --val-batches --learning-rate "
    "--steps-per-report --steps-per-eval --resume-adapter-file --adapter-path --save-every "
    "--test-batches --max-seq-length --seed"
)
_FLAGS_OF_ALL = _options("--train --test --mask-prompt --grad-checkpoint")
_VALUES: Final[dict[Tool, tuple[str, ...]]] = {
    "mlx-lm": _options(
        "--fine-tune-type --lora-layers --grad-accumulation-steps --clear-cache-threshold "
        "--report-to --project-name --wandb"
    ),
    "mlx-lm-lora": _options(
        "--lm-studio-name --train-type --train-mode --sft-loss-type --epochs "
        "--gradient-accumulation-steps --recurrence-chunk-size --wandb --beta --reward-scaling "
        "--dpo-cpo-loss-type --delta --dsla-loss --latent-weight --latent-margin --latent-gamma "
        "--latent-variant --latent-pooling --latent-layer --reference-model-path "
        "--lambda-mse-target --tau-mse-target --lambda-mse --clip-epsilon-logits --judge --alpha "
        "--group-size --max-completion-length --epsilon --temperature --micro-batch-size "
        "--reward-weights --reward-functions --reward-functions-file --grpo-loss-type "
        "--epsilon-high --importance-sampling-level --klpo-route --klpo-kl-estimator "
        "--klpo-mc-samples --klpo-top-k --klpo-tail-floor --qat-bits --qat-group-size --qat-mode "
        "--qat-start-step --qat-interval"
    ),
    "mlx-tune": (),
}
_FLAGS: Final[dict[Tool, tuple[str, ...]]] = {
    "mlx-lm": _options("--trust-remote-code --use-dora"),
    "mlx-lm-lora": _options(
        "--load-in-4bits --load-in-6bits --load-in-8bits --load-in-mxfp4 --fuse "
        "--efficient-long-context --list-reward-functions --qat-enable"
    ),
    "mlx-tune": (),
}


@dataclass(frozen=True)
class TrainingCommand:
    """A training command line, parsed.

    Attributes:
        evidence: how that was recognized, as a phrase.
        trains: whether it trains; None when its configuration file or its script decides.
        model, data, adapter_path: as given on the command line, not resolved.
        configuration: path of the YAML file with further options. It is named, never read:
            it may have changed since the program read it.
    """

    tool: Tool
    evidence: str
    trains: bool | None
    model: str | None = None
    data: str | None = None
    adapter_path: str | None = None
    iterations: int | None = None
    configuration: str | None = None


ReadScript = Callable[[str], str | None]
"""Reads a script by its path as the process gave it; None when it cannot be read."""


def parse_command_line(
    arguments: Sequence[str], executable: str | None = None, read_script: ReadScript | None = None
) -> TrainingCommand | str:
    """Return a process's training command, or the reason why it is not a training process.

    Args:
        arguments: the process's argument list, the program's own name first.
        executable: path of the running program where the system tells it. A name that the
            argument list only claims is not believed against it.
        read_script: used for Python scripts that are not one of the known programs, to see
            whether they train with mlx-tune, which has no command of its own.
    """
    if not arguments:
        return "its command line is not available"
    program = _base_name(arguments[0])
    contradiction = _contradiction(program, executable)
    if contradiction:
        return contradiction
    if _is_python(program):
        return _parse_python(arguments[1:], read_script)
    return _parse_program(program, arguments[1:], f"its program is {program}")


def mentions_a_tool(arguments: Iterable[str]) -> bool:
    """Return whether a word of a tool's name occurs: worth a line in the log, and nothing more."""
    return any(re.search(r"mlx[-_](?:lm|tune)", argument) for argument in arguments)


def _base_name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _is_python(name: str) -> bool:
    return _PYTHON.fullmatch(name) is not None


def _contradiction(program: str, executable: str | None) -> str | None:
    if not executable:
        return None
    running = _base_name(executable.removesuffix(" (deleted)"))
    if _is_python(program):
        believed = _is_python(running)
    elif program in _CONSOLE_SCRIPTS or program in _WITH_SUBCOMMAND:
        # A start script runs in Python and then has Python's name as its first argument.
        believed = running == program
    else:
        return None
    if not believed:
        return f"its arguments name {program}, but the running program is {running}"
    return None


def _parse_python(
    arguments: Sequence[str], read_script: ReadScript | None
) -> TrainingCommand | str:
    """The part after the interpreter: its options end at -m, -c, a script, or `--`."""
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--check-hash-based-pycs" and rest:
            rest.pop(0)
        elif argument in ("-", "--help", "--version"):
            return "Python runs neither a module nor a script"
        elif argument == "--":
            return (
                _parse_script(rest[0], rest[1:], read_script) if rest else "Python runs no script"
            )
        elif argument.startswith("--"):
            continue
        elif argument.startswith("-"):
            found = _module_option(argument, rest)
            if found is not None:
                return found
        else:
            return _parse_script(argument, rest, read_script)
    return "Python runs neither a module nor a script"


def _module_option(cluster: str, rest: list[str]) -> TrainingCommand | str | None:
    """One cluster of single-letter options such as `-um`; None when more options follow it."""
    for position, letter in enumerate(cluster[1:], start=1):
        attached = cluster[position + 1 :]
        if letter == "c":
            return "Python runs code given on its command line"
        if letter == "m":
            module = attached or (rest.pop(0) if rest else "")
            return _parse_module(module, rest)
        if letter in _PYTHON_OPTIONS_WITH_VALUE:
            if not attached and rest:
                rest.pop(0)
            return None
    return None


def _parse_module(module: str, arguments: list[str]) -> TrainingCommand | str:
    evidence = f"Python runs the module {module}"
    if module in _MODULES:
        return _parse_options(_MODULES[module], arguments, evidence)
    name = module.removesuffix(".__main__").removesuffix(".cli")
    if name in _WITH_SUBCOMMAND:
        return _parse_program(name, arguments, evidence)
    return f"Python runs the module {module}"


def _parse_script(
    script: str, arguments: list[str], read_script: ReadScript | None
) -> TrainingCommand | str:
    name = _base_name(script)
    evidence = f"Python runs the script {script}"
    source = read_script(script) if read_script is not None else None
    if name in _CONSOLE_SCRIPTS or name in _WITH_SUBCOMMAND:
        package = "mlx_lm" if name.startswith("mlx_lm.") or name == "mlx_lm" else "mlx_lm_lora"
        if source is not None and not _starts_package(source, package):
            return f"{evidence}, which is named like a known one but does not start {package}"
        return _parse_program(name, arguments, evidence)
    trainer = mlx_tune_trainer(source) if source is not None else None
    if trainer is None:
        return evidence
    return TrainingCommand("mlx-tune", f"{evidence}, which creates mlx-tune's {trainer}", None)


def _parse_program(name: str, arguments: Sequence[str], evidence: str) -> TrainingCommand | str:
    if name in _CONSOLE_SCRIPTS:
        return _parse_options(_CONSOLE_SCRIPTS[name], arguments, evidence)
    if name not in _WITH_SUBCOMMAND:
        return f"its program is {name}"
    tool, subcommand = _WITH_SUBCOMMAND[name]
    given = arguments[0] if arguments else None
    if given != subcommand:
        return f"{evidence} with {given or 'no subcommand'}, which does not train"
    return _parse_options(tool, arguments[1:], f"{evidence} with {subcommand}")


class _NotUnderstoodError(Exception):
    """A message that argparse would have printed before it ended the program."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _NotUnderstoodError(message)


def _parser_of(tool: Tool) -> _Parser:
    parser = _Parser(add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-c", "--config")
    for option in [*_VALUES_OF_ALL, *_VALUES[tool]]:
        parser.add_argument(option)
    for option in [*_FLAGS_OF_ALL, *_FLAGS[tool]]:
        parser.add_argument(option, action="store_true")
    return parser


def _parse_options(tool: Tool, arguments: Sequence[str], evidence: str) -> TrainingCommand | str:
    try:
        given, _ = _parser_of(tool).parse_known_args(list(arguments))
    except _NotUnderstoodError as error:
        # It runs, so its version has options that are not known here.
        return TrainingCommand(tool, f"{evidence}; could not parse its options: {error}", None)
    if given.help:
        return f"{evidence} with --help"
    trains: bool | None = given.train
    if not trains and given.config is not None:
        trains = None
    return TrainingCommand(
        tool,
        evidence,
        trains,
        model=given.model,
        data=given.data,
        adapter_path=given.adapter_path,
        iterations=_iterations(given.iters),
        configuration=given.config,
    )


def _iterations(text: str | None) -> int | None:
    if text is None or not re.fullmatch(r"\s*\+?[0-9]{1,15}\s*", text):
        return None
    return int(text)


def _syntax_tree(source: str) -> ast.Module | None:
    try:
        return parse_source(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _starts_package(source: str, package: str) -> bool:
    """Whether an installer's start script belongs to a package.

    It imports from the package, or names it as an entry point's module or distribution.
    """
    tree = _syntax_tree(source)
    if tree is None:
        return False
    names = {alias.name for node in _nodes(tree, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in _nodes(tree, ast.ImportFrom) if node.level == 0}
    constants = (node.value for node in _nodes(tree, ast.Constant))
    names |= {constant for constant in constants if isinstance(constant, str)}
    words = {re.split(r"[.=<>!~\s\[]", name.replace("-", "_"))[0] for name in names}
    return package in words


def mlx_tune_trainer(source: str) -> str | None:
    """Name of the mlx-tune trainer that a Python source makes, or None.

    The syntax tree decides: a name ending in `Trainer`, imported from mlx_tune or taken from
    it as an attribute, is called. Nothing is executed.
    """
    tree = _syntax_tree(source)
    if tree is None:
        return None
    modules: set[str] = set()
    trainers: dict[str, str] = {}
    for node in _nodes(tree, ast.Import):
        modules |= {alias.asname or "mlx_tune" for alias in node.names if _is_mlx_tune(alias.name)}
    for imported in _nodes(tree, ast.ImportFrom):
        if imported.level == 0 and _is_mlx_tune(imported.module or ""):
            trainers |= {alias.asname or alias.name: alias.name for alias in imported.names}
    for call in _nodes(tree, ast.Call):
        name = _called_name(call.func, modules, trainers)
        if name is not None and name.endswith("Trainer"):
            return name
    return None


_Node = TypeVar("_Node", bound=ast.AST)


def _nodes(tree: ast.AST, kind: type[_Node]) -> list[_Node]:
    return [node for node in ast.walk(tree) if isinstance(node, kind)]


def _is_mlx_tune(module: str) -> bool:
    return module == "mlx_tune" or module.startswith("mlx_tune.")


def _called_name(called: ast.expr, modules: set[str], names: dict[str, str]) -> str | None:
    if isinstance(called, ast.Name):
        return names.get(called.id)
    if isinstance(called, ast.Attribute):
        owner: ast.expr = called.value
        while isinstance(owner, ast.Attribute):
            owner = owner.value
        if isinstance(owner, ast.Name) and owner.id in modules:
            return called.attr
    return None
