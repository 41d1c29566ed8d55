"""A toy model with a chat template, whose answers end as a chat's do."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

CHATML = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def make_chat_model(folder: Path, template: str = CHATML) -> Path:
    """Write the demo's base model with a chat template, and return its folder."""
    with resources.as_file(resources.files("cptstudio") / "data" / "demo-base") as source:
        shutil.copytree(source, folder)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder
