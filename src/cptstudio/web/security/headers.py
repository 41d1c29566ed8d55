"""The headers that every answer carries."""

from __future__ import annotations

CSP_REPORT_PATH = "/csp-report"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; "
    f"frame-ancestors 'none'; report-uri {CSP_REPORT_PATH}"
)
SECURITY_HEADERS = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_OURS = {name.lower() for name, _ in SECURITY_HEADERS}


def with_security_headers(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return an answer's headers, completed.

    No layer below can loosen them, nor open the answer to other origins: Socket.IO would add
    CORS headers for the origins it knows. Only what clears the browser's storage may be loaded by
    another origin, the entry file's.
    """
    names = {name.lower() for name, _ in headers}
    ours = set(_OURS)
    if "clear-site-data" in names and "cross-origin-resource-policy" in names:
        ours.discard("cross-origin-resource-policy")
    kept = [
        (name, value)
        for name, value in headers
        if name.lower() not in ours and not name.lower().startswith("access-control-")
    ]
    if "cache-control" not in names:
        kept.append(("Cache-Control", "no-store"))
    return kept + [(name, value) for name, value in SECURITY_HEADERS if name.lower() in ours]
