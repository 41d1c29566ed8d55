"""What is overridden of gunicorn is still there, and is called: a rename must not pass unseen."""

from __future__ import annotations

import inspect
import tomllib
from importlib.metadata import version
from pathlib import Path

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.workers import gthread
from packaging.requirements import Requirement

from cptstudio.web.serve import embedded_gunicorn, patient_worker

ROOT = Path(__file__).parents[2]


def test_what_is_overridden_is_there() -> None:
    worker, parent = patient_worker.PatientWorker, gthread.ThreadWorker
    own = {name for name in vars(worker) if not name.startswith("_")}
    assert own == {"accept", "enqueue_req", "murder_pending"}
    for name in own:
        assert list(inspect.signature(getattr(worker, name)).parameters) == list(
            inspect.signature(getattr(parent, name)).parameters
        ), name
    source = inspect.getsource(gthread)
    for called in (
        *("self.enqueue_req(conn)", "self.murder_pending()", "conn.close(graceful=True)"),
        *("conn.data_ready", "self.max_keepalived", "DEFAULT_WORKER_DATA_TIMEOUT", "self.nr_conns"),
    ):
        assert called in source, called
    for name in ("init_signals", "stop", "handle_hup", "handle_usr2", "handle_winch"):
        assert hasattr(Arbiter, name), name
    assert issubclass(embedded_gunicorn._Master, Arbiter)
    for setting in ("control_socket_disable", "http_protocols", "header_map"):
        assert setting in Config().settings, setting


def test_what_is_installed_is_within_the_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in project["dependencies"]:
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate():
            assert wanted.specifier.contains(version(wanted.name), prereleases=True), line
    bounded = {"gunicorn", "flask-socketio", "python-engineio", "python-socketio"}
    for line in project["dependencies"]:
        wanted = Requirement(line)
        if wanted.name in bounded:
            assert {one.operator for one in wanted.specifier} == {">=", "<"}, line
