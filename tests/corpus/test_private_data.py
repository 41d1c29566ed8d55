"""E-mail addresses, phone numbers and keys: what is one and what only looks like one; masks."""

from __future__ import annotations

import json
import random
import string
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cptstudio.cli import app
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.private_data import PrivateData, spans
from cptstudio.corpus.report import render
from cptstudio.errors import UserError
from tests.corpus.test_cases import KEEP_ALL

_CHOSEN = random.Random(1)


def key(length: int, letters: str = string.ascii_letters + string.digits) -> str:
    # Made here: a key that stands in a repository is taken for a leaked one.
    return "".join(_CHOSEN.choice(letters) for _ in range(length))


FOUND = [
    ("emails", "jane.doe+x@mail.example.co.uk"),
    ("emails", "müller@bücher.example"),
    *(("phones", one) for one in (
        "+49 30 901820", "+1 (415) 555-2671", "(415) 555-2671", "415-555-2671",
        "0044 20 7946 0958", "+33 1 23 45 67 89", "+1.415.555.2671",
    )),
    ("keys", "sk-proj-" + key(48)),
    ("keys", "ghp_" + key(36)),
    ("keys", "AKIA" + key(16, string.ascii_uppercase + string.digits)),
    ("keys", "hf_" + key(34)),
]  # fmt: skip
# What makes a number a phone number, or a word a key, is said before it.
NAMED = [
    ("phones", "Tel.: ", "030/901820-12"),
    ("phones", "\N{BLACK TELEPHONE} ", "089 123456"),
    ("keys", 'api_key = "', key(32)),
    ("keys", "Authorization: Bearer ", key(40)),
    ("keys", "export SECRET_TOKEN=", key(40)),
]
NOT = (
    "2024-01-01 12:00:00", "ISBN 978-3-16-148410-0", "version 1.2.3.4", "10.0.0.1:8080",
    "commit 3f786850e387550fdab836ed7e6dc881de23001b", "sk-" + 30 * "x", "@property", "user@host",
    "password = get_password_from_somewhere()", "token: the_token_that_is_used_here",
    "key = some_module.some_function_name", "2,345,678,901", "+12.5 +1000.2345", "1234567890",
    "123e4567-e89b-12d3-a456-426614174000", "Decimal('+35236450.6')", "Tel Aviv, 2019",
)  # fmt: skip


@pytest.mark.parametrize(("kind", "before", "text"), [(k, "", t) for k, t in FOUND] + NAMED)
def test_what_is_found(kind: str, before: str, text: str) -> None:
    line = f"See {before}{text}, or so."
    assert [(line[begin:end], found) for begin, end, found in spans(line)] == [(text, kind)]


@pytest.mark.parametrize("text", NOT)
def test_what_only_looks_like_it(text: str) -> None:
    assert spans(f"See {text}, or so.") == []


@pytest.mark.parametrize("size", [100, 4096, 1 << 20])
def test_masked_text_does_not_depend_on_its_parts(size: int) -> None:
    text = "a line\n" + "\n".join(f"to {one} and {two}" for (_, one), (_, two) in pairwise(FOUND))
    text += 30_000 * " word" + " jane@example.org" + 30_000 * " word"
    private = PrivateData(["emails", "keys"])
    masked = "".join(private.clean(text[at : at + size] for at in range(0, len(text), size)))
    whole = "".join(PrivateData(["emails", "keys"]).clean([text]))
    assert masked == whole
    assert masked.count("[EMAIL]") == private.counts["emails"] == 4
    assert masked.count("[KEY]") == private.counts["keys"] == 7
    assert "415-555-2671" in masked and "ghp_" not in masked


def test_a_build_counts_and_masks(tmp_path: Path) -> None:
    source = tmp_path / "list.jsonl"
    source.write_text('{"text": "To jane@example.org"}\n{"text": "Call +49 30 901820"}\n')
    counted = build_corpus(tmp_path / "c", [source], KEEP_ALL).corpus
    assert counted.manifest.report.private == {"emails": 1, "phones": 1, "keys": 0}
    assert "e-mail addresses: 1; phone numbers: 1" in render(counted)
    assert [one.private for one in counted.sources()] == [{"emails": 1, "phones": 1}]
    settings = KEEP_ALL.model_copy(update={"mask": ("emails",)})
    masked = build_corpus(tmp_path / "c", [source], settings).corpus
    texts = [masked.documents.text(number) for number in range(2)]
    assert texts == ["To [EMAIL]", "Call +49 30 901820"]
    assert masked.manifest.report.private == counted.manifest.report.private
    assert "--mask phones" in render(masked)


@pytest.mark.slow
def test_a_preview_of_one_file_in_the_terminal(tmp_path: Path) -> None:
    """`corpus preview`: any document of a file, what is masked or could be, what is left out."""
    file = tmp_path / "two.jsonl"
    file.write_text('{"text": "Write to jane@example.org."}\n{"text": "Call +49 221 1234567."}\n')
    run = partial(CliRunner().invoke, app, catch_exceptions=False)
    shown = run(["corpus", "preview", str(file), "--mask", "emails"]).stdout
    assert "two.jsonl, document 1" in shown and "jane@example.org[EMAIL]." in shown
    assert "26 characters, 17 after cleaning" in shown
    found = run(["corpus", "preview", str(file), "--document", "2", "--json"]).stdout
    pieces = [(one["kind"], one["found"]) for one in json.loads(found)["pieces"]]
    assert pieces == [("kept", None), ("found", "phones"), ("kept", None)]
    page = tmp_path / "page.html"
    page.write_text("<p hidden>Not seen.</p><p>Seen.</p>")
    assert "Note: 1 hidden passages left out" in run(["corpus", "preview", str(page)]).stdout
    with pytest.raises(UserError, match=r"two\.jsonl has no document 3"):
        run(["corpus", "preview", str(file), "--document", "3"])
    with pytest.raises(UserError, match="is not a file"):
        run(["corpus", "preview", str(tmp_path)])
