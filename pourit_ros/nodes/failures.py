# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors as one line of a log."""

from __future__ import annotations

from pathlib import Path

PACKAGE = str(Path(__file__).resolve().parents[1])


def line(error: BaseException) -> str:
    """The message of an error, on one line."""
    return ' '.join(str(error).split()) or type(error).__name__


def where(error: BaseException) -> str:
    """A defect, and the innermost line of this package that raised it."""
    place, trace = '', error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(PACKAGE):
            place = f' ({Path(file).name}:{trace.tb_lineno})'
        trace = trace.tb_next
    return f'{type(error).__name__}: {line(error)}{place}'
