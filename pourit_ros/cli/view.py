# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit view`: a pour in the rerun viewer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from ..errors import InputError
from .inputs import check_inputs
from .options import Container, DeviceOption, Target, Weights
from .replay import replay_to


def view(
    bag: Annotated[
        Path,
        typer.Argument(
            metavar='BAG', help='A rosbag2, a folder of replay --rrd, or a .rrd recording.'
        ),
    ],
    weights: Weights = 'default',
    container: Container = 'pourit_bottle',
    target: Target = 'cup',
    device: DeviceOption = 'auto',
) -> None:
    """Look at a pour in the rerun viewer: image, mask, 3D, poses and curves on one timeline.

    A bag is replayed first and nothing is kept; replay --rrd keeps the recording, and takes
    topics and frames by other names. Needs the extra: pip install 'pourit_ros[rerun]'.

    Example: pourit view my_bag
    """
    check_inputs([bag], weights=weights)
    from ..bags.output import RECORDING
    from ..report.rerun_recording import require_rerun

    require_rerun()
    if bag.suffix == '.rrd':
        _open(bag)
    elif (bag / RECORDING).is_file():
        _open(bag / RECORDING)
    else:
        with TemporaryDirectory(prefix='pourit_view_') as folder:
            out = Path(folder) / 'replayed'
            replay_to(
                bag, out, live=False, weights=weights, source=container, target=target,
                device=device, rrd=True,
            )  # fmt: skip
            _open(out / RECORDING)


def _open(recording: Path) -> None:
    """Show a recording until its window is closed."""
    done = subprocess.run([sys.executable, '-m', 'rerun', str(recording)], check=False)
    if done.returncode:
        raise InputError(
            f'{recording}: the rerun viewer ended with status {done.returncode}; it needs a '
            'display. Without one: python -m rerun --web-viewer RECORDING'
        )
