"""The rules of ARCHITECTURE.md for who imports whom, held against the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Set
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "cptstudio"

GROUND = {
    "child_answers",
    "child_guard",
    "child_limits",
    "child_usage",
    "child_process",
    "child_service",
    "durable",
    "errors",
    "job_programs",
    "json_lines",
    "light_imports",
    "memory_evidence",
    "metrics",
    "model_bounds",
    "optimizer_records",
    "prompt_suites",
    "retention",
    "run_files",
    "run_rows",
    "sampling",
    "setting_flags",
    "settings",
    "typed_numbers",
    "terminal",
    "validation",
    "weight_files",
    "workspace",
    "yaml_text",
}
MAY_USE = {
    **dict.fromkeys(GROUND, GROUND),
    "corpus": GROUND,
    "lm": GROUND,
    "runs": GROUND,
    "training": GROUND | {"corpus", "lm"},
    "testing": GROUND | {"corpus", "lm", "runs"},
    "models": GROUND | {"corpus", "lm", "runs"},
    "cli": GROUND | {"corpus", "lm", "runs", "training", "testing", "models", "demo", "web"},
    "web": GROUND | {"corpus", "lm", "runs", "training", "testing", "models", "demo"},
    "demo": GROUND | {"corpus", "lm", "training"},
    "__init__": set(),
}
MAY_IMPORT_MLX = {"lm", "training"}
PROGRAMS_THAT_IMPORT_MLX = {
    "testing/completion.py",
    "testing/evaluate.py",
    "testing/harness_program.py",
    "testing/merge.py",
    "testing/model_check_program.py",
    "testing/model_set.py",
}


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found.add(node.module)
            if node.module == "cptstudio":
                found.update(f"cptstudio.{alias.name}" for alias in node.names)
    return found


def source_files() -> list[Path]:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 10
    return files


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_uses_only_rooms_below_it(path: Path) -> None:
    room = room_of(path)
    allowed = MAY_USE[room] | {room, "__version__"}
    used = {name.split(".")[1] for name in imported_modules(path) if name.startswith("cptstudio.")}
    assert used <= allowed, f"{room} may not use {sorted(used - allowed)}"


def test_the_table_of_rooms_names_every_module_and_room() -> None:
    table = (PACKAGE.parent.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = {room_of(path) for path in source_files()} - {"__init__"}
    names = {f"{room}/" if (PACKAGE / room).is_dir() else f"{room}.py" for room in rooms}
    assert rooms == MAY_USE.keys() - {"__init__"}
    assert not [name for name in sorted(names) if f"`{name}`" not in table]


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_rooms_that_compute_import_mlx(path: Path) -> None:
    used = {name.split(".")[0] for name in imported_modules(path)} & {"mlx", "mlx_lm"}
    allowed = room_of(path) in MAY_IMPORT_MLX
    allowed |= str(path.relative_to(PACKAGE)) in PROGRAMS_THAT_IMPORT_MLX
    assert not used or allowed


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [
        "cptstudio.training.continued_pretraining",
        "cptstudio.testing.evaluate",
        "cptstudio.testing.merge",
        "cptstudio.testing.worker",
    ],
)
def test_programs_that_load_models_leave_pytorch_out(module: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", module, "--help"]
    completed = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    imported = {line.rpartition("|")[2].strip() for line in completed.stderr.splitlines()}
    assert "transformers" in imported
    assert "torch" not in imported


@pytest.mark.parametrize(
    "module",
    [
        "cptstudio.run_files",
        "cptstudio.cli",
        "cptstudio.training.planning",
        "cptstudio.corpus.build",
        "cptstudio.testing.bench",
        "cptstudio.cli.workspace_check",
    ],
)
def test_what_the_interface_uses_starts_without_mlx(module: str) -> None:
    code = f"import sys, {module}; sys.exit('mlx.core' in sys.modules or 'mlx_lm' in sys.modules)"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr or f"{module} imports mlx"


def test_no_files_import_each_other_in_a_circle() -> None:
    """Nor do they for types alone, or late inside a function."""
    modules = {_module(path): path for path in source_files()}
    arrows = {name: _arrows(path, modules.keys()) - {name} for name, path in modules.items()}
    TopologicalSorter(arrows).prepare()


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _arrows(path: Path, modules: Set[str]) -> set[str]:
    """The files that are meant by a file's imports: a module of a package, not the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else node.module or "" for name in inner}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules
