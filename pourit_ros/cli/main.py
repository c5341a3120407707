# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The `pourit` command."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

import typer

from .. import __version__
from ..errors import InputError
from ..files import SIGNALS
from . import (
    bench,
    collect,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    lift,
    replay,
    segment,
    sim,
    synth,
    train,
    view,
)
from .terminal import add_command

app = typer.Typer(
    name='pourit',
    help='Watch a robot pour: liquid mask, 3D stream and liquid-to-container distance.',
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
add_command(app, 'demo', demo.demo, measures=True)
add_command(app, 'sim', sim.sim, measures=True)
add_command(app, 'segment', segment.segment, measures=True)
add_command(app, 'explain', explain.explain, measures=True)
add_command(app, 'lift', lift.lift, measures=True)
add_command(app, 'replay', replay.replay, measures=True)
add_command(app, 'view', view.view)
add_command(app, 'collect', collect.collect, measures=True)
add_command(app, 'synth', synth.synth)
add_command(app, 'train', train.train, measures=True)
add_command(app, 'eval', evaluate.evaluate, measures=True)
add_command(app, 'export', export.export)
add_command(app, 'doctor', doctor.doctor, measures=True)
app.add_typer(bench.app, name='bench')


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def common(
    version: bool = typer.Option(
        False,
        '--version',
        '-V',
        callback=_version,
        is_eager=True,
        help='Print the version and exit.',
    ),
) -> None:
    """Watch a robot pour: liquid mask, 3D stream and liquid-to-container distance."""


# How soon an interruption that was ignored is raised again, s.
AGAIN = 0.05


class Interrupted(BaseException):
    """A signal asks the command to end; half-written files are removed on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number, self.status = number, 128 + number


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted(number)


def _interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """Raise an interruption again that Python ignored, as it does in destructors and forks."""
    if not isinstance(lost.exc_value, Interrupted):
        sys.__unraisablehook__(lost)
        return
    number = lost.exc_value.number
    signal.signal(signal.SIGALRM, lambda _, frame: _interrupt(number, frame))
    signal.setitimer(signal.ITIMER_REAL, AGAIN)


def _end_on_signals() -> None:
    """Make Ctrl-C, `kill` and a closed terminal unwind the command instead of cutting it off."""
    sys.unraisablehook = _interrupt_again
    for number in SIGNALS:
        # Ignored by whoever started us: nohup, a shell's background jobs.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def main() -> None:
    """Run the command line; bad input ends with one line on stderr and exit status 2."""
    _end_on_signals()
    try:
        app()
    except (InputError, OSError) as error:
        if stop := _interruption_behind(error):
            _end_interrupted(stop)
        line = ' '.join(str(error).split())
        print(f'pourit: {_printable(line)}', file=sys.stderr)
        sys.exit(2)
    except Interrupted as stop:
        _end_interrupted(stop)


def _end_interrupted(stop: Interrupted) -> NoReturn:
    print('pourit: interrupted', file=sys.stderr)
    sys.exit(stop.status)


def _interruption_behind(error: BaseException) -> Interrupted | None:
    """Return the interruption that an error followed from.

    A library that is cut off between closing a file and noting that closes it again.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, Interrupted):
        cause = cause.__context__
    return cause


def _printable(text: str) -> str:
    """Names of files that are not UTF-8 cannot be printed as they are."""
    return text.encode('utf-8', 'backslashreplace').decode('utf-8')


if __name__ == '__main__':
    main()
