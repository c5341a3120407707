# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit demo`: a rendered pour through the live nodes, checked against its truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..files import check_folder, result_folder
from .ending import end_with
from .options import Out, Overwrite
from .replay import replay_to
from .synth import record_pour
from .terminal import say

RATE = 12.0
SIZE = (480, 360)


def demo(out: Out = Path('pourit_demo'), overwrite: Overwrite = False) -> None:
    """Watch a simulated pour through the real ROS 2 nodes.

    Renders a bottle that pours beside a cup and corrects itself, records it as a rosbag2, plays it
    in real time into liquid_perception and pour_monitor over Fast DDS, and compares their
    results with the truth of the rendering.

    Example: pourit demo --out demo
    """
    check_folder(out, overwrite=overwrite)
    from ..live.processes import require_ros

    require_ros()
    with result_folder(out, 'demo', overwrite=overwrite) as folder:
        truth = record_pour(folder, 'pour_bag', RATE, SIZE)
        result = replay_to(folder / 'pour_bag', folder / 'replay', live=True, truth=truth)
        account = replace(result.account, command='demo')
        account.write(folder)
    bag = out / 'pour_bag'
    say(f'The pour: {bag}  (try: pourit replay {bag} --out again)')
    results = (result.report, result.video, result.csv, result.bag)
    end_with(account, [out / 'replay' / path.name for path in results])
