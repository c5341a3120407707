# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How a command that processes frames ends: its account, its results, its exit status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .terminal import say, show, terminal

if TYPE_CHECKING:
    from ..report.account import Account


def end_with(
    account: Account, results: Iterable[Path], figures: Mapping[str, Any] | None = None
) -> None:
    """Print the account and the place of the results; raises typer.Exit unless the status is 0.

    With --json: summary.json's content, `results` as paths, and `figures`.
    """
    results = list(results)
    for line in account.lines():
        say(line)
    for path in results:
        say(f'  {path}')
    if terminal.json:
        paths = [str(path) for path in results]
        show({**account.as_dict(), 'results': paths, **(figures or {})}, '')
    if account.banner:
        typer.echo(f'pourit: {account.banner}', err=True)
    if account.status:
        raise typer.Exit(account.status)
