"""The few pages in front of the gate. They hold no script and no secret."""

from __future__ import annotations

import html

STYLE_PATH = "/enter.css"
STYLE = b"""\
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; display: grid; min-height: 100vh; place-items: center; }
main { max-width: 34rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; }
label { display: block; font-weight: 600; margin-bottom: .25rem; }
input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; }
button { font: inherit; margin-top: 1rem; padding: .5rem 1.25rem; }
.problem { border-left: 4px solid #c0392b; padding-left: .75rem; }
code { overflow-wrap: anywhere; }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{head}<link rel="icon" href="data:,">
<link rel="stylesheet" href="/enter.css">
<title>{title} - CPT Studio</title>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
_SIGN_IN = """<h1>CPT Studio</h1>
{problem}<p>This browser is not signed in. Open the address that the server printed when it
started, or paste the token. It is the one line of the file <code>.cpt-studio/token</code> in
the workspace.</p>
<form method="post" action="/enter">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="off" spellcheck="false" required
 autofocus>
<button>Sign in</button>
</form>"""
_GO_ON = """<p><a href="{path}">Go on to CPT Studio</a></p>"""


def sign_in_page(problem: str = "") -> bytes:
    """The page that asks for the token."""
    shown = f'<p class="problem" role="alert">{html.escape(problem)}</p>\n' if problem else ""
    return _PAGE.format(head="", title="Sign in", body=_SIGN_IN.format(problem=shown)).encode()


def going_on_page(path: str) -> bytes:
    """A page that goes on to another by itself.

    A browser sends a SameSite=Strict cookie only where the navigation began on this site. One
    that began elsewhere, and every redirect that follows it, comes without. From this page a
    new navigation begins.
    """
    escaped = html.escape(path, quote=True)
    refresh = f'<meta http-equiv="refresh" content="0; url={escaped}">\n'
    return _PAGE.format(head=refresh, title="One moment", body=_GO_ON.format(path=escaped)).encode()
