"""What an order of study texts would take, before anything is sent: texts, tokens, cost, time."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from cptstudio.study.order import OpenStudy
from cptstudio.study.tasks import Task
from cptstudio.writers.cost import Cost
from cptstudio.writers.made import MadeTexts


@dataclass
class StrategyPlan:
    """What one strategy takes."""

    texts: int = 0
    done: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass
class StudyPlan:
    """What an order takes; tokens are estimates of what is left to write.

    Attributes:
        documents: training documents with at least one passage.
        not_english: passages that the templates leave out.
        texts: to write in all.
        done: of them, written already.
        seconds: for what is left, at the speed of texts that this writer wrote here before; None
            where there are none.
        cost: for what is left; None without prices.
        sent_to: the host that gets the passages, or None where they stay on this machine.
    """

    documents: int = 0
    passages: int = 0
    passage_tokens: int = 0
    not_english: int = 0
    texts: int = 0
    done: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float | None = None
    cost: float | None = None
    sent_to: str | None = None
    writer: str = ""
    strategies: dict[str, StrategyPlan] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return it for the page and the terminal."""
        return asdict(self)


def plan_study(study: OpenStudy) -> StudyPlan:
    """Return what an order takes; nothing is sent or written."""
    found = StudyPlan(writer=study.writer.shown)
    last = -1
    for passage in study.passages():
        found.passages += 1
        found.documents += passage.document != last
        last = passage.document
        size = study.tokens(passage.text)
        found.passage_tokens += size
        for task in (*study.maker.lists(passage), *study.texts_of(passage)):
            _count(found, study, task, size)
    found.not_english = study.maker.not_english
    cost = study.order.cost()
    cost.tokens_in, cost.tokens_out = found.tokens_in, found.tokens_out
    found.cost = cost.money
    if study.order.writer.kind == "endpoint":
        found.sent_to = study.order.writer.endpoint_in(study.order.workspace).host
    speed = _speed(study.made, study)
    if found.texts == found.done:
        found.seconds = 0.0
    elif study.order.writer.kind == "templates":
        found.seconds = 0.001 * (found.texts - found.done)
    elif speed is not None:
        found.seconds = found.tokens_out / speed
    return found


def _count(found: StudyPlan, study: OpenStudy, task: Task, size: int) -> None:
    one = found.strategies.setdefault(task.strategy.name, StrategyPlan())
    if not task.lists:
        found.texts += 1
        one.texts += 1
    if task.key in study.made:
        found.done += not task.lists
        one.done += not task.lists
        return
    if study.order.writer.kind == "templates":
        return
    asked = sum(study.tokens(message["content"]) for message in task.messages())
    written = min(study.settings.max_tokens, 8 + int(size * task.strategy.written))
    for count in (found, one):
        count.tokens_in += asked
        count.tokens_out += written


def _speed(made: MadeTexts, study: OpenStudy) -> float | None:
    """Tokens that the writer wrote a second, all its threads together."""
    cost = Cost()
    for record in made.newest(study.writer.shown):
        cost.add(record, "")
    if cost.seconds <= 0 or not cost.tokens_out:
        return None
    return cost.tokens_out / cost.seconds * study.writer.parallel
