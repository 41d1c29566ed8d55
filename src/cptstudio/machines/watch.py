"""Which rank of a run is lost, and why: what the launcher concludes from what the keepers say.

Pure: it is given messages and times, and is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from cptstudio.child_process import crash_sentence
from cptstudio.machines.rank_keeper import BY_LAUNCHER
from cptstudio.machines.rank_messages import BEAT_SECONDS, SILENCE_SECONDS
from cptstudio.run_files import EXIT_CODES, EXIT_LOST

LAUNCH: Final = "mlx.launch"
PAUSED_SECONDS: Final = 5.0
"""That a trainer may be paused: long enough for a debugger to attach, too short to wait for."""
SLOWEST_BYTES_PER_SECOND: Final = 2e6
"""Of an exchange, beside `SILENCE_SECONDS`: a sixth of what 0.1 Gbit/s carry."""
START_SECONDS: Final = 180.0
"""Until the keeper of a rank must have been heard: ssh, Python, a busy machine."""
_GOOD: Final = (EXIT_CODES["completed"], EXIT_CODES["stopped"])
_FAILED: Final = EXIT_CODES["failed"]


@dataclass
class _Rank:
    """What is known of a rank.

    Attributes:
        heard: when, last.
        exchange: the number of the one that it waits in, or was in last.
        size: its bytes; 0 where it computes.
        since: when it began to wait in it.
        paused: since when it is paused.
        code: how its trainer ended.
        because: why its keeper ended it.
    """

    machine: str = ""
    heard: float | None = None
    exchange: int = 0
    size: int = 0
    since: float = 0.0
    paused: float | None = None
    code: int | None = None
    because: str | None = None


@dataclass
class RanksWatch:
    """Watches so many ranks.

    Attributes:
        lost: the first rank that was lost, and why, as a sentence; None while none is.
    """

    size: int
    began: float
    lost: str | None = None
    ranks: dict[int, _Rank] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ranks = {number: _Rank() for number in range(self.size)}

    @property
    def over(self) -> bool:
        """Return whether all trainers have ended."""
        return all(rank.code is not None for rank in self.ranks.values())

    def take(self, message: dict[str, Any], now: float) -> None:
        """Take a keeper's message in."""
        rank = self.ranks.get(message["rank"])
        if rank is None:
            return
        rank.heard = now
        rank.machine = str(message.get("machine", ""))
        if "exchange" in message:
            exchange, size = int(message["exchange"]), int(message["size"])
            if exchange != rank.exchange or not size or not rank.size:
                rank.since = now
            rank.exchange, rank.size = exchange, size
            rank.paused = (rank.paused or now) if message.get("paused") else None
        if "ended" in message:
            rank.code, rank.because = int(message["ended"]), message.get("because")
            if self._is_cause(message["rank"], rank):
                self._lose(message["rank"], _end_of(rank, str(message.get("said", ""))))

    def look(self, now: float) -> None:
        """Find out whether one is lost by now."""
        for number, rank in self.ranks.items():
            if rank.code is not None:
                continue
            if rank.heard is None:
                if now - self.began > START_SECONDS:
                    self._lose(number, f"did not start within {START_SECONDS:.0f} seconds.")
            elif now - rank.heard > SILENCE_SECONDS and self._all_silent(now):
                self.lost = self.lost or (
                    f"`{LAUNCH}`, which had started the ranks, has passed nothing on for "
                    f"{SILENCE_SECONDS:.0f} seconds."
                )
            elif now - rank.heard > SILENCE_SECONDS:
                self._lose(
                    number, f"has not been heard of for {SILENCE_SECONDS:.0f} seconds. {_LOOK}"
                )
            elif rank.paused is not None and now - rank.paused > PAUSED_SECONDS:
                self._lose(number, "was paused by a signal, and so all others would have waited.")
        waiting = [rank for rank in self.ranks.values() if rank.code is None]
        if waiting and all(rank.size and now - rank.since > _patience(rank) for rank in waiting):
            self._all_wait()

    def at_end(self) -> str | None:
        """Return what was lost, once `mlx.launch` has ended; None where nothing was."""
        gone = [number for number, rank in self.ranks.items() if rank.code is None]
        if self.lost is not None or self.ranks[0].code == _FAILED:
            return self.lost
        if not gone and not self._broken():
            return None
        if not gone:
            machines = ", ".join(sorted({rank.machine for rank in self.ranks.values()}))
            return f"The connection between the ranks broke ({machines})."
        if len(gone) == self.size:
            return f"`{LAUNCH}`, which had started the ranks, ended."
        return (
            f"{self.who(gone[0])} is gone: its keeper, or the connection to its machine, ended "
            "without a word."
        )

    def _all_silent(self, now: float) -> bool:
        # Those of one moment: their last words need not have come in the same second.
        silent = SILENCE_SECONDS - 3 * BEAT_SECONDS
        return all(
            rank.code is not None or rank.heard is None or now - rank.heard > silent
            for rank in self.ranks.values()
        )

    def _broken(self) -> bool:
        return any(rank.code == EXIT_LOST for rank in self.ranks.values())

    def who(self, number: int) -> str:
        """Return a rank as a sentence begins."""
        machine = self.ranks[number].machine
        return f"Rank {number}{f' on {machine}' if machine else ''}"

    def _lose(self, number: int, why: str) -> None:
        if self.lost is None:
            self.lost = f"{self.who(number)} {why}"

    def _all_wait(self) -> None:
        if self.lost is None:
            behind = min(self.ranks, key=lambda number: self.ranks[number].exchange)
            last = {rank.exchange for rank in self.ranks.values()}
            who = f" {self.who(behind)} is furthest behind." if len(last) > 1 else ""
            self.lost = (
                f"All ranks wait for each other, and nothing comes through.{who} Check the network "
                "between the machines."
            )

    @staticmethod
    def _is_cause(number: int, rank: _Rank) -> bool:
        """Whether a trainer's end is more than a consequence of another's."""
        if rank.because is not None:
            return rank.because != BY_LAUNCHER
        # Where rank 0 failed by itself, it has said so in the run.
        return rank.code not in (*_GOOD, EXIT_LOST) and not (number == 0 and rank.code == _FAILED)


def _end_of(rank: _Rank, said: str) -> str:
    assert rank.code is not None
    if rank.because is not None:
        return f"was ended, since {rank.because}."
    if rank.code < 0:
        return f"ended. {crash_sentence(-rank.code)}"
    return f"failed: {said.removeprefix('Failed: ') or 'its log says why.'}"


_LOOK: Final = "Check whether the machine is on, and the network to it."


def _patience(rank: _Rank) -> float:
    return SILENCE_SECONDS + rank.size / SLOWEST_BYTES_PER_SECOND
