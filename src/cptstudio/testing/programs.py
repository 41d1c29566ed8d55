"""The programs that test models, by the names of their modules.

Whoever starts one imports its name from here: the module itself would bring MLX with it.
"""

from __future__ import annotations

from typing import Final

EVALUATE: Final = "cptstudio.testing.evaluate"
MERGE: Final = "cptstudio.testing.merge"
SUITE: Final = "cptstudio.testing.suite_program"
QUESTIONS: Final = "cptstudio.testing.question_program"
HARNESS: Final = "cptstudio.testing.harness_program"
CHECK_MODEL: Final = "cptstudio.testing.model_check_program"
