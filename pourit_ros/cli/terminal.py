# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Output of a command: text for a person, or one JSON document for a program."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import typer

Quiet = Annotated[
    bool, typer.Option('--quiet', '-q', help='Hide progress and the account; errors still appear.')
]
Json = Annotated[
    bool, typer.Option('--json', help='Print one JSON document on stdout instead of text.')
]


@dataclass
class Terminal:
    """The output that the user asked for."""

    quiet: bool = False
    json: bool = False


terminal = Terminal()


def say(text: str) -> None:
    """Print a line about the run, except with --quiet or --json."""
    if not terminal.quiet and not terminal.json:
        typer.echo(text)


def show(document: object, text: str) -> None:
    """Print the measurements: `document` with --json, else `text`."""
    if terminal.json:
        # A name that is no UTF-8 stays printable: JSON's own escapes, ASCII throughout.
        typer.echo(json.dumps(document, indent=2))
    elif text:
        typer.echo(text)


def add_command(
    app: typer.Typer, name: str, function: Callable[..., None], measures: bool = False
) -> None:
    """Add a command to `app`, with --quiet, and with --json if it `measures` something."""
    options: dict[str, Any] = {'quiet': Quiet, **({'json': Json} if measures else {})}

    @wraps(function)
    def run(*args: Any, **given: Any) -> None:
        for option in options:
            setattr(terminal, option, given.pop(option))
        try:
            function(*args, **given)
        finally:
            terminal.quiet = terminal.json = False

    signature = inspect.signature(function, eval_str=True)
    added = [
        inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for option, kind in options.items()
    ]
    # typer reads both; `function` keeps its own.
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), *added]
    )
    run.__annotations__ = {**function.__annotations__, **options}
    app.command(name)(run)
