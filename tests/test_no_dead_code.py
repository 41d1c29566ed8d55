"""Everything in src is used by something in src: what only tests call, or nothing, goes.

Names of modules are followed through imports. Methods are known by their names alone, so one that
shares its name with another that is used is not found.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"

ALLOWED = {
    "blueprint": "web/api mounts every module that has one",
    "make": "runs/on_run_end uses every module, each by its make",
    "ORDERS": "web/api/jobs.py makes a route of each order of every module of work",
    "logger": "a library's own logger, which its users may configure",
    "_Bounded.readable": "of io.RawIOBase",
    "_Bounded.readinto": "of io.RawIOBase",
    "RangeReader.readable": "of io.RawIOBase",
    "RangeReader.readinto": "of io.RawIOBase",
    "LlamaServer.distribution": "benchmarks/gguf_architectures asks for whole distributions",
    "Body.readlines": "of WSGI's input",
    "_StandardLog.setup": "gunicorn calls it",
    "_StandardLog.reopen_files": "gunicorn calls it",
    "_StandardLog.close_on_exec": "gunicorn calls it",
    "_Worker.handle_exit": "gunicorn calls it",
    "_Master.init_signals": "gunicorn calls it",
    "_Master.handle_hup": "gunicorn calls it",
    "Server.load_config": "gunicorn calls it",
    "PatientWorker.accept": "gunicorn calls it",
    "PatientWorker.murder_pending": "gunicorn calls it",
    "_FollowingFile.reopenIfNeeded": "of logging.handlers.WatchedFileHandler",
    "Exchange.handle_one_request": "of http.server, as are the next ones",
    "Exchange.log_message": "",
    "Exchange.send_error": "",
    "Front.handle_error": "of socketserver, as are the next ones",
    "Front.process_request": "",
    "Front.server_bind": "",
    "Front.process_request_thread": "",
    "GuardedSocketIO._handle_event": "Flask-SocketIO calls it",
}
PLAIN_DECORATORS = {
    "abstractmethod", "cache", "cached_property", "classmethod", "contextmanager", "dataclass",
    "lru_cache", "overload", "override", "property", "pydantic_dataclass", "setter", "staticmethod",
    "runtime_checkable", "total_ordering",
}  # fmt: skip
"""Others hand what they decorate to somebody who calls it, as routes and validators do."""

_NAME = re.compile(r"[\w.:]{1,100}")


@dataclass(eq=False)
class Piece:
    """A function, class, method or constant, or code that just runs; and what it refers to."""

    module: str
    name: str | None
    rooted: bool = False
    names: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    imported: set[tuple[str, str]] = field(default_factory=set)
    of_class: set[str] = field(default_factory=set)

    def look_at(self, tree: ast.AST) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                if isinstance(node.ctx, ast.Load):
                    self.names.add(node.id)
            elif isinstance(node, ast.Attribute):
                self.attributes.add(node.attr)
            elif isinstance(node, ast.ImportFrom):
                self.imported.update((node.module or "", alias.name) for alias in node.names)
            elif isinstance(node, ast.Import):
                self.imported.update((alias.name, "") for alias in node.names)
            elif isinstance(node, ast.Constant) and _NAME.fullmatch(str(node.value)):
                *module, name = re.split("[.:]", str(node.value))
                self.attributes.update((*module, name))
                # A module beside this one, and what of it is loaded when it is used.
                self.imported.add((".".join((*self.module.split(".")[:-1], *module)), name))


def _hands_over(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name not in PLAIN_DECORATORS:
            return True
    return False


def pieces_of(module: str, path: Path) -> Iterator[Piece]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    running = Piece(module, None)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, functions):
            piece = Piece(module, node.name, _hands_over(node))
            piece.look_at(node)
            yield piece
        elif isinstance(node, ast.ClassDef):
            whole = Piece(module, node.name, _hands_over(node))
            for inner in ast.iter_child_nodes(node):
                if isinstance(inner, functions) and not inner.name.startswith("__"):
                    piece = Piece(module, f"{node.name}.{inner.name}", _hands_over(inner))
                    piece.look_at(inner)
                    yield piece
                else:
                    whole.look_at(inner)
            whole.of_class = whole.names
            yield whole
        else:
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            named = [target.id for target in targets if isinstance(target, ast.Name)]
            piece = Piece(module, named[0]) if named else running
            piece.look_at(node)
            if named:
                yield piece
    yield running


@cache
def all_pieces() -> list[Piece]:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        found += pieces_of(module, path)
    users = [ROOT / "start_web_interface.py", *sorted((ROOT / "examples").glob("*.py"))]
    for path in users:
        found += [Piece("", None, True, *_references(piece)) for piece in pieces_of("", path)]
    entries = Piece("", None)
    for module, name in re.findall(
        r'"(cptstudio[\w.]*):(\w+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ):
        entries.imported.add((module, name))
    return [*found, entries]


def _references(piece: Piece) -> tuple[set[str], set[str], set[tuple[str, str]]]:
    return piece.names, piece.attributes, piece.imported


class References:
    """All that the living pieces refer to."""

    def __init__(self, living: list[Piece]) -> None:
        self.names = Counter((piece.module, name) for piece in living for name in piece.names)
        self.attributes = Counter(name for piece in living for name in piece.attributes)
        self.imported = {pair for piece in living for pair in piece.imported}
        self.modules = {module for module, _ in self.imported}
        self.modules |= {f"{module}.{name}" for module, name in self.imported}
        self.of_classes = {(piece.module, name) for piece in living for name in piece.of_class}

    def keep(self, piece: Piece) -> bool:
        if piece.name is None or piece.rooted or piece.name in ALLOWED:
            return True
        name = piece.name.rpartition(".")[2]
        by_attribute = self.attributes[name] > (name in piece.attributes)
        if "." in piece.name:
            return by_attribute or (piece.module, name) in self.of_classes
        return (
            self.names[piece.module, name] > (name in piece.names)
            or (piece.module, name) in self.imported
            or (piece.module in self.modules and by_attribute)
        )


def dead(pieces: list[Piece]) -> set[str]:
    """What nothing that lives refers to; what only the dead refer to is dead as well."""
    living = pieces
    while True:
        references = References(living)
        kept = [piece for piece in living if references.keep(piece)]
        if len(kept) == len(living):
            return {f"{piece.module}.{piece.name}" for piece in pieces if piece not in kept}
        living = kept


def test_nothing_is_there_for_tests_alone() -> None:
    assert dead(all_pieces()) == set()


def test_what_is_allowed_is_there() -> None:
    names = {piece.name for piece in all_pieces()}
    assert not ALLOWED.keys() - names
