"""`cpt-studio serve`: the same as start_web_interface.py, with the same options."""

from __future__ import annotations

import typer


def serve(context: typer.Context) -> None:
    """Start the web interface and open it in the browser."""
    from cptstudio.web.options import parse_options
    from cptstudio.web.serve.server import serve as serve_workspace

    serve_workspace(parse_options(context.args, "cpt-studio serve"))


PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
