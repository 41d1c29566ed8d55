"""The programs of study texts, by the names of their modules, for whoever starts one."""

from __future__ import annotations

from typing import Final

MAKE: Final = "cptstudio.study.make_program"
