"""The demo workspace: a small base model and two corpora that every machine has.

The general corpus is the documentation that comes with Python (docstrings and the topics of
its help system), the domain corpus its library's source code without those docstrings, so
that the two share no text and forgetting one while learning the other can be seen. The base
model was trained on the general corpus alone, by scripts/make_demo_model.py.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import inspect
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from cptstudio import durable, job_programs
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.build_program import progress_to
from cptstudio.corpus.build_progress import ProgressCallback
from cptstudio.corpus.corpus import Corpus, has_corpus, open_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.errors import UserError
from cptstudio.job_programs import Answer
from cptstudio.light_imports import leave_out_torch
from cptstudio.lm.description import describe_model
from cptstudio.workspace import Workspace

MODEL_NAME = "demo-base"
HELD_OUT = 0.03
DOMAIN = "python-source"
GENERAL = "python-documentation"
_NOT_LIBRARY = {"site-packages", "test", "tests", "idle_test", "__pycache__", "turtledemo"}
_SMALLEST_DOCUMENT = 200


def library_files() -> list[Path]:
    """Return the standard library's Python files, tests left out, in a fixed order."""
    root = Path(sysconfig.get_path("stdlib"))
    return [
        path
        for path in sorted(root.rglob("*.py"))
        if not _NOT_LIBRARY & set(path.relative_to(root).parts)
    ]


def _modules() -> Iterator[tuple[Path, str, ast.Module]]:
    """Each file that can be parsed, relative to the library, with its text and its syntax."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in library_files():
        if "pydoc_data" not in path.parts:
            with contextlib.suppress(OSError, SyntaxError, ValueError):
                text = path.read_text(encoding="utf-8")
                yield path.relative_to(root), text, ast.parse(text)


def _docstring_nodes(tree: ast.Module) -> Iterator[ast.Expr]:
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if node.body and isinstance(first := node.body[0], ast.Expr):
            value = first.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield first


def documentation() -> Iterator[tuple[str, str]]:
    """Yield the names and texts of the general corpus's documents."""
    for path, _, tree in _modules():
        found = (ast.literal_eval(node.value) for node in _docstring_nodes(tree))
        name = "-".join(path.with_suffix("").parts)
        yield f"module-{name}.txt", "\n\n".join(map(inspect.cleandoc, found))
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    for topic, text in sorted(topics.items()):
        yield f"topic-{topic}.txt", text
    for name in sorted(sys.builtin_module_names):
        members = vars(importlib.import_module(name)).values()
        yield f"builtin-{name}.txt", "\n\n".join(_members_documentation(members))
    kinds = (value for value in vars(builtins).values() if isinstance(value, type))
    for kind in sorted(kinds, key=lambda kind: kind.__name__):
        if not issubclass(kind, BaseException):
            texts = _members_documentation(vars(kind).values())
            yield f"type-{kind.__name__}.txt", "\n\n".join([inspect.getdoc(kind) or "", *texts])


def _members_documentation(members: object) -> list[str]:
    assert hasattr(members, "__iter__")
    texts = [inspect.getdoc(member) or "" for member in members]
    return [text for text in dict.fromkeys(texts) if text]


def source_code() -> Iterator[tuple[str, str]]:
    """Yield the names and texts of the domain corpus's documents: source without its docstrings."""
    for path, text, tree in _modules():
        yield "-".join(path.parts), _without_docstrings(text, tree)


def _without_docstrings(text: str, tree: ast.Module) -> str:
    """Source without its docstrings; where one was a whole body, `pass` stands instead."""
    alone = {
        id(node.body[0])
        for node in ast.walk(tree)
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and len(node.body) == 1
    }
    lines: list[str | None] = list(text.splitlines(keepends=True))
    for node in _docstring_nodes(tree):
        assert node.end_lineno is not None
        lines[node.lineno - 1 : node.end_lineno] = [None] * (node.end_lineno - node.lineno + 1)
        if id(node) in alone:
            lines[node.lineno - 1] = " " * node.col_offset + "pass\n"
    return "".join(line for line in lines if line is not None)


def write_sources(workspace: Workspace) -> dict[str, Path]:
    """Write both corpora's documents as files under sources/; returns a folder for each.

    Documents of fewer than 200 characters are left out.
    """
    folders = {}
    for name, documents in ((GENERAL, documentation()), (DOMAIN, source_code())):
        folder = workspace.root / "sources" / name
        staged = durable.staging_path(folder)
        workspace.make(folder.parent)
        staged.mkdir()
        for file_name, text in documents:
            if len(text) >= _SMALLEST_DOCUMENT:
                (staged / file_name).write_text(text, encoding="utf-8")
        durable.commit_directory(staged, folder)
        folders[name] = folder
    return folders


def install_model(workspace: Workspace) -> Path:
    """Copy the demo's base model into the workspace; returns its folder."""
    target = workspace.base_model(MODEL_NAME)
    if target.exists():
        return target
    packaged = resources.files("cptstudio") / "data" / MODEL_NAME
    workspace.make(target.parent)
    staged = durable.staging_path(target)
    with resources.as_file(packaged) as folder:
        if not (folder / "config.json").is_file():
            raise UserError(
                f"The demo's base model is missing from this installation ({folder}). "
                "Reinstall CPT Studio, or build the model with "
                "scripts/make_demo_model.py."
            )
        shutil.copytree(folder, staged)
    durable.commit_directory(staged, target)
    return target


def make(workspace: Workspace, progress: ProgressCallback | None = None) -> Iterator[str]:
    """Make what is missing of the demo workspace; yields a sentence for each part.

    Args:
        workspace: where; its folder is created.
        progress: told how the building of the corpora goes.
    """
    model = install_model(workspace)
    yield f"base model {MODEL_NAME}: {describe_model(model).parameters / 1e6:.1f}M parameters"
    # A folder without a manifest is what a build that was killed has left.
    missing = [name for name in (GENERAL, DOMAIN) if not has_corpus(workspace.corpus(name))]
    sources = write_sources(workspace) if missing else {}
    for name in (GENERAL, DOMAIN):
        corpus = workspace.corpus(name)
        if name in missing:
            build_corpus(corpus, [sources[name]], build_settings(), model, progress)
        yield _summary(open_corpus(corpus))


def work(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Make what is missing as a job: {"workspace": FOLDER}; the result names what is there."""
    leave_out_torch()
    answer.progress(phase="preparing")
    for _ in make(Workspace(request["workspace"]), progress_to(answer)):
        pass
    return {"model": MODEL_NAME, "domain": DOMAIN, "general": GENERAL}


def build_settings() -> BuildSettings:
    """Return how the demo's corpora are built: more is held out of these small ones than usual."""
    return BuildSettings(validation=HELD_OUT, test=HELD_OUT)


def _summary(corpus: Corpus) -> str:
    report = corpus.manifest.report
    trained, held_out = report.documents["train"], report.documents["validation"]
    size = report.text_bytes["train"] / 1e6
    return (
        f"corpus {corpus.name}: {trained:,} documents, {size:.1f} MB to train on, "
        f"{held_out:,} in the validation split"
    )


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
