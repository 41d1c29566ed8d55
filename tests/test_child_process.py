"""Children: they end with whoever started them, keep to their limits, and are said to have died."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from cptstudio import child_process
from cptstudio.child_answers import End
from cptstudio.child_limits import Limits, for_a_look, for_files, for_models
from cptstudio.child_process import ChildEndedError, ChildProcess
from cptstudio.child_service import ChildService
from cptstudio.child_usage import Taken, counted
from cptstudio.errors import UserError
from tests.web.server_process import wait_for

pytestmark = pytest.mark.slow

PROGRAM = [str(Path(__file__).parent / "web" / "job_for_tests.py")]
PATIENCE = 60.0
GONE_SECONDS = 5.0
NONE = Limits(seconds=None, memory=None)

_PARENT = """
import json, sys, threading
from cptstudio.child_limits import Limits
from cptstudio.child_process import ChildProcess
program, *requests = json.loads(sys.argv[1])
def start(request):
    child = ChildProcess(program, Limits(None, None))
    child.send(request)
    child.follow(lambda line: print(child.pid, line.phase, flush=True))
for request in requests:
    # From threads that end before the child does, as a server's do.
    threading.Thread(target=start, args=(request,)).start()
"""


@contextmanager
def parent_of(*requests: dict[str, Any]) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process with a child for each request, which has told that it is at it."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, json.dumps([PROGRAM, *requests])],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    groups = [int(parent.stdout.readline().split()[0]) for _ in requests]
    try:
        yield parent, groups
    finally:
        parent.kill()
        parent.communicate()


def members(group: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def asked(limits: Limits = NONE, **request: Any) -> End:
    child = ChildProcess(PROGRAM, limits)
    child.send(request)
    return child.follow()


def test_children_end_within_seconds_of_a_kill_also_inside_c_code() -> None:
    requests = ({"ending": "sleep"}, {"ending": "c code"}, {"ending": "family"})
    with parent_of(*requests) as (parent, groups):
        family = [process for group in groups for process in members(group)]
        # Each has a guard, and the last one two children.
        assert len(family) == 2 * len(groups) + 2
        parent.kill()
        _, alive = psutil.wait_procs(family, timeout=GONE_SECONDS)
        assert not alive


def test_what_a_child_leaves_behind_ends_with_it() -> None:
    with parent_of({"ending": "family", "then": "exit"}) as (_, (group,)):
        wait_for(lambda: not members(group), "the end of the group")


def test_the_end_of_one_child_is_not_that_of_another() -> None:
    with parent_of({"ending": "sleep"}, {"ending": "c code"}) as (_, (sleeping, computing)):
        os.killpg(sleeping, signal.SIGKILL)
        wait_for(lambda: not members(sleeping), "the end of the group")
        assert len(members(computing)) == 2


def test_a_child_that_takes_too_much_memory_is_ended_with_the_numbers() -> None:
    end = asked(Limits(None, 200_000_000, when_large="Give it less."), ending="eats")
    assert end.died and end.result is None and end.error is not None
    found = re.fullmatch(
        r"It used (0\.\d) GB of memory\. The limit on this machine is 0\.2 GB, so it was "
        r"ended\. Give it less\.",
        end.error,
    )
    assert found, end.error


def test_a_child_that_says_nothing_is_ended_and_another_is_not_held_up() -> None:
    limits = Limits(1.0, None, when_slow="Look at its disk.")
    assert asked(limits, ending="c code", value=1).error == (
        "It did not answer within 1 s, so it was ended. Look at its disk."
    )
    # Each line is a sign of life.
    assert asked(limits, steps=6, pause=0.3, value=2).result == {"got": 2}


@pytest.mark.parametrize(
    ("idle", "computed", "computes", "counts"),
    [
        (2.0, 0.0, True, 4.0),  # There was a processor for it.
        (0.1, 0.0, False, 4.0),  # It waits for a disk.
        (0.1, 1.5, True, 1.5),
        (0.1, 0.0, True, 0.4),  # So that every child ends some time.
        (0.1, 7.0, True, 4.0),  # It has several threads.
    ],
)
def test_on_a_busy_machine_the_time_that_a_child_computes_counts(
    idle: float, computed: float, computes: bool, counts: float
) -> None:
    assert counted(4.0, idle, computed, computes) == pytest.approx(counts)


def test_asking_tells_whether_a_limit_was_the_reason() -> None:
    def end_of(limits: Limits, **request: Any) -> ChildEndedError:
        with pytest.raises(ChildEndedError) as caught:
            child_process.ask(PROGRAM, request, limits, what="The test")
        return caught.value

    at_limit = end_of(Limits(0.5, None), ending="c code")
    assert at_limit.at_limit and at_limit.message.startswith(
        "The test ended early. It did not answer"
    )
    crashed = end_of(NONE, ending="crash")
    assert not crashed.at_limit and "It crashed" in crashed.message


@pytest.mark.parametrize("garbage", ["no JSON", "[1]", '{"progress": {}}'])
def test_a_child_that_answers_with_no_answer_is_ended_and_said_to_be(
    garbage: str, tmp_path: Path
) -> None:
    program = tmp_path / "garbage.py"
    program.write_text(
        f"import sys\nprint('{{\"ready\": true}}', flush=True)\n"
        f"for line in sys.stdin:\n    print({garbage!r}, flush=True)\n"
    )
    service = ChildService((str(program),), lambda: NONE, "It failed.")
    for _ in range(2):  # Another child is asked the second time.
        with pytest.raises(
            UserError, match=r"It failed\. It sent an answer that could not be read"
        ):
            service.ask({})
    service.close()


def test_memory_that_is_mapped_from_a_file_does_not_count(tmp_path: Path) -> None:
    np.zeros(50_000_000, np.uint8).tofile(tmp_path / "file")
    code = (
        "import numpy, sys\n"
        f"a = numpy.memmap({str(tmp_path / 'file')!r}, mode='r'); int(a.sum())\n"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        rss = psutil.Process(process.pid).memory_info().rss
        assert (
            0
            < Taken.by(process.pid).memory
            < (rss - 40_000_000 if sys.platform == "linux" else rss)
        )
        process.kill()


def test_limits_are_parts_of_the_machine() -> None:
    total = psutil.virtual_memory().total
    look, files, models = for_a_look("", ""), for_files(), for_models()
    assert look.memory and files.memory and models.memory
    assert look.memory <= total // 4 or look.memory <= 1 << 30
    assert look.memory <= files.memory < models.memory < total
    assert all(one.seconds for one in (look, files, models))


def test_an_interrupt_that_a_library_swallowed_ends_the_work_at_its_next_word() -> None:
    child = ChildProcess(PROGRAM, NONE)
    child.send({"ending": "deaf"})
    assert child.follow().cancelled
