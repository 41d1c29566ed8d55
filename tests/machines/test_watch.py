"""What the launcher of a run's ranks concludes from what their keepers say."""

from __future__ import annotations

from typing import Any

import pytest

from cptstudio.machines.rank_keeper import BY_LAUNCHER
from cptstudio.machines.rank_messages import SILENCE_SECONDS, frame, message_in
from cptstudio.machines.watch import PAUSED_SECONDS, SLOWEST_BYTES_PER_SECOND, RanksWatch
from cptstudio.run_files import EXIT_LOST

MACHINES = ("anna", "berta", "carla")


class Told:
    """A watch of three ranks that are told of second by second."""

    def __init__(self) -> None:
        self.watch = RanksWatch(3, 0.0)
        self.now = 0.0

    def say(self, rank: int, **facts: Any) -> None:
        self.watch.take({"rank": rank, "machine": MACHINES[rank], **facts}, self.now)

    def seconds(self, count: float, *ranks: int, **facts: Any) -> str | None:
        """Let time go by in which these ranks say something each second."""
        end = self.now + count
        while self.now < end and self.watch.lost is None:
            self.now += 1
            for rank in ranks:
                self.say(rank, **{"exchange": 0, "size": 0, "paused": False, **facts})
            self.watch.look(self.now)
        return self.watch.lost


def test_ranks_that_compute_and_end_lose_nothing() -> None:
    told = Told()
    assert told.seconds(1000, 0, 1, 2) is None
    for rank in range(3):
        told.say(rank, ended=0, because=None)
    assert told.watch.over and told.watch.at_end() is None


def test_a_silent_machine_is_named_while_the_others_wait() -> None:
    told = Told()
    told.seconds(5, 0, 1, 2)
    lost = told.seconds(100, 0, 2, exchange=7, size=10**9)
    assert lost is not None and lost.startswith("Rank 1 on berta has not been heard of")
    assert told.now <= 5 + SILENCE_SECONDS + 1


def test_who_is_paused_is_named() -> None:
    told = Told()
    told.seconds(5, 0, 1, 2)
    told.say(2, exchange=0, size=0, paused=True)
    lost = told.seconds(100, 0, 1)
    assert lost == "Rank 2 on carla was paused by a signal, and so all others would have waited."
    assert told.now <= 5 + PAUSED_SECONDS + 2


def test_an_exchange_may_take_as_long_as_its_bytes_on_a_slow_network_but_no_longer() -> None:
    size = int(100 * SLOWEST_BYTES_PER_SECOND)
    told = Told()
    assert told.seconds(100, 0, 1, 2, exchange=4, size=size) is None
    assert told.seconds(100, 0, 1, 2, exchange=5, size=size) is None
    told.say(1, exchange=4, size=size)
    lost = told.seconds(100, 0, 2, exchange=5, size=size)
    assert lost is not None and lost.startswith("Rank 1 on berta has not been heard of")
    told = Told()
    lost = told.seconds(1000, 0, 1, 2, exchange=4, size=size)
    assert lost is not None and lost.startswith("All ranks wait for each other")
    assert "furthest" not in lost


def test_who_is_behind_is_named_where_all_wait() -> None:
    told = Told()
    while told.watch.lost is None and told.now < 1000:
        told.now += 1
        for rank, exchange in enumerate((4, 3, 4)):
            told.say(rank, exchange=exchange, size=8, paused=False)
        told.watch.look(told.now)
    assert told.watch.lost is not None and "Rank 1 on berta is furthest behind." in told.watch.lost


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"ended": -9, "because": None}, "ended. It was ended from outside."),
        ({"ended": -11, "because": None}, "ended. It crashed: it accessed invalid memory."),
        ({"ended": 1, "because": None, "said": "Failed: The disk is full."},
         "failed: The disk is full."),
        ({"ended": -9, "because": "its keeper was paused"},
         "was ended, since its keeper was paused."),
    ],
)  # fmt: skip
def test_the_cause_is_told_and_not_its_consequences(facts: dict[str, Any], expected: str) -> None:
    told = Told()
    told.seconds(1, 0, 1, 2)
    told.say(0, ended=EXIT_LOST, because=None)
    told.say(2, ended=-9, because=BY_LAUNCHER)
    assert told.watch.lost is None
    told.say(1, **facts)
    assert told.watch.at_end() == f"Rank 1 on berta {expected}"


def test_what_ended_without_a_word_is_named() -> None:
    told = Told()
    told.seconds(1, 0, 1, 2)
    told.say(0, ended=-9, because=BY_LAUNCHER)
    told.say(2, ended=EXIT_LOST, because=None)
    lost = told.watch.at_end()
    assert lost is not None and lost.startswith("Rank 1 on berta is gone")
    told.say(1, ended=EXIT_LOST, because=None)
    lost = told.watch.at_end()
    assert lost == "The connection between the ranks broke (anna, berta, carla)."


def test_rank_0s_own_failure_is_what_it_has_written() -> None:
    told = Told()
    told.say(0, ended=1, because=None, said="Failed: The disk is full.")
    told.say(1, ended=EXIT_LOST, because=None)
    told.say(2, ended=EXIT_LOST, because=None)
    assert told.watch.at_end() is None


def test_messages_are_found_among_what_else_is_printed() -> None:
    line = frame({"rank": 1, "text": "a\nb\x1b[31m ü"})
    assert line.count(b"\n") == 1
    assert message_in(b"[WARN] torn" + line) == {"rank": 1, "text": "a\nb\x1b[31m ü"}
    for other in (b"step 3\n", line[:-5], b"\x1e[1]\n", b'\x1e{"rank": "x"}\n', b"\x1e\n"):
        assert message_in(other) is None
