"""Files that are excluded from corpora: secrets, generated files, hidden files.

The one list of it, for everything that comes into a corpus: folders of this machine, uploads,
folders dropped on the page (which gets these rules as data, `rules_for_pages`), and members of
archives. What is left aside is named in the report with its reason, and each kind can be
included. Names are compared without regard to case; the only wildcard is `*`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

Kind = Literal["secrets", "generated", "hidden"]
KINDS: tuple[Kind, ...] = get_args(Kind)
INCLUDED: dict[str, str] = {
    "hidden": "files and folders that start with a dot",
    "generated": "installed packages, virtual environments, build output, minified and lock files",
    "secrets": "environment files, private keys and credentials (the model will learn them)",
}
"""What comes in when a kind is included."""


@dataclass(frozen=True)
class Aside:
    """A reason to exclude a file: its kind, and the reason as shown after its name."""

    kind: Kind
    reason: str


@dataclass(frozen=True)
class Rule:
    """A rule: names of folders, and of files, that are left aside for the same reason."""

    aside: Aside
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def _names(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_SECRET = Aside("secrets", "may contain secrets")
RULES = (
    Rule(
        _SECRET,
        folders=_names(".aws .azure .docker .gcloud .gnupg .kube .password-store .ssh .terraform"),
        files=_names(
            ".env .env.* *.env *.pem *.key *.p12 *.pfx *.jks *.ppk *.keystore *.kdbx *.gpg "
            "*.pgp *.tfstate *.tfstate.backup *.tfvars id_rsa* id_dsa* id_ecdsa* id_ed25519* "
            ".netrc _netrc .pypirc .npmrc .yarnrc* .pgpass .my.cnf .htpasswd .dockercfg .boto "
            ".git-credentials .*_history credentials.json client_secret*.json "
            "service-account*.json service_account*.json secrets.json secrets.toml "
            "secrets.yml secrets.yaml wallet.dat"
        ),
    ),
    Rule(
        Aside("generated", "version control data"),
        folders=_names(".git .hg .svn .bzr .jj cvs"),
    ),
    Rule(
        Aside("generated", "installed packages"),
        folders=_names(
            "node_modules bower_components site-packages *.egg-info *.dist-info .venv .eggs"
        ),
    ),
    Rule(
        Aside("generated", "build output or cache"),
        folders=_names(
            "dist build target __pycache__ htmlcov .tox .nox .next .nuxt .svelte-kit "
            ".parcel-cache .turbo .gradle .mypy_cache .pytest_cache .ruff_cache .cache "
            ".ipynb_checkpoints __macosx"
        ),
        files=_names("*.map *.pyc *.class *.o thumbs.db desktop.ini"),
    ),
    Rule(
        Aside("generated", "minified file"),
        files=_names("*.min.js *.min.mjs *.min.css *.bundle.js *.chunk.js *-min.js"),
    ),
    Rule(
        Aside("generated", "lock file"),
        files=_names(
            "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock "
            "poetry.lock uv.lock pdm.lock pipfile.lock cargo.lock composer.lock gemfile.lock "
            "flake.lock mix.lock go.sum"
        ),
    ),
    Rule(
        Aside("hidden", "hidden file or folder (starts with a dot)"),
        folders=_names(".*"),
        files=_names(".*"),
    ),
)
# A file that marks the folder it lies in (PEP 405; Cache Directory Tagging Specification).
MARKS = {
    "pyvenv.cfg": Aside("generated", "virtual environment"),
    "cachedir.tag": Aside("generated", "cache (it has a CACHEDIR.TAG)"),
}
_PRIVATE_KEY = Aside("secrets", "contains a private key")
_KEY_WORDS = b"PRIVATE KEY"
# The line that opens a key (RFC 7468), and soon after it a long run of base64: a text that only
# speaks of keys is none. The line's end may be an escape, as in JSON.
_KEY = re.compile(
    rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]{0,400}?[A-Za-z0-9+/=]{40}"
)
_KEY_LENGTH = 600
_WRITTEN_BY_HAND = frozenset({".js", ".mjs", ".cjs", ".css"})
_HEAD = 1 << 16
_MEAN_LINE = 200
_LEAST = 2_000


def _pattern(globs: Iterable[str]) -> re.Pattern[str]:
    parts = ("[^/]*".join(map(re.escape, one.split("*"))) for one in globs)
    return re.compile("|".join(parts) or "(?!)", re.IGNORECASE)


_PATTERNS = [(rule.aside, _pattern(rule.folders), _pattern(rule.files)) for rule in RULES]


class LeftAside:
    """Decides what is left aside.

    Args:
        include: kinds that are read all the same.
    """

    def __init__(self, include: Collection[str] = ()) -> None:
        self._include = frozenset(include)

    def of_name(self, name: str, *, folder: bool) -> Aside | None:
        """Return why a file or folder of this name is left aside; None when it is read.

        The first rule decides: `.env` is a secret, not a hidden file.
        """
        for aside, folders, files in _PATTERNS:
            if (folders if folder else files).fullmatch(name):
                return None if aside.kind in self._include else aside
        return None

    def of_folder(self, names: Iterable[str]) -> Aside | None:
        """Return why a folder with entries of these names is left aside."""
        for name in names:
            aside = MARKS.get(name.lower())
            if aside is not None and aside.kind not in self._include:
                return aside
        return None

    def of_path(
        self, path: str, marked: dict[str, Aside] | None = None, *, given: bool = False
    ) -> tuple[str, Aside] | None:
        """Return the part of a path from its start that is left aside, and why.

        Args:
            path: names with slashes between them; the last is a file's.
            marked: folders that are left aside for what lies in them, see `marked_folders`.
            given: its first folder was given by the user, as a folder to upload: then it is
                left aside only as one that may hold secrets.
        """
        names = path.split("/")
        for place, name in enumerate(names):
            here = "/".join(names[: place + 1])
            last = place == len(names) - 1
            aside = (marked or {}).get(here) or self.of_name(name, folder=not last)
            if given and not place and not last and aside and aside.kind != "secrets":
                continue
            if aside is not None:
                return here, aside
        return None

    def marked_folders(self, paths: Iterable[str]) -> dict[str, Aside]:
        """Return the folders among these paths that hold a file which marks them."""
        found = {}
        for path in paths:
            folder, _, name = path.rpartition("/")
            aside = self.of_folder([name])
            if folder and aside is not None:
                found[folder] = aside
        return found

    def of_secret_path(self, names: Sequence[str]) -> Aside | None:
        """Return why something that was named itself, by these folders and its name, is refused."""
        if "secrets" in self._include:
            return None
        aside, folders, files = _PATTERNS[0]
        inside = any(folders.fullmatch(name) for name in names)
        return aside if inside or files.fullmatch(names[-1] if names else "") else None

    def of_content(self, suffix: str, head: bytes) -> Aside | None:
        """Return why a file of this suffix whose first bytes these are is left aside."""
        if "generated" in self._include or suffix not in _WRITTEN_BY_HAND or len(head) < _LEAST:
            return None
        lines = head.count(b"\n") + 1
        return Aside("generated", "minified file") if len(head) > _MEAN_LINE * lines else None

    def wants_head(self, suffix: str) -> int:
        """Return how many bytes `of_content` looks at, 0 where a file's content decides nothing."""
        return _HEAD if suffix in _WRITTEN_BY_HAND and "generated" not in self._include else 0

    def key_finder(self) -> KeyFinder | None:
        """Return a finder of private keys, if texts with them are excluded."""
        return None if "secrets" in self._include else KeyFinder()


class KeyFinder:
    """Looks for a private key in one text that comes in parts."""

    aside = _PRIVATE_KEY

    def __init__(self) -> None:
        self._before = b""

    def holds_key(self, data: bytes) -> bool:
        """Return whether the text up to the end of this part holds a key."""
        window = self._before + data
        self._before = window[-_KEY_LENGTH:]
        return _KEY_WORDS in window and _KEY.search(window) is not None


def rules_for_pages() -> dict[str, Any]:
    """Return the rules about names as data: what a page needs to leave the same things aside."""
    return {
        "rules": [
            {
                "kind": rule.aside.kind,
                "reason": rule.aside.reason,
                "folders": list(rule.folders),
                "files": list(rule.files),
            }
            for rule in RULES
        ],
        "marks": [
            {"name": name, "kind": aside.kind, "reason": aside.reason}
            for name, aside in MARKS.items()
        ],
    }
