"""The few pages and files in front of the gate beside the pages themselves."""

from __future__ import annotations

import html

STYLE_PATH = "/enter.css"
STYLE = b"""\
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; display: grid; min-height: 100vh; place-items: center; }
main { max-width: 34rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; }
.problem { border-left: 4px solid #c0392b; padding-left: .75rem; }
"""
# The script keeps the secret where pages of this address find it: storage belongs to scheme, name
# and port together. The page's place in the history is taken by the one that follows.
SCRIPT = b"""\
const { secret } = document.documentElement.dataset;
try {
  localStorage.setItem("cpt-studio.secret", secret);
} catch {
  sessionStorage.setItem("cpt-studio.secret", secret);
}
location.replace("/");
"""
# What a browser gets that asks for a service worker, whatever its address was. We have none, so
# one of this address was left by another program that had the port before.
FAREWELL = b"""\
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.registration.unregister()));
"""
PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
_PAGE = """<!doctype html>
<html lang="en"{data}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/enter.css">
<title>{title} - CPT Studio</title>
{head}</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def refused_page(reason: str) -> bytes:
    """Says why the file did not lead in, and leads to where the token can be pasted."""
    body = (
        f'<h1>Not signed in</h1>\n<p class="problem" role="alert">{html.escape(reason)}</p>\n'
        '<p><a href="/">Sign in with a token</a></p>'
    )
    return _PAGE.format(data="", title="Not signed in", head="", body=body).encode()


def arrival_page(secret: str, script: str) -> bytes:
    """Hands the secret over to the pages, and goes on to them.

    Args:
        secret: of the session that has just begun.
        script: the address of `SCRIPT`.
    """
    return _PAGE.format(
        data=f' data-secret="{html.escape(secret)}"',
        title="One moment",
        head=f'<script src="{html.escape(script)}" defer></script>\n',
        body='<p>Signed in. <a href="/">Continue to CPT Studio</a></p>',
    ).encode()
