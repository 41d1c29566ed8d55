"""The programs that test models, by the names of their modules.

Whoever starts one imports its name from here: the module itself would bring MLX with it.
"""

from __future__ import annotations

from typing import Final

EVALUATE: Final = "cptstudio.evaluation.evaluate"
MERGE: Final = "cptstudio.evaluation.merge"
SUITE: Final = "cptstudio.evaluation.suite_program"
QUESTIONS: Final = "cptstudio.evaluation.question_program"
HARNESS: Final = "cptstudio.evaluation.harness_program"
CHECK_MODEL: Final = "cptstudio.evaluation.model_check_program"
CHAT: Final = "cptstudio.evaluation.chat_program"
