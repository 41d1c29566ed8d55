"""Example calls of an endpoint, to copy; the key is read from the environment."""

from __future__ import annotations

import json
import shlex
from typing import Final

from cptstudio.validation import LateModel

KEY_VARIABLE: Final = "CPT_STUDIO_KEY"


class Example(LateModel):
    """A call to copy.

    Attributes:
        title: what it is for.
        language: "shell" or "python".
    """

    title: str
    language: str
    text: str


def examples(base: str, model: str, chat: bool) -> list[Example]:
    """Return calls of an endpoint.

    Args:
        base: its address, with /v1.
        model: as clients name it.
        chat: whether it takes chats; otherwise raw text.
    """
    body: dict[str, object] = {"model": model, "max_tokens": 100}
    if chat:
        body["messages"] = [{"role": "user", "content": "Tell me a joke."}]
    else:
        body["prompt"] = "Once upon a time"
    route = "chat/completions" if chat else "completions"
    curl = (
        f"curl {base}/{route} \\\n"
        f'  -H "Authorization: Bearer ${KEY_VARIABLE}" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    )
    client = (
        "import os\nfrom openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{base}", api_key=os.environ["{KEY_VARIABLE}"])\n'
    )
    named = json.dumps(model, ensure_ascii=False)
    if chat:
        client += (
            f"stream = client.chat.completions.create(\n    model={named},\n"
            '    messages=[{"role": "user", "content": "Tell me a joke."}],\n    stream=True,\n)\n'
            "for chunk in stream:\n"
            '    print(chunk.choices[0].delta.content or "", end="", flush=True)'
        )
    else:
        client += (
            f'answer = client.completions.create(\n    model={named}, prompt="Once upon a time", '
            "max_tokens=100\n)\nprint(answer.choices[0].text)"
        )
    maker = "ChatOpenAI" if chat else "OpenAI"
    asked = "Tell me a joke." if chat else "Once upon a time"
    text = "(...).content" if chat else "(...)"
    chain = (
        f"import os\nfrom langchain_openai import {maker}\n\n"
        f'model = {maker}(\n    base_url="{base}",\n    api_key=os.environ["{KEY_VARIABLE}"],\n'
        f"    model={named},\n)\nprint(model.invoke{text.replace('...', json.dumps(asked))})"
    )
    return [
        Example(title="curl", language="shell", text=curl),
        Example(title="Python (openai)", language="python", text=client),
        Example(title="LangChain", language="python", text=chain),
    ]
