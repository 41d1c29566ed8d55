"""The machine's load while a run was trained: system.jsonl of its directory.

A sample is taken every two seconds at first. Where there are more than `MOST_SAMPLES` every second
one is dropped, and from then on they are taken half as often: the file has a bounded size, however
long a run is. What could not be measured is absent, with its reason at the session's beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cptstudio.durable import UnusableFileError
from cptstudio.json_lines import read_json_lines

SYSTEM: Final = "system.jsonl"
MOST_SAMPLES: Final = 2000
MOST_SESSIONS: Final = 200
FIRST_INTERVAL: Final = 2.0

MEASURED: Final = (
    "cpu", "cpu_process", "gpu", "memory_used", "memory_process", "memory_gpu", "disk_free",
    "disk_written",
)  # fmt: skip
"""Numbers of a sample: percent of all cores (`cpu`, of this process), percent of the GPU's time,
bytes of memory (of the machine, of this process, of the GPU), bytes free on the run's disk, bytes a
second written to all disks."""


@dataclass
class SystemSamples:
    """The content of system.jsonl.

    Attributes:
        sessions: a record for each trainer process, in order: `session`, `time`, `run_seconds`,
            `interval`, `cores`, `memory` and `disk` in bytes, `missing` (reasons by number).
        samples: `session`, `time`, `run_seconds` (of all sessions together), `step` and `MEASURED`.
    """

    sessions: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def interval(self) -> float:
        """Seconds between two samples now."""
        return float(self.sessions[-1]["interval"]) if self.sessions else FIRST_INTERVAL

    @property
    def seconds(self) -> float:
        """How long the run's sessions took until the last sample."""
        return float(self.samples[-1]["run_seconds"]) if self.samples else 0.0

    def thinned(self) -> SystemSamples:
        """Return half of the samples, for twice the interval."""
        sessions = [dict(one) for one in self.sessions[-MOST_SESSIONS:]]
        sessions[-1]["interval"] = 2 * self.interval
        return SystemSamples(sessions, self.samples[1::2])


def read_system(run_directory: Path) -> SystemSamples | None:
    """Return the samples of a run; None where none were ever taken."""
    try:
        records = read_json_lines(run_directory / SYSTEM).records
    except (FileNotFoundError, UnusableFileError):
        return None
    sessions = [one for one in records if _numbers(one, "interval", "session")]
    samples = [one for one in records if _numbers(one, "run_seconds", "time") and "cpu" in one]
    return SystemSamples(sessions, samples)


def _numbers(record: dict[str, Any], *names: str) -> bool:
    return all(
        isinstance(record.get(name), int | float) and not isinstance(record[name], bool)
        for name in names
    )
