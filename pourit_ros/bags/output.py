# SPDX-License-Identifier: Apache-2.0
"""The folder that a replay leaves behind, complete or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..files import result_folder
from .errors import BagError

CSV, VIDEO, REPORT, BAG = 'estimates.csv', 'overlay.mp4', 'report.html', 'bag'


@contextmanager
def replay_folder(out: str | Path) -> Iterator[Path]:
    """Yield a folder to fill; its contents are in `out` when the block ends.

    What a former replay left in `out` is replaced. Raises BagError when `out` is a file or holds
    anything else; nothing is left behind, and `out` is as it was, when the block raises.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise BagError(f'{out}: is a file, not a folder')
    if out.is_dir():
        foreign = sorted({item.name for item in out.iterdir()} - {CSV, VIDEO, REPORT, BAG})
        if foreign:
            raise BagError(f'{out}: holds other files ({foreign[0]}), choose an empty folder')
    with result_folder(out) as partial:
        yield partial
