"""YAML from outside, read strictly and in bounded time: settings that a user wrote or was sent.

What takes PyYAML long, or stands for more than is written, is refused while it is being read:
nesting (its scanner needs quadratic time), aliases (a few lines of them stand for gigabytes),
numbers without end (so does the arithmetic), numbers that are not what they look like, and a name
that is given twice, of which PyYAML would silently keep the last.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from cptstudio.durable import UnusableFileError

SIZE_LIMIT: Final = 256 * 1024
"""Characters. The settings of a run take some three thousand."""
DEPTH_LIMIT: Final = 20
_LONGEST_NUMBER: Final = 64
_OTHER_BASE = re.compile(
    r"[-+]?(?:0[0-7_]+|0x[0-9a-fA-F_]+|0b[01_]+|[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)"
)
"""What YAML 1.1 reads as 010 = 8, 0x10 = 16, 0b10 = 2 and 1:30 = 90."""
_NUMBER = re.compile(r"[-+0-9_:.xXoOa-fA-F]*[0-9][-+0-9_:.xXoOa-fA-F]*")


def parse_yaml(text: str) -> Any:
    """Return the plain values from YAML text.

    Raises:
        ValueError: it is none, or none of a user's own; with the reason and its line.
    """
    import yaml

    if len(text) > SIZE_LIMIT:
        raise ValueError(f"it is longer than {SIZE_LIMIT:,} characters")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_events(text, loader)
        root = yaml.compose(text, loader)
        if root is None:
            return None
        _check_names(root)
        return yaml.load(text, loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())[:300]) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_yaml(path: Path) -> Any:
    """Return the plain values from a YAML file.

    Raises:
        UnusableFileError: it is none, or cannot be read.
    """
    try:
        # Whatever the user named, a pipe included; but never all of something endless.
        with path.open("rb") as file:
            return parse_yaml(file.read(4 * SIZE_LIMIT + 4).decode("utf-8"))
    except OSError as error:
        raise UnusableFileError(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnusableFileError(path, "is not UTF-8 text") from None
    except ValueError as error:
        raise UnusableFileError(path, f"is not valid YAML: {error}") from None


def _check_events(text: str, loader: Any) -> None:
    import yaml

    depth = 0
    for event in yaml.parse(text, loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {line}: it has an alias (*{event.anchor}); write the value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_LIMIT:
                raise ValueError(f"line {line}: nested more than {DEPTH_LIMIT} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0] or event.tag is not None
            if plain and len(event.value) > _LONGEST_NUMBER and _NUMBER.fullmatch(event.value):
                raise ValueError(f"line {line}: a number of {len(event.value):,} characters")
            if event.implicit[0] and _OTHER_BASE.fullmatch(event.value):
                raise ValueError(
                    f"line {line}: YAML reads {event.value} as a number in base 8, 16 or "
                    "60. Write it in plain digits, or in quotes as text"
                )


def _check_names(node: Any) -> None:
    import yaml

    nodes = [node]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                name = key.value if isinstance(key, yaml.ScalarNode) else None
                if name is not None and name in seen:
                    raise ValueError(f"line {key.start_mark.line + 1}: {name} appears twice")
                seen.add(name)
                nodes += [key, value]
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value
