"""YAML from outside: what would take long, or means more than is written, is refused at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cptstudio.cli import app
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.yaml_text import DEPTH_LIMIT, SIZE_LIMIT, parse_yaml, read_yaml

HOSTILE = {
    "brackets": ("a: " + "[" * 10_000, "nested more than"),
    "closed brackets": ("a: " + "[" * 10_000 + "]" * 10_000, "nested more than"),
    "braces": ("{a: " * 10_000, "nested more than"),
    "dashes": ("- " * 10_000 + "x", "nested more than"),
    "indents": ("\n".join(" " * n + "a:" for n in range(400)), "nested more than"),
    "aliases": ("a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(9)), "alias"),
    "itself": ("&a [*a]", "alias"),
    "merges": ("a: &a {b: 1}\nc: {<<: *a}", "alias"),
    "a number in base 60": ("a: 1" + ":59" * 50_000, "a number of 150,001 characters"),
    "a number that says so": (f"a: !!int '{'9' * 5000}'", "a number of 5,000 characters"),
    "a long text": ("a: " + "x" * SIZE_LIMIT, "longer than"),
    "a name twice": ("model:\n  path: a\n  path: b", "line 3: path appears twice"),
    "a program": ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "a control character": ("a: \x00", "unacceptable character|control characters"),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.timeout(10)
def test_hostile_text_is_refused(kind: str, tmp_path: Path) -> None:
    text, reason = HOSTILE[kind]
    with pytest.raises(ValueError, match=reason):
        parse_yaml(text)
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(UnusableFileError, match=reason) as told:
        read_yaml(path)
    assert len(str(told.value)) < 500
    arguments = ["plan", "-w", str(tmp_path), "--config", str(path)]
    ended = CliRunner().invoke(app, arguments)
    assert isinstance(ended.exception, UserError), ended.output


def test_what_a_user_writes_is_read() -> None:
    nested: object = "x"
    for _ in range(DEPTH_LIMIT - 1):
        nested = {"a": nested}
    for value in (
        *(nested, None, {}, [], 1, -2.5, True, "1:2", {"a": {"path": "x"}, "b": {"path": "x"}}),
        *({"text": "word " * 1000}, {"a": 10**40}, "äöü 💥", {"a": "9" * 63}),
    ):
        assert parse_yaml(yaml.safe_dump(value)) == value


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="cannot be read: No such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(UnusableFileError, match="Is a directory"):
        read_yaml(tmp_path)
    with pytest.raises(UnusableFileError, match="longer than"):
        read_yaml(Path("/dev/zero"))
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4")
    with pytest.raises(UnusableFileError, match="not UTF-8"):
        read_yaml(tmp_path / "latin.yaml")


@pytest.mark.parametrize("text", ["010", "-017", "0x10", "0b101", "1:30", "10:30:00"])
def test_a_number_that_is_not_what_it_looks_like_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"line 2: YAML reads {text} as a number in base"):
        parse_yaml(f"a: 1\nseed: {text}\n")
    assert parse_yaml(f"seed: '{text}'\n") == {"seed": text}


def test_plain_numbers_are_read_as_they_look() -> None:
    read = parse_yaml("a: 10\nb: 0\nc: 0.001\nd: 1_000\ne: 2026-11-27x\nf: 08\n")
    assert read == {"a": 10, "b": 0, "c": 0.001, "d": 1000, "e": "2026-11-27x", "f": "08"}
