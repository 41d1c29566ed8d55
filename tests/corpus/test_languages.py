"""Which languages a corpus is written in, on short texts written for this."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from cptstudio.corpus import languages
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.languages import CODE, OTHER, UNKNOWN, LanguageIdentifier, is_code
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.report import describe, render

TEXTS = {
    "English": "The library on the corner opens at nine, and the children wait in the rain.",
    "German": "Die Bücherei an der Ecke öffnet um neun, und die Kinder warten im Regen.",
    "French": "La bibliothèque du coin ouvre à neuf heures et les enfants attendent dehors.",
    "Spanish": "La biblioteca de la esquina abre a las nueve y los niños esperan afuera.",
    "Russian": "Библиотека на углу открывается в девять, и дети ждут снаружи под дождём.",
    "Japanese": "角の図書館は九時に開き、子どもたちは雨の中で本を持って待っています。",
    "Chinese": "拐角处的图书馆九点开门。孩子们拿着书在雨中等候。",
    "Arabic": "تفتح المكتبة التي في الزاوية أبوابها في التاسعة وينتظر الأطفال في المطر.",
    "Polish": "Biblioteka na rogu otwiera się o dziewiątej, a dzieci czekają na deszczu.",
}


@pytest.fixture(scope="module")
def identifier() -> LanguageIdentifier:
    return LanguageIdentifier()


@pytest.mark.parametrize("name", TEXTS)
def test_a_sentence_tells_its_language(identifier: LanguageIdentifier, name: str) -> None:
    assert identifier.language(TEXTS[name]) == name


@pytest.mark.parametrize("text", ["", "ok", "foo bar baz qux", "12 + 30 = 42", "TODO: abc, xyz"])
def test_a_text_that_tells_little_is_unknown(identifier: LanguageIdentifier, text: str) -> None:
    assert identifier.language(text) == UNKNOWN


def test_what_is_no_language_is_named_so(identifier: LanguageIdentifier) -> None:
    letters = random.Random(0)
    words = ("".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(100))
    assert identifier.language(" ".join(words)) == OTHER


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("src/main.py", True),
        ("src/Main.PY.gz", True),
        ("release.zip!lib/queue.c", True),
        ("Makefile", True),
        ("notes.md", False),
        ("src.py/readme", False),
        ("crawl.jsonl.zst", False),
    ],
)
def test_source_code_is_told_by_the_name(label: str, expected: bool) -> None:
    assert is_code(label) is expected


def write_texts(folder: Path, name: str, count: int, repeat: int = 1) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        text = f"{number}. {TEXTS[name]}\n" * repeat
        (folder / f"{name}-{number}.txt").write_text(text, encoding="utf-8")


KEEP_ALL = BuildSettings(near_dedup=False, validation=0.0, test=0.0)


def test_shares_count_documents_and_bytes(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    write_texts(sources, "English", 5)
    write_texts(sources, "German", 2, repeat=4)
    (sources / "tool.py").write_text("# The library opens at nine.\nprint('open')\n")
    corpus = build_corpus(tmp_path / "c", [sources], KEEP_ALL).corpus
    shares = corpus.manifest.report.languages
    assert shares is not None
    assert shares.examined == 7
    assert shares.documents == pytest.approx({"English": 5 / 8, "German": 2 / 8, CODE: 1 / 8})
    sizes = {"English": 0, "German": 0, CODE: 0}
    for path in sources.iterdir():
        name = CODE if path.suffix == ".py" else path.name.partition("-")[0]
        sizes[name] += path.stat().st_size
    total = sum(sizes.values())
    assert shares.text_bytes == pytest.approx({name: n / total for name, n in sizes.items()})
    assert next(iter(shares.text_bytes)) == "German"
    assert "  German                                           25.0% of documents" in render(corpus)
    assert json.loads(json.dumps(describe(corpus)))["report"]["languages"]["examined"] == 7


def test_of_many_documents_the_longest_and_a_fair_sample_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(languages, "LONGEST", 10)
    monkeypatch.setattr(languages, "SAMPLED", 90)
    sources = tmp_path / "sources"
    write_texts(sources, "English", 300)
    write_texts(sources, "French", 100)
    write_texts(sources, "Russian", 2, repeat=500)
    settings = KEEP_ALL.model_copy(update={"exact_dedup": False})
    shares = build_corpus(tmp_path / "c", [sources], settings).corpus.manifest.report.languages
    assert shares is not None
    assert shares.examined == 100
    assert shares.documents["French"] == pytest.approx(100 / 402, abs=0.12)
    size = sum(path.stat().st_size for path in sources.iterdir())
    russian = sum(path.stat().st_size for path in sources.glob("Russian*"))
    assert shares.text_bytes["Russian"] == pytest.approx(russian / size)
    assert sum(shares.documents.values()) == pytest.approx(1)
    other_place = tmp_path / "elsewhere"
    sources.rename(other_place)
    again = build_corpus(tmp_path / "d", [other_place], settings).corpus.manifest.report.languages
    assert again == shares


def test_dropped_documents_count_for_nothing(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    write_texts(sources, "English", 3)
    for number in range(6):
        (sources / f"copy-{number}.txt").write_text(TEXTS["Polish"], encoding="utf-8")
    shares = build_corpus(tmp_path / "c", [sources], KEEP_ALL).corpus.manifest.report.languages
    assert shares is not None
    assert shares.documents == pytest.approx({"English": 3 / 4, "Polish": 1 / 4})


def test_a_long_document_is_judged_by_its_beginning(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    # Characters of several bytes, cut at no matter which byte.
    text = "é" + TEXTS["Japanese"] * 40 + TEXTS["English"] * 1000
    (sources / "mixed.txt").write_text(text, encoding="utf-8")
    shares = build_corpus(tmp_path / "c", [sources], KEEP_ALL).corpus.manifest.report.languages
    assert shares is not None
    assert shares.text_bytes == {"Japanese": 1.0}


def test_a_manifest_from_before_is_read_and_shown(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    write_texts(sources, "English", 3)
    build_corpus(tmp_path / "c", [sources], KEEP_ALL)
    path = tmp_path / "c" / "manifest.json"
    content = json.loads(path.read_text())
    del content["report"]["languages"]
    path.write_text(json.dumps(content))
    former = open_corpus(tmp_path / "c")
    assert former.manifest.report.languages is None
    assert "Languages" not in render(former)
    assert "Writing systems: Latin" in render(former)


def test_the_identifier_is_loaded_only_by_a_build() -> None:
    code = (
        "import sys, cptstudio.cli, cptstudio.corpus.build, cptstudio.corpus.report;"
        "sys.exit('py3langid' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
