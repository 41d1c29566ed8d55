"""Makes study texts: writes what is missing, checks all, and builds the corpus of what is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final

from cptstudio import durable
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.build_progress import ProgressCallback
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.sources import Source as CorpusSource
from cptstudio.errors import UserError
from cptstudio.job_programs import TellsProgress
from cptstudio.study.checks import Checked, Checker
from cptstudio.study.folder import REPORT, TEXTS
from cptstudio.study.ledgers import AskedWordings
from cptstudio.study.order import OpenStudy, StudyOrder, opened
from cptstudio.study.tasks import Passage, Task
from cptstudio.study.words import look
from cptstudio.writers.made import only_writer
from cptstudio.writers.writing import Writing

_EXAMPLES: Final = 5
_SHOWN: Final = 600


@dataclass
class StrategyReport:
    """What became of one strategy's texts.

    Attributes:
        written: texts that there are.
        kept: of them, those in the corpus before near-duplicates are removed.
        dropped: the others by reason.
        flags: of the kept ones, how many have what.
        had: names and numbers of the passages that kept texts have.
        named: names and numbers of the passages.
        own: texts that have names or numbers of their own, kept or dropped.
    """

    written: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    had: int = 0
    named: int = 0
    own: int = 0

    def told(self) -> dict[str, Any]:
        """Return it for a report."""
        return {
            "written": self.written,
            "kept": self.kept,
            "dropped": dict(self.dropped.most_common()),
            "flags": dict(self.flags.most_common()),
            "kept_names_and_numbers": self.had / self.named if self.named else None,
            "own_names_or_numbers": self.own,
        }


def make_study(
    order: StudyOrder,
    answer: TellsProgress,
    tell: ProgressCallback,
    *,
    most: int | None = None,
    model: str | None = None,
    fast_blas: bool = True,
) -> dict[str, Any]:
    """Make the study texts of an order; see the module.

    What was written is kept, however this ends: the same order goes on with the next text.

    Args:
        answer: told how the writing goes.
        tell: told how the build goes.
        most: texts to write now, to look at them: no corpus is built then.
        model: folder of the model whose tokenizer makes the corpus's tokens.

    Raises:
        UserError: it cannot be made, nothing could be kept, or the writer does not work.
    """
    order.check()
    order.workspace.make(order.folder)
    waits: list[Writing[Task]] = []

    def told(seconds: float, why: str) -> None:
        for writing in waits:
            writing.told(seconds, why)

    with (
        only_writer(order.folder, "The study texts of"),
        opened(order, told, fast_blas=fast_blas) as study,
    ):
        order.note()
        answer.progress(phase="reading", final=True)
        lists = sum(1 for _ in study.lists())
        if lists:
            asking = _writing(study, answer, lists, None)
            waits[:] = [asking]
            asking.run(study.lists(), "listing")
        writing = _writing(study, answer, sum(1 for _ in study.texts()), most)
        waits[:] = [writing]
        writing.run(study.texts(), "writing")
        answer.progress(phase="checking", final=True)
        report = _check(study, writing)
        durable.write_json(order.folder / REPORT, report)
        if writing.stopped is not None and most is not None:
            return {"corpus": None, **report}
        if not report["kept"]:
            raise UserError(
                f"None of the {report['written']:,} texts can be kept.",
                [f"{reason}: {count:,}" for reason, count in report["dropped"].items()],
            )
        built = build_corpus(
            order.workspace.corpus(order.name),
            [CorpusSource(order.folder / TEXTS)],
            _build_settings(order),
            model,
            tell,
        )
    made = built.corpus.manifest.report.documents
    return {"corpus": order.name, **report, "documents": made}


def _writing(
    study: OpenStudy, answer: TellsProgress, total: int, most: int | None
) -> Writing[Task]:
    cost = study.order.cost()
    return Writing(study.writer, study.made, study.settings, cost, answer, total, most)


def _build_settings(order: StudyOrder) -> BuildSettings:
    # Held-out text is the source corpus's: of made texts, another wording of each is trained on.
    return BuildSettings(
        validation=0.0,
        test=0.0,
        near_dedup=order.settings.near_dedup,
        drop_boilerplate=False,
        source_notes=(f"written from {order.corpus} by {order.writer.shown()}",),
    )


def _check(study: OpenStudy, writing: Writing[Task]) -> dict[str, Any]:
    """Check all that is written, and write what is kept as the corpus's source."""
    asked = AskedWordings(study.order.workspace)
    checker = Checker(
        study.settings.invented,
        _ordinary_words(study),
        study.maker.language,
        asked.find,
        may_copy=study.order.writer.kind == "templates",
    )
    found: dict[str, StrategyReport] = {}
    examples: dict[str, list[dict[str, Any]]] = {}
    cost = study.order.cost()
    missing = 0
    with durable.atomic_file(study.order.folder / TEXTS) as file:
        for passage in study.passages():
            source = None
            for task in study.texts_of(passage):
                record = study.made.read(task.key)
                if record is None:
                    problem = writing.failed.get(task.key)
                    missing += problem is None
                    if problem is not None:
                        _note(found, examples, task, Checked("", "failed", problem))
                    continue
                source = source or checker.source(passage.text)
                checked = checker.check(record["text"], record["finish"], source)
                cost.add(record, "".join(one["content"] for one in task.messages()))
                _note(found, examples, task, checked)
                if checked.reason is None:
                    _write(file, task, checked, study)
    return {
        "source": study.order.corpus,
        "writer": study.writer.shown,
        "written": sum(one.written for one in found.values()),
        "kept": sum(one.kept for one in found.values()),
        "missing": missing,
        "stopped": writing.stopped,
        "ledgers": {"names": asked.ledgers, "too_short": asked.too_short},
        "dropped": dict(sum((one.dropped for one in found.values()), Counter()).most_common()),
        "strategies": {name: one.told() for name, one in found.items()},
        "examples": examples,
        **cost.told(),
    }


def _note(
    found: dict[str, StrategyReport],
    examples: dict[str, list[dict[str, Any]]],
    task: Task,
    checked: Checked,
) -> None:
    one = found.setdefault(task.strategy.name, StrategyReport())
    one.written += checked.reason != "failed"
    one.own += bool(checked.invented)
    if checked.reason is None:
        one.kept += 1
        one.flags.update(checked.flags)
        one.had += checked.kept
        one.named += checked.named
    else:
        one.dropped[checked.reason] += 1
    shown = examples.setdefault(checked.reason or "kept", [])
    if len(shown) < _EXAMPLES:
        shown.append(
            {
                "strategy": task.strategy.name,
                "style": task.style,
                "source": task.passage.source,
                "text": checked.text[:_SHOWN],
                "detail": checked.detail,
                "flags": list(checked.flags),
                "invented": list(checked.invented[:20]),
            }
        )


def _write(file: IO[bytes], task: Task, checked: Checked, study: OpenStudy) -> None:
    made = {
        "source": task.passage.source,
        "document": task.passage.document,
        "passage": task.passage.place,
        "passage_sha256": task.passage.sha256,
        "strategy": task.strategy.name,
        "style": task.style,
        "wording": task.wording,
        "pair": list(task.pair) if any(task.pair) else None,
        "prompt": task.prompt,
        "writer": study.writer.identity,
        "seed": task.seed,
        "key": task.key,
        "flags": list(checked.flags),
        "invented": list(checked.invented),
    }
    line = durable.dump_json({"text": checked.text, "study": made})
    file.write(line.encode() + b"\n")


def _ordinary_words(study: OpenStudy) -> set[str]:
    """Folded words that are no names: the passages, or several of the texts, write them small."""
    words: set[str] = set()
    once: set[str] = set()
    for passage in study.passages():
        words |= look(passage.text).small
        for text in _texts_of(study, passage):
            small = look(text).small - words
            words |= small & once
            once |= small
    return words


def _texts_of(study: OpenStudy, passage: Passage) -> Iterator[str]:
    for task in study.texts_of(passage):
        record = study.made.read(task.key)
        if record is not None:
            yield record["text"]
