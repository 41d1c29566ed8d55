"""The two corpora: R's manuals, which the model is to learn, and Python's documentation.

R's manuals come as one large HTML file each (Debian's `r-doc-html`). They are cut where their
makers cut them for separate pages, so that sections can be held out.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from cptstudio import demo
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.errors import UserError
from cptstudio.evaluation.habits.answering import answer_all
from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.loading import load_for_inference
from cptstudio.workspace import Workspace

DOMAIN = "r-manuals"
GENERAL = "python-documentation"
MANUALS = Path("/usr/share/R/doc/manual")
"""Where Debian's package puts them."""
INSTRUCT = "instruct"
HELD_OUT = BuildSettings(validation=0.05, test=0.1)
CONVERSATIONS = "own-answers"
_TOPICS = (
    "a bicycle", "a thunderstorm", "an elephant", "a violin", "a desert", "a pancake", "a bridge",
    "a refrigerator", "an orchestra", "a glacier", "a spider web", "a post office", "a lemon",
    "a submarine", "a candle", "a kangaroo", "a calendar", "a waterfall", "a sandwich",
    "a telescope", "a chess game", "a windmill", "a penguin", "a rainbow",
)  # fmt: skip
_FORMS = (
    "What is {}? Answer in one sentence.",
    "List three words that describe {}.",
    "Say something nice about {} in at most fifteen words.",
    "Is {} something that one can see? Answer briefly.",
    "Write a title for a story about {}.",
)
_SMALLEST = 400
_CUT = re.compile(r"<hr>\s*")


def sections(manuals: Path) -> Iterator[tuple[str, str]]:
    """Yield names and texts of the manuals' sections, as HTML."""
    for path in sorted(manuals.glob("R-*.html")):
        text = path.read_text(encoding="utf-8")
        for number, part in enumerate(_CUT.split(text)):
            yield f"{path.stem}-{number:03d}.html", f"<html><body>{part}</body></html>"


def make_corpora(
    workspace: Workspace, model: Path, manuals: Path, documents: int | None = None
) -> dict[str, Corpus]:
    """Return both corpora, built when they are not there.

    Raises:
        UserError: the manuals are not where they were looked for.
    """
    if not any(manuals.glob("R-*.html")):
        raise UserError(f"{manuals} holds no R-*.html. Install r-doc-html, or use --manuals.")
    for name, texts in ((GENERAL, demo.documentation()), (DOMAIN, sections(manuals))):
        if name in workspace.corpus_names():
            continue
        folder = workspace.make(workspace.root / "sources" / name)
        for file_name, text in islice(texts, documents):
            if len(text) >= _SMALLEST:
                (folder / file_name).write_text(text, encoding="utf-8")
        build_corpus(workspace.corpus(name), [folder], HELD_OUT, model)
    return {name: open_corpus(workspace.corpus(name)) for name in (GENERAL, DOMAIN)}


def questions() -> list[str]:
    """Return what the conversations ask; none of it is among the prompts of the measures."""
    return [form.format(topic) for topic in _TOPICS for form in _FORMS]


def make_conversations(workspace: Workspace, instruct: Path, max_tokens: int) -> str:
    """Return the name of a corpus of conversations in which the instruct model itself answers.

    No other conversations come with the machine, so what is fine-tuned on is the model's own
    former behavior; answers that did not stop are left out.
    """
    name = CONVERSATIONS
    if name in workspace.corpus_names():
        return name
    use_fast_blas(enabled=True)
    loaded = load_for_inference(instruct)
    tokenizer: Any = loaded.tokenizer
    asked = [[{"role": "user", "content": text}] for text in questions()]
    tokens = [tokenizer.apply_chat_template(one, add_generation_prompt=True) for one in asked]
    answers = answer_all(loaded, tokens, sorted(tokenizer.eos_token_ids), max_tokens)
    folder = workspace.make(workspace.root / "sources" / name)
    with (folder / "answers.jsonl").open("w", encoding="utf-8") as file:
        for messages, answer in zip(asked, answers, strict=True):
            text = str(tokenizer.decode(list(answer.tokens), skip_special_tokens=True)).strip()
            if answer.stopped and text:
                turns = [*messages, {"role": "assistant", "content": text}]
                file.write(json.dumps({"messages": turns}) + "\n")
    settings = BuildSettings(kind="conversations", validation=0.05, test=0)
    build_corpus(workspace.corpus(name), [folder], settings, instruct)
    return name


def place_model(workspace: Workspace, model: Path) -> Path:
    """Return the instruct model's folder in the workspace."""
    folder = workspace.base_model(INSTRUCT)
    if not folder.exists():
        shutil.copytree(model, folder)
    return folder
