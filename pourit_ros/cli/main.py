# SPDX-License-Identifier: Apache-2.0
"""The `pourit` command."""

from __future__ import annotations

import sys

import typer

from .. import __version__
from ..errors import InputError
from . import bench, collect, demo, evaluate, export, lift, replay, segment, synth, train

app = typer.Typer(
    name='pourit',
    help='Watch a robot pour: liquid mask, 3D stream and liquid-to-container distance.',
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command('demo')(demo.demo)
app.command('segment')(segment.segment)
app.command('lift')(lift.lift)
app.command('replay')(replay.replay)
app.command('collect')(collect.collect)
app.command('synth')(synth.synth)
app.command('train')(train.train)
app.command('eval')(evaluate.evaluate)
app.command('export')(export.export)
app.add_typer(bench.app, name='bench')


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def common(
    version: bool = typer.Option(
        False, '--version', callback=_version, is_eager=True, help='Print the version and exit.'
    ),
) -> None:
    """Watch a robot pour: liquid mask, 3D stream and liquid-to-container distance."""


def main() -> None:
    """Run the command line; bad input ends with one line on stderr and exit status 2."""
    try:
        app()
    except (InputError, OSError) as error:
        line = ' '.join(str(error).split())
        print(f'pourit: {line}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print('pourit: interrupted', file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    main()
