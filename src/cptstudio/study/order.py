"""An order of study texts: opened, so that it can be planned, written, checked and built."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cptstudio import durable
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.errors import UserError
from cptstudio.study import templates
from cptstudio.study.folder import ASKED, FORMAT, read_study
from cptstudio.study.settings import StudySettings
from cptstudio.study.strategies import chosen_strategies
from cptstudio.study.tasks import Passage, Task, TaskMaker, passages_of
from cptstudio.study.template_writer import TemplateWriter
from cptstudio.study.unknown import UnknownFacts
from cptstudio.workspace import Workspace, check_name, check_new_name
from cptstudio.writers.choice import WriterChoice
from cptstudio.writers.cost import Cost
from cptstudio.writers.made import MadeTexts
from cptstudio.writers.passages import CountTokens, estimated_tokens
from cptstudio.writers.writer import EndpointWriter, ModelWriter, Writer


@dataclass(frozen=True)
class StudyOrder:
    """What is to be made.

    Attributes:
        name: of the new corpus, and of the folder in which its texts are kept.
        corpus: name of the one that texts are made of.
    """

    workspace: Workspace
    name: str
    corpus: str
    settings: StudySettings
    writer: WriterChoice

    @property
    def folder(self) -> Path:
        """Where its texts are kept."""
        return self.workspace.study(self.name)

    def request(self, do: Literal["plan", "make"]) -> dict[str, Any]:
        """Return what `make_program` is asked with."""
        return {
            "do": do,
            "workspace": str(self.workspace.root),
            "name": self.name,
            "corpus": self.corpus,
            "settings": self.settings.model_dump(mode="json"),
            "writer": self.writer.model_dump(mode="json"),
        }

    def check(self) -> None:
        """Refuse what cannot be made, before anything is.

        Raises:
            UserError: names the field.
        """
        check_name(self.name, "corpus")
        if self.corpus not in self.workspace.corpus_names():
            raise UserError.at("corpus", f"There is no corpus {self.corpus!r} in this workspace.")
        source = open_corpus(self.workspace.corpus(self.corpus))
        if source.manifest.settings.kind != "documents":
            raise UserError.at(
                "corpus",
                f"{self.corpus!r} is a corpus of {source.manifest.settings.kind}. Choose one of "
                "documents.",
            )
        if (self.folder / ASKED).is_file():
            former = read_study(self.folder)["corpus"]
            if former != self.corpus:
                raise UserError.at(
                    "name",
                    f"The texts of {self.name!r} are made of the corpus {former!r}. Choose another "
                    "name.",
                )
        elif self.name in self.workspace.corpus_names():
            raise UserError.at(
                "name", f"There is already a corpus {self.name!r}. Choose another name."
            )
        check_new_name(self.workspace.corpus(self.name), "corpus")
        self._check_writer()

    def _check_writer(self) -> None:
        kind = self.writer.kind
        if kind == "templates":
            wrong = [name for name in self.settings.strategies if name not in templates.CAN]
            if wrong:
                raise UserError.at(
                    "strategies",
                    f"Templates cannot write {', '.join(wrong)}: that takes a model. They can "
                    f"write {', '.join(templates.CAN)}.",
                )
        self.writer.check(self.workspace)

    def cost(self) -> Cost:
        """Return a sum that is to be counted."""
        return self.writer.cost_in(self.workspace)

    def note(self) -> None:
        """Keep what is asked for, in the place of what was asked before."""
        asked = {
            "format": FORMAT,
            "corpus": self.corpus,
            "settings": self.settings.model_dump(mode="json"),
            "writer": self.writer.model_dump(mode="json"),
            "asked": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        durable.write_json(self.folder / ASKED, asked)


class OpenStudy:
    """An order with its corpus, its writer and what was written already.

    Attributes:
        made: every text that was written, of this order or of former ones.
        source: the corpus that texts are made of.
    """

    def __init__(self, order: StudyOrder, writer: Writer[Task], tokens: CountTokens) -> None:
        self.order = order
        self.settings = order.settings
        self.writer = writer
        self.tokens = tokens
        self.source: Corpus = open_corpus(order.workspace.corpus(order.corpus))
        self.made = MadeTexts(order.folder)
        by_rules = order.writer.kind == "templates"
        ledger, model = order.settings.unknown_ledger, order.settings.unknown_model
        self._aim = (ledger and model and UnknownFacts(order.workspace, ledger, model)) or None
        self.maker = TaskMaker(order.settings, writer.identity, by_rules=by_rules)

    def passages(self) -> Iterator[Passage]:
        """Yield the passages, each time anew."""
        return passages_of(self.source, self.settings, self.tokens, self._aim)

    def lists(self) -> Iterator[Task]:
        """Yield what is asked before the texts are known."""
        if any(one.kind == "pairs" for one in chosen_strategies(self.settings.strategies)):
            for passage in self.passages():
                yield from self.maker.lists(passage)

    def texts_of(self, passage: Passage) -> Iterator[Task]:
        """Yield the texts of a passage."""
        return self.maker.texts(passage, self._listed)

    def texts(self) -> Iterator[Task]:
        """Yield all texts, in their order in the corpus."""
        for passage in self.passages():
            yield from self.texts_of(passage)

    def _listed(self, task: Task) -> str | None:
        record = self.made.read(task.key)
        return None if record is None else str(record["text"])


@contextmanager
def opened(
    order: StudyOrder,
    told: Callable[[float, str], None] = lambda seconds, why: None,
    *,
    fast_blas: bool = True,
) -> Iterator[OpenStudy]:
    """Open an order.

    Args:
        told: called when an endpoint has to be waited for, with seconds and reason.

    Raises:
        UserError: it cannot be made.
    """
    order.check()
    kind = order.writer.kind
    tokens: CountTokens = estimated_tokens
    writer: Writer[Task]
    if kind == "templates":
        writer = TemplateWriter(order.settings.seed)
    elif kind == "model":
        reference = order.writer.reference_in(order.workspace)
        tokenizer = load_tokenizer(reference.model)
        tokens = lambda text: len(tokenizer.encode_batch([text])[0])  # noqa: E731
        writer = ModelWriter(reference, order.workspace, fast_blas=fast_blas)
    else:
        assert order.writer.model is not None
        parallel = order.settings.parallel
        endpoint = order.writer.endpoint_in(order.workspace)
        writer = EndpointWriter(endpoint, order.writer.model, parallel, told)
    try:
        study = OpenStudy(order, writer, tokens)
        try:
            yield study
        finally:
            study.made.close()
    finally:
        writer.close()
