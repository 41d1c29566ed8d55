"""Vendor the browser's libraries, for maintainers: one file each, unchanged but for imports.

The versions are those of package.json. Bare import names are rewritten to the neighbouring
files, because the pages' content security policy allows no inline import map.

    python scripts/vendor_ui.py            write src/cptstudio/web/ui/vendor/
    python scripts/vendor_ui.py --check    compare it byte by byte instead; 1 if it differs
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENDOR = ROOT / "src/cptstudio/web/ui/vendor"
LICENSES = "LICENSES.txt"


@dataclass(frozen=True)
class Library:
    """One vendored file.

    Attributes:
        package: its name on npm.
        source: the file inside the package.
        target: the file's name in the vendor folder.
        types: the module whose types it has, or None for a file that is no module.
        suffix: appended, to make a module of a script.
    """

    package: str
    source: str
    target: str
    types: str | None = None
    suffix: str = ""


LIBRARIES = (
    Library("preact", "dist/preact.mjs", "preact.js", "preact"),
    Library("preact", "hooks/dist/hooks.mjs", "preact-hooks.js", "preact/hooks"),
    Library(
        "@preact/signals-core", "dist/signals-core.mjs", "signals-core.js", "@preact/signals-core"
    ),
    Library("@preact/signals", "dist/signals.mjs", "signals.js", "@preact/signals"),
    Library(
        "uplot", "dist/uPlot.iife.min.js", "uplot.js", "uplot", suffix="\nexport default uPlot;\n"
    ),
    Library("uplot", "dist/uPlot.min.css", "uplot.css"),
    Library(
        "socket.io-client", "dist/socket.io.esm.min.js", "socket.io-client.js", "socket.io-client"
    ),
)
IMPORTS = {
    "preact": "./preact.js",
    "preact/hooks": "./preact-hooks.js",
    "@preact/signals-core": "./signals-core.js",
}


def package_files(package: str, version: str) -> dict[str, bytes]:
    """The files of a package as npm packs them, by path inside it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", f"{package}@{version}"],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        (packed,) = Path(folder).glob("*.tgz")
        data = packed.read_bytes()
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                files[member.name.partition("/")[2]] = content.read()
    return files


def converted(text: str, suffix: str) -> str:
    """A library's text with its imports made relative and without its source map's name."""
    text = re.sub(
        r'(\bfrom\s*|\bimport\s*)"([^"./][^"]*)"', lambda m: f'{m[1]}"{IMPORTS[m[2]]}"', text
    )
    text = re.sub(r"\n?//# sourceMappingURL=\S+\s*$", "", text)
    return text.rstrip("\n") + (suffix or "\n")


def type_declaration(module: str) -> str:
    """Types of a vendored file: those of the package, present where maintainers check types."""
    default = f'export {{ default }} from "{module}";\n'
    return f'export * from "{module}";\n' + (
        default if module in ("uplot", "socket.io-client") else ""
    )


def vendored() -> dict[str, bytes]:
    """What the vendor folder should hold, by file name."""
    versions: dict[str, str] = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    packages = {
        name: package_files(name, versions[name])
        for name in sorted({library.package for library in LIBRARIES})
    }
    result = {}
    for library in LIBRARIES:
        text = packages[library.package][library.source].decode()
        result[library.target] = converted(text, library.suffix).encode()
        if library.types is not None:
            declaration = library.target.removesuffix(".js") + ".d.ts"
            result[declaration] = type_declaration(library.types).encode()
    licences = [
        f"{name} {versions[name]}\n\n{files['LICENSE'].decode().strip()}\n"
        for name, files in packages.items()
    ]
    result[LICENSES] = ("\n" + "-" * 80 + "\n\n").join(licences).encode()
    return result


def main() -> int:
    """Write or compare the vendor folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    wanted = vendored()
    found = {path.name: path.read_bytes() for path in VENDOR.glob("*")}
    different = sorted(
        name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
    )
    if check:
        for name in different:
            print(f"{VENDOR / name} is not what the packages hold", file=sys.stderr)
        return 1 if different else 0
    VENDOR.mkdir(parents=True, exist_ok=True)
    for name in different:
        if name in wanted:
            (VENDOR / name).write_bytes(wanted[name])
        else:
            (VENDOR / name).unlink()
    print(f"{len(wanted)} files in {VENDOR}, {len(different)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
