"""`mlx.launch`, which does not wait in a loop that takes a whole core.

For each rank, a thread of it asks whether there is something to read from, or room to write to, the
rank's pipes. There is always room, so it never waits (6 of 9 seconds of a core with two ranks that
said nothing, mlx 0.32.4), and takes the time of the ranks on the same machine. Here it first waits
for something to read.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Any, Final

from mlx._distributed_utils import launch

_launch: Any = launch
_LONGEST_WAIT: Final = 0.1


def patient_select(
    reading: Sequence[Any], writing: Sequence[Any], other: Sequence[Any], seconds: float
) -> tuple[list[Any], list[Any], list[Any]]:
    """Do what `select.select` does, but come back at once only if there is something to read."""
    ready, _, _ = select.select(reading, [], [], min(seconds, _LONGEST_WAIT))
    _, free, _ = select.select([], writing, [], 0)
    return ready, free, []


def main() -> None:
    """Run `mlx.launch` with this process's arguments."""
    _launch.select = patient_select
    _launch.main()


if __name__ == "__main__":
    main()
