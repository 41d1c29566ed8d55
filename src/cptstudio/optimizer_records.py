"""The optimizers, one record each: choices, usual rates, plans and checks before a start follow.

How an optimizer updates is the rule of its name in `training/update_rules.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal


@dataclass(frozen=True)
class OptimizerRecord:
    """The facts about an optimizer that are needed without running it.

    Attributes:
        title: its name as papers write it.
        rate_factor: its usual learning rate as a multiple of AdamW's.
        arrays: what it keeps for a parameter, in float32 arrays as large as the parameter.
        has_momentum: the setting of that name is its own.
        matrices_only: AdamW trains what is no matrix, see `lm.parameter_kinds`.
    """

    title: str
    rate_factor: float
    arrays: int
    has_momentum: bool = False
    matrices_only: bool = False

    def state_bytes(self, matrices: int, others: int = 0) -> int:
        """Return the bytes of its state for so many weights of matrices and of other parameters."""
        rest = OPTIMIZERS["adamw"] if self.matrices_only else self
        return 4 * (self.arrays * matrices + rest.arrays * others)


OPTIMIZERS: Final[dict[str, OptimizerRecord]] = {
    "adamw": OptimizerRecord("AdamW", 1.0, arrays=2),
    # It keeps sums of rows and columns only, which are few.
    "adafactor": OptimizerRecord("Adafactor", 1.0, arrays=0),
    # A fifth of AdamW's rate (arXiv 2302.06675, section 5).
    "lion": OptimizerRecord("Lion", 0.2, arrays=1),
    # Its steps are scaled to AdamW's size, see its rule.
    "muon": OptimizerRecord("Muon", 1.0, arrays=1, has_momentum=True, matrices_only=True),
    # Its steps are as small as the gradients.
    "sgd": OptimizerRecord("SGD", 100.0, arrays=1, has_momentum=True),
}
if TYPE_CHECKING:
    OptimizerName = str
else:
    OptimizerName = Literal[tuple(OPTIMIZERS)]
