"""Write docs/api.md from the OpenAPI document that the server gives out, and the table of formats.

    python -m scripts.make_api_docs            # or: make docs

The document itself comes from the routes' declarations, so that this page cannot say anything
else than what the server does. The table in docs/documents.md is that of the readers.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cptstudio import metrics
from cptstudio.corpus.readers.dispatch import FORMATS
from cptstudio.web.api.openapi import openapi_document
from cptstudio.web.options import ServerOptions
from cptstudio.web.security.access import make_access
from cptstudio.web.studio import make_studio
from cptstudio.web.web_training_interface import create_inner

PAGE = Path(__file__).parent.parent / "docs" / "api.md"
DOCUMENTS = PAGE.parent / "documents.md"
_INTRODUCTION = """\
# HTTP API

Made by `make docs` from the OpenAPI 3.1 document, which a running server gives out at
`/api/openapi.json`. What the pages of CPT Studio do, they do through this API; live updates come
over Socket.IO ([live.md](live.md)).

- **Signing in.** `POST /enter` with `{"token": ...}` (the content of `.cpt-studio/token`) gives a
  cookie and `secret`, which ends together with the server. Every request has to carry both, the
  secret in the header `X-CPT-Studio-Session`; without it the cookie opens nothing. After a restart
  (status 401) a program signs in again. One that does so by itself proves that it knows the token
  instead of sending it, as [examples/follow_run.py](../examples/follow_run.py) does: while the
  server is away, another user of the machine could listen on its port
  ([security.md](security.md)).
- **Changes** (POST, PUT, DELETE) need the server's own address as `Origin`, and
  `Content-Type: application/json`; uploads are `application/octet-stream`. A GET changes nothing.
- **Idempotency-Key.** A change that is sent again under the same key (8 to 128 letters, digits,
  `-` or `_`) is not done again: it gives the first answer again.
- **Errors** are problem details (RFC 9457, `application/problem+json`): `detail` is a sentence to
  act on, `findings` say what is wrong, each with its `field`; `problems` are the same as sentences,
  `fields` the sentences by field.
- Times are Unix seconds, sizes bytes, and what is not known is null. Numbers that are not finite
  are the strings "NaN", "Infinity" and "-Infinity".

```sh
umask 077
url=http://127.0.0.1:8763; token=$(cat demo/.cpt-studio/token)
printf '{"token": "%s"}' "$token" |
    curl --silent --cookie-jar cookies --header "Origin: $url" \\
        --header "Content-Type: application/json" --data @- $url/enter |
    sed 's/.*"secret": "\\([0-9a-f]*\\)".*/X-CPT-Studio-Session: \\1/' >secret
curl --cookie cookies --header @secret $url/api/runs
```
"""


def document() -> dict[str, Any]:
    """The OpenAPI document of the application."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        options = ServerOptions(workspace=root)
        studio = make_studio(options)
        app = create_inner(studio, make_access(options, root, 8763, "no token"))
        found = openapi_document(app)
        studio.news.close()
        studio.manager.close()
        return found


def page(described: dict[str, Any]) -> str:
    """The document as a page."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            lines = by_tag.setdefault(operation["tags"][0], [])
            lines.extend(_operation(method.upper(), path, operation))
    parts = [_INTRODUCTION]
    for tag, lines in sorted(by_tag.items()):
        lines += _metric_table() if tag == "metrics" else []
        parts.append(f"\n## {tag.replace('-', ' ').capitalize()}\n\n" + "\n".join(lines))
    parts.append("\n## Shapes\n")
    for name, schema in sorted(described["components"]["schemas"].items()):
        parts.append("\n".join(_shape(name, schema)))
    return "\n".join(parts).rstrip() + "\n"


def with_formats(text: str) -> str:
    """The page on documents with the table of formats that can be read."""
    start, end = text.index(" -->\n", text.index("made by `make docs`")) + 5, text.index("<!-- end")
    rows = [
        f"| {one.title}{'*' if one.records else ''} | {', '.join(one.suffixes) or 'all others'} |\n"
        for one in FORMATS
    ]
    return f"{text[:start]}\n| Format | Files |\n|---|---|\n{''.join(rows)}\n{text[end:]}"


def _metric_table() -> Iterator[str]:
    yield "| Where | Name | Title | Unit | Better | Chart |\n|---|---|---|---|---|---|"
    for where, table in (
        ("row of training", metrics.TRAINING),
        ("row of an evaluation", metrics.EVALUATION),
        ("a set of held-out text", metrics.MEASURES),
    ):
        for one in table:
            chart = one.chart.title if one.chart else ""
            cells = (where, f"`{one.name}`", one.title, one.unit, one.better or "", chart)
            yield f"| {' | '.join(cells)} |"
    yield ""


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{method} {path}`\n"
    yield operation["summary"].rstrip(".") + "." + _paragraphs(operation.get("description", ""))
    yield ""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query":
            yield _field(parameter["name"], parameter["schema"], parameter["required"], "query ")
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        shown = _type(content["schema"]) if content.get("schema") else f"`{media}`"
        yield f"- body: {shown}"
    for status, answer in operation["responses"].items():
        if status == "default":
            continue
        bodies = [
            _type(content["schema"]) if content.get("schema") else f"`{media}`"
            for media, content in answer.get("content", {}).items()
        ]
        yield f"- answers {status}" + (f": {', '.join(bodies)}" if bodies else "")
    yield ""


def _shape(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if schema.get("description"):
        yield _paragraphs(schema["description"]).strip() + "\n"
    if "enum" in schema:
        yield _type(schema) + "\n"
    required = set(schema.get("required", ()))
    for field, described in schema.get("properties", {}).items():
        yield _field(field, described, field in required)
    yield ""


def _field(name: str, schema: dict[str, Any], required: bool, what: str = "") -> str:
    line = f"- {what}`{name}`: {_type(schema)}"
    if "default" in schema and schema["default"] not in (None, [], {}):
        line += f", default `{schema['default']}`"
    elif not required and what:
        line += ", optional"
    text = " ".join(str(schema.get("description") or "").split())
    return line + (f". {text[0].upper()}{text[1:]}" if text else "")


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(_type(option) for option in schema[union]))
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items") or {}
        return f"list of {_type(items)}" if items else "list"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) else "object"
    names = {"integer": "whole number", "boolean": "true or false", "string": "text"}
    return names.get(str(kind), str(kind or "anything"))


def _paragraphs(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines()]
    joined = "\n".join(lines)
    return f"\n\n{joined}" if joined else ""


def main() -> None:
    """Write the pages, or with --check only say whether they are up to date."""
    made = {
        PAGE: page(document()),
        DOCUMENTS: with_formats(DOCUMENTS.read_text(encoding="utf-8")),
    }
    for path, text in made.items():
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} is not up to date")


if __name__ == "__main__":
    main()
