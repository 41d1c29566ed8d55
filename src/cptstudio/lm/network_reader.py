"""The shapes of a model's network, told without loading MLX here.

mlx-lm's own classes know every parameter and every linear layer, which no pattern of names does:
so a process of its own builds the network from the folder, with its weights unread
(`python -m cptstudio.lm.network_program`), and counts. The answer holds for as long as the
folder's files stay as they are. Nothing here imports MLX, so the web server may use it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from cptstudio import child_process
from cptstudio.child_answers import user_error
from cptstudio.child_limits import for_a_look
from cptstudio.durable import folder_signature
from cptstudio.errors import UserError
from cptstudio.folder_questions import REPEAT_SECONDS, FolderQuestions
from cptstudio.lm.network_facts import NetworkFacts
from cptstudio.weight_files import check_present

MODULE: Final = "cptstudio.lm.network_program"
_FACTS: Final = TypeAdapter(NetworkFacts)
_questions: Final = FolderQuestions[NetworkFacts]()


def read_network(
    path: Path, *, trust_remote_code: bool = False, again: bool = False
) -> NetworkFacts:
    """Return the facts of the network in a model folder.

    Args:
        trust_remote_code: the network may be built by Python code that the model brings.
        again: ask again where the last time ended at a limit, because the user asked for it.

    Raises:
        UserError: mlx-lm cannot load the model, or it could not be found out.
    """
    check_present(path)
    folder = path.resolve()
    return _questions.answer(
        (folder, trust_remote_code),
        folder_signature(folder),
        lambda: _find_out(path, trust_remote_code),
        what=f"the shapes of the model in {path}",
        again=again,
    )


def _find_out(path: Path, trust_remote_code: bool) -> NetworkFacts | UserError:
    """The facts, or why mlx-lm cannot load the model.

    Raises:
        UserError: it could not be found out this time.
    """
    request: dict[str, Any] = {"model": str(path), "trust_remote_code": trust_remote_code}
    if "mlx_lm.utils" in sys.modules:
        from cptstudio.lm.network_program import look

        found = look(request)
    else:
        limits = for_a_look(
            "The cause is its files or the disk. It is tried again when the files have "
            f"changed, or after {REPEAT_SECONDS / 60:.0f} minutes.",
            "Its files are damaged or unusual. Download the model again.",
        )
        found = child_process.ask(
            ("-m", MODULE), request, limits, what=f"Reading the shapes of the model in {path}"
        )
    if "wrong" in found:
        return user_error(found["wrong"])
    return _FACTS.validate_python(found)
