"""The rules of ARCHITECTURE.md for who imports whom, held against the source."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Set
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "cptstudio"

ARCHITECTURE = PACKAGE.parent.parent / "ARCHITECTURE.md"
ROW = re.compile(r"^\| (`[^|]+`) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)


def rooms_below(heading: str, everything: set[str]) -> dict[str, set[str]]:
    """Which rooms each room may use, as the table under a heading of ARCHITECTURE.md says.

    Its last column lists rooms; "all below" are those of the rows below, "ground floor" are all
    whose own column says so, or "nothing".
    """
    section = ARCHITECTURE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1]
    rows = [
        ([name.strip("`/ ").removesuffix(".py") for name in names.split(",")], uses)
        for names, uses in ROW.findall(section.split("\n## ")[0])
    ]
    ground = {name for names, uses in rows if uses in ("ground floor", "nothing") for name in names}
    may_use = {}
    for at, (names, uses) in enumerate(rows):
        below = {name for names, _ in rows[at + 1 :] for name in names}
        allowed: set[str] = set()
        for part in uses.replace("`", "").replace("/", "").split(", "):
            if part.startswith("all below"):
                allowed |= below - {part.partition(" but ")[2]}
            elif part == "ground floor":
                allowed |= ground
            elif part != "nothing":
                allowed.add(part.removesuffix(".py"))
        may_use.update(dict.fromkeys(names, allowed))
    assert may_use.keys() == everything
    return may_use


MAY_IMPORT_MLX = {"lm", "training"}
PROGRAMS_THAT_IMPORT_MLX = {
    "evaluation/chat_program.py",
    "evaluation/completion.py",
    "evaluation/evaluate.py",
    "evaluation/habits/answering.py",
    "evaluation/harness_program.py",
    "evaluation/merge.py",
    "evaluation/merged_points.py",
    "evaluation/model_check_program.py",
    "evaluation/model_set.py",
    "exports/mlx_answers.py",
    "exports/reference_making.py",
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


def check_rooms(heading: str, root: Path) -> None:
    files = [path for path in sorted(root.rglob("*.py")) if path != root / "__init__.py"]
    rooms = {path: path.relative_to(root).parts[0].removesuffix(".py") for path in files}
    may_use = rooms_below(heading, set(rooms.values()))
    prefix = _module(root / "__init__.py") + "."
    modules = {_module(path) for path in files}
    wrong = []
    for path, room in rooms.items():
        arrows = {name for name in _arrows(path, modules) if name.startswith(prefix)}
        used = {name.removeprefix(prefix).split(".")[0] for name in arrows} - {room}
        wrong += [f"{path.relative_to(root)}: {name}" for name in sorted(used - may_use[room])]
    assert not wrong


def test_a_room_uses_only_rooms_below_it() -> None:
    check_rooms("The house", PACKAGE)


def test_a_room_of_the_web_interface_uses_only_rooms_below_it() -> None:
    check_rooms("The rooms of `web/`", PACKAGE / "web")


def test_the_web_interface_has_few_rooms_and_few_files_beside_them() -> None:
    entries = [path for path in (PACKAGE / "web").iterdir() if not path.name.startswith("__")]
    assert len([path for path in entries if path.is_dir()]) <= 13
    assert len([path for path in entries if path.suffix == ".py"]) <= 8


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_rooms_that_compute_import_mlx(path: Path) -> None:
    used = {name.split(".")[0] for name in imported_modules(path)} & {"mlx", "mlx_lm"}
    allowed = room_of(path) in MAY_IMPORT_MLX
    allowed |= str(path.relative_to(PACKAGE)) in PROGRAMS_THAT_IMPORT_MLX
    assert not used or allowed


def test_the_name_of_a_program_stands_in_one_place() -> None:
    modules = {
        ".".join(("cptstudio", *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in source_files()
    }
    named = Counter(
        node.value
        for path in source_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in modules
    )
    assert len(named) > 10
    assert [name for name, times in named.items() if times > 1] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [
        "cptstudio.training.continued_pretraining",
        "cptstudio.evaluation.evaluate",
        "cptstudio.evaluation.merge",
        "cptstudio.evaluation.worker",
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
        "cptstudio.evaluation.inference",
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
