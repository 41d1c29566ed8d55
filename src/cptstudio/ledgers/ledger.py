"""A ledger: facts that models are asked and never trained on.

    <workspace>/facts/<name>/
        ledger.json     {"format": 1, "name", "created"}
        facts.jsonl     a line for each fact, see `fact`; {"removed": id} for one taken out again

Lines are appended whole, so a writer that is killed leaves at most a torn last line, which is
reported and never read as a fact. All else that a line holds must be a fact: a ledger with a line
that is none is refused with the line, since a question lost unnoticed makes another measurement.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.json_lines import JsonLinesWriter, read_json_lines
from cptstudio.ledgers.fact import Fact, FactText, Made, fact_of, stored
from cptstudio.run_files import LedgerRecord
from cptstudio.validation import findings_of
from cptstudio.workspace import Workspace, check_name, check_new_name, folder_names

FORMAT: Final = 1
FACTS: Final = "facts.jsonl"
MOST_FACTS: Final = 20_000
_HEAD: Final = "ledger.json"
_LARGEST = 256 * durable.MEBIBYTE
_SHOWN = 10


@dataclass(frozen=True)
class Ledger:
    """A ledger as it was read.

    Attributes:
        name: of its folder.
        folder: where it lies.
        created: Unix seconds.
        facts: in the order they were added, without those that were removed.
        problems: sentences about torn lines.
    """

    name: str
    folder: Path
    created: float
    facts: tuple[Fact, ...]
    problems: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Changes when a fact is added or removed."""
        return fingerprint_of(self.facts)

    def fact(self, number: str) -> Fact:
        """Return a fact by its id.

        Raises:
            UserError: there is none.
        """
        for one in self.facts:
            if one.id == number:
                return one
        raise UserError(f"The ledger {self.name!r} has no fact {number!r}.")


def fingerprint_of(facts: Iterable[Fact]) -> str:
    """SHA-256 of facts, by their ids and their order."""
    return hashlib.sha256("\n".join(fact.id for fact in facts).encode()).hexdigest()


def record_of(ledger: Ledger) -> LedgerRecord:
    """Return what a run keeps of a ledger."""
    return LedgerRecord(
        name=ledger.name,
        path=str(ledger.folder),
        fingerprint=ledger.fingerprint,
        facts=len(ledger.facts),
    )


def ledger_names(workspace: Workspace) -> list[str]:
    """Return the names of the ledgers that are there, sorted."""
    return folder_names(workspace.facts)


def ledger_folder(workspace: Workspace, name: str) -> Path:
    """Return the folder of a ledger."""
    return workspace.facts / check_name(name, "ledger")


def read_ledger(workspace: Workspace, name: str) -> Ledger:
    """Return a ledger by its name.

    Raises:
        UserError: there is none, or one of its files cannot be used; says which line.
    """
    folder = ledger_folder(workspace, name)
    try:
        return open_ledger(folder)
    except FileNotFoundError:
        there = ", ".join(ledger_names(workspace)) or "none yet"
        raise UserError(f"There is no ledger {name!r}. Existing ledgers: {there}.") from None


def open_ledger(folder: Path) -> Ledger:
    """Return the ledger in a folder.

    Raises:
        FileNotFoundError: there is none.
        UserError: one of its files cannot be used; says which line.
    """
    head = durable.read_json(folder / _HEAD)
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        found = head.get("format") if isinstance(head, dict) else None
        raise UserError(
            f"{folder / _HEAD} has ledger format {found!r}, but this version reads {FORMAT}."
        )
    created = head.get("created")
    if isinstance(created, bool) or not isinstance(created, int | float) or not created >= 0:
        raise UserError(f"{folder / _HEAD}: “created” must be a time in seconds.")
    path = folder / FACTS
    try:
        if path.stat().st_size > _LARGEST:
            raise UnusableFileError(path, f"is larger than {_LARGEST:,} bytes")
    except FileNotFoundError:
        pass
    lines = read_json_lines(path)
    damaged = tuple(f"{path}, line {number}: {why}" for number, why in lines.damaged)
    # Line numbers of whole lines, so that a message names the right one.
    skipped = {number for number, _ in lines.damaged}
    numbers = [
        number
        for number in range(1, len(lines.records) + len(skipped) + 1)
        if number not in skipped
    ]
    facts: dict[str, Fact] = {}
    problems: list[str] = []
    for number, record in zip(numbers, lines.records, strict=True):
        if "removed" in record:
            facts.pop(str(record["removed"]), None)
            continue
        problem = _fact_into(facts, record)
        if problem:
            problems.append(f"line {number}: {problem}")
    if problems:
        raise UserError(f"{path} is damaged:", _first(problems))
    return Ledger(folder.name, folder, float(created), tuple(facts.values()), damaged)


def _fact_into(facts: dict[str, Fact], record: dict[str, Any]) -> str | None:
    """Read a line as a fact; returns what is wrong with it."""
    try:
        # As JSON, which knows no tuples, so that nothing else is taken for something it is not.
        fact = Fact.model_validate_json(durable.dump_json(record))
        if fact_of(fact, fact.made).id != fact.id:
            return f"its content has changed since {fact.id} was added"
    except ValidationError as error:
        return _said(error, Fact)
    facts.setdefault(fact.id, fact)
    return None


def add_facts(workspace: Workspace, name: str, facts: Sequence[Fact]) -> int:
    """Append facts to a ledger, which is made where there is none; returns how many were new.

    Raises:
        UserError: the ledger cannot be used, or would be too large.
    """
    folder = ledger_folder(workspace, name)
    try:
        there = {fact.id for fact in open_ledger(folder).facts}
    except FileNotFoundError:
        check_new_name(folder, "ledger")
        there = set()
        workspace.make(folder)
        head = {"format": FORMAT, "name": name, "created": time.time()}
        durable.write_json(folder / _HEAD, head)
    new = list({fact.id: fact for fact in facts if fact.id not in there}.values())
    if len(there) + len(new) > MOST_FACTS:
        raise UserError(f"A ledger holds at most {MOST_FACTS:,} facts. Use a second one.")
    _append(folder, [stored(fact) for fact in new])
    return len(new)


def remove_facts(workspace: Workspace, name: str, numbers: Sequence[str]) -> None:
    """Take facts out of a ledger by their ids.

    Raises:
        UserError: there is no such ledger or fact; then nothing is taken out.
    """
    ledger = read_ledger(workspace, name)
    for number in numbers:
        ledger.fact(number)
    _append(ledger.folder, [{"removed": number} for number in dict.fromkeys(numbers)])


def _append(folder: Path, lines: Iterable[dict[str, Any]]) -> None:
    writer = JsonLinesWriter(folder / FACTS)
    try:
        for line in lines:
            writer.append(line)
        writer.flush_to_disk()
    finally:
        writer.close()


def read_fact_lines(text: str, name: str) -> list[Fact]:
    """Return the facts of a file of JSON lines that a user wrote.

    Args:
        name: what messages call the file.

    Raises:
        UserError: with the line and the field of everything that is wrong; nothing is taken then.
    """
    facts: list[Fact] = []
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = durable.parse_json(line)
            if not isinstance(value, dict):
                raise ValueError("not a JSON object")
            for name, part in value.items():
                if any("\ud800" <= char <= "\udfff" for char in str(part)):
                    raise ValueError(f"“{name}”: text that is no Unicode (a lone surrogate)")
            # What `facts show --json` printed can be added again.
            value.pop("id", None)
            made = Made.model_validate_json(durable.dump_json(value.pop("made", {})))
            given = FactText.model_validate_json(durable.dump_json(value))
        except ValidationError as error:
            problems.append(f"line {number}: {_said(error, FactText)}")
        except ValueError as error:
            problems.append(f"line {number}: {error}")
        else:
            facts.append(fact_of(given, made))
    if problems:
        raise UserError(f"{name} is not a valid file of facts:", _first(problems))
    if not facts:
        raise UserError(f"{name} contains no facts.")
    return facts


def _said(error: ValidationError, model: type[FactText]) -> str:
    found = findings_of(error, model)
    return "; ".join(f"“{one.field}”: {one.sentence}" if one.field else str(one) for one in found)


def _first(problems: list[str]) -> list[str]:
    hidden = len(problems) - _SHOWN
    return [*problems[:_SHOWN], *([f"and {hidden:,} more lines"] if hidden > 0 else [])]
