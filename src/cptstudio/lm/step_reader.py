"""How much memory a step takes, found out from the network's own graph, without MLX here.

A process of its own builds the graph and walks through it (`step_program`); it stays for the next
question, since a plan asks at every change of its settings. Answers hold for as long as the model's
files stay as they are.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

from cptstudio.child_limits import for_a_look
from cptstudio.child_service import ChildService
from cptstudio.durable import folder_signature
from cptstudio.errors import UserError

MODULE: Final = "cptstudio.lm.step_program"
_IDLE_SECONDS: Final = 120.0
_MOST_KEPT: Final = 500

_known: OrderedDict[tuple[object, ...], dict[str, int]] = OrderedDict()
_lock = threading.Lock()
_service = ChildService(
    ("-m", MODULE),
    lambda: for_a_look("Try again.", "Use a smaller batch size or sequence length."),
    "Could not determine the memory of a step.",
    idle_seconds=_IDLE_SECONDS,
)


def read_step_bytes(path: Path, request: dict[str, Any]) -> dict[str, int]:
    """Return the bytes of a step's activations and gradients, "kept" and "passing".

    Args:
        request: as `step_program` says, without the model.

    Raises:
        UserError: it cannot be found out.
    """
    folder = path.resolve()
    key = (folder, folder_signature(folder), json.dumps(request, sort_keys=True))
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key]
    asked = request | {"model": str(path)}
    if "mlx_lm.utils" in sys.modules:
        from cptstudio.lm.step_program import step_bytes

        try:
            found = step_bytes(asked)
        except (ValueError, RuntimeError) as error:
            raise UserError(f"The graph of a step in {path} cannot be looked at: {error}") from None
    else:
        found = _service.ask(asked)
    with _lock:
        _known[key] = found
        if len(_known) > _MOST_KEPT:
            _known.popitem(last=False)
    return found
