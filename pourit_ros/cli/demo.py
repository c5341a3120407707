# SPDX-License-Identifier: Apache-2.0
"""`pourit demo`: a rendered pour through the live nodes, checked against its truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer
from numpy.typing import NDArray

from ..files import result_folder
from .options import Out
from .replay import replay_to
from .synth import record_pour

if TYPE_CHECKING:
    from ..bags.rows import Row

RATE = 12.0
SIZE = (480, 360)


def demo(out: Out = Path('pourit_demo')) -> None:
    """Watch a simulated pour through the real ROS 2 nodes.

    Renders a bottle that pours beside a cup and corrects itself, records it as a rosbag2, plays it
    at its own speed into liquid_perception and pour_monitor over Fast DDS, and compares what they
    say with the truth of the rendering.

    Example: pourit demo --out demo
    """
    from ..ros_processes import require_ros

    require_ros()
    with result_folder(out) as folder:
        truth = record_pour(folder, 'pour_bag', RATE, SIZE)
        result = replay_to(folder / 'pour_bag', folder / 'replay', live=True)
        lines = _findings(result.rows, truth)
    for line in lines:
        typer.echo(line)
    typer.echo(f'Report:   {out / "replay" / "report.html"}')
    typer.echo(f'Video:    {out / "replay" / "overlay.mp4"}')
    bag = out / 'pour_bag'
    typer.echo(f'The bag:  {bag}  (try: pourit replay {bag} --out again)')


def _findings(rows: Sequence[Row], truth: dict[int, NDArray[np.float64] | None]) -> list[str]:
    """What the nodes said, beside what was rendered."""
    right = sum(row.present == (truth[row.stamp_ns] is not None) for row in rows)
    errors = []
    for row in rows:
        true = truth[row.stamp_ns]
        if row.landing is not None and true is not None:
            errors.append(1000 * float(np.linalg.norm(np.array(row.landing) - true)))
    latencies = [row.latency_ms for row in rows if row.latency_ms is not None]
    lines = ['', f'Measured: {len(rows)} of {len(truth)} frames answered by the live nodes']
    lines.append(f'          liquid yes/no right in {right} of {len(rows)} frames')
    if errors:
        lines.append(
            f'          landing point off by {np.median(errors):.1f} mm (median), '
            f'{np.quantile(errors, 0.95):.1f} mm (95 %) in {len(errors)} frames'
        )
    if latencies:
        lines.append(
            f'          image to distance in {np.median(latencies):.0f} ms (median), '
            f'{np.quantile(latencies, 0.95):.0f} ms (95 %)'
        )
    return lines
