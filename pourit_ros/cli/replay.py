# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit replay`: rosbag2s to estimates, video, report and output bag."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ..files import check_folder
from .ending import end_with
from .inputs import check_inputs
from .options import (
    ClusterOption,
    Container,
    DeviceOption,
    Out,
    Overwrite,
    PlaneOption,
    Target,
    Threads,
    Weights,
)
from .progress import progress_bar

if TYPE_CHECKING:
    from ..bags.reader import ReaderOptions
    from ..bags.replay import ReplayResult
    from ..geometry.plane import PlaneMode


def replay(
    bags: Annotated[
        list[Path], typer.Argument(metavar='BAG...', help='A rosbag2: folder, .mcap or .db3.')
    ],
    out: Out,
    live: Annotated[
        bool, typer.Option('--live', help='Run the ROS 2 nodes instead of this process.')
    ] = False,
    rate: Annotated[
        float,
        typer.Option(min=0.0, help='With --live: playback speed; 0 waits for every answer.'),
    ] = 1.0,
    weights: Weights = 'default',
    plane: PlaneOption = 'axis',
    container: Container = 'pourit_bottle',
    target: Target = 'cup',
    base_frame: Annotated[str, typer.Option(help='Frame whose z axis points up.')] = 'base',
    source_frame: Annotated[
        str, typer.Option(help='TF frame of the source; default: use its pose topic.')
    ] = '',
    target_frame: Annotated[
        str, typer.Option(help='TF frame of the target; default: use its pose topic.')
    ] = '',
    topic: Annotated[
        list[str] | None,
        typer.Option(
            metavar='ROLE=TOPIC',
            help='Topic of color, info, depth, source_pose, target_pose or camera_pose; '
            'default: found by type and name.',
        ),
    ] = None,
    include_inputs: Annotated[
        bool,
        typer.Option(
            '--include-inputs', help='Copy images, camera info, TF and poses into the output bag.'
        ),
    ] = False,
    rrd: Annotated[
        bool,
        typer.Option('--rrd', help='Also write replay.rrd, a recording for the rerun viewer.'),
    ] = False,
    overwrite: Overwrite = False,
    device: DeviceOption = 'auto',
    threads: Threads = None,
    cluster: ClusterOption = None,
) -> None:
    """Replay recorded pours.

    Writes estimates.csv, summary.json, overlay.mp4, report.html and bag/, a rosbag2 with what the
    nodes publish, recorded with the times of its source, so that both can be opened together.
    Offline, every frame is processed; --live plays the bag into liquid_perception and
    pour_monitor over Fast DDS, where frames may be dropped as on the robot.
    Several bags, and bags on a cluster, each get a folder of their own inside --out.

    Example: pourit replay my_bag --out replayed --target mug

    Example: pourit replay night/* --out replays --cluster tcp://head:8786
    """
    several = len(bags) > 1 or cluster is not None
    if several and live:
        raise InputError('--live plays one bag at a time, and not on a cluster')
    if not several:
        check_folder(out, [*bags, weights], overwrite)
    check_inputs(bags, weights=weights)
    roles = _roles(topic or [])
    from ..bags.reader import ReaderOptions
    from ..sync.assembler import AssemblerOptions

    frames = AssemblerOptions(
        source_frame=source_frame, target_frame=target_frame, base_frame=base_frame
    )
    read = ReaderOptions(roles, frames)
    if several:
        from ..geometry import Container as Vessel
        from .replay_many import Offline, replay_many

        how = Offline(
            weights, plane, Vessel.load(container), Vessel.load(target), device, threads, read,
            include_inputs, overwrite, rrd,
        )  # fmt: skip
        if rrd:
            from ..report.rerun_recording import require_rerun

            require_rerun()
        replay_many(bags, out, how, cluster)
        return
    result = replay_to(
        bags[0], out, live, rate, weights, plane, container, target, device, threads,
        read, include_inputs, overwrite=overwrite, rrd=rrd,
    )  # fmt: skip
    recording = [result.recording] if rrd else []
    end_with(result.account, (result.report, result.video, result.csv, result.bag, *recording))


def replay_to(
    bag: Path,
    out: Path,
    live: bool,
    rate: float = 1.0,
    weights: str = 'default',
    plane: PlaneMode = 'axis',
    source: str = 'pourit_bottle',
    target: str = 'cup',
    device: DeviceOption = 'auto',
    threads: int | None = None,
    options: ReaderOptions | None = None,
    include_inputs: bool = False,
    overwrite: bool = False,
    rrd: bool = False,
) -> ReplayResult:
    """Replay with a progress bar, offline or through the live nodes."""
    if rrd:
        from ..report.rerun_recording import require_rerun

        require_rerun()
    from ..geometry import Container as Vessel

    containers = Vessel.load(source), Vessel.load(target)
    from ..live.processes import require_ros
    from ..perception import Segmenter

    if live:
        require_ros()
    segmenter = Segmenter(weights, device, threads)
    threshold = segmenter.metadata.presence_threshold
    with progress_bar() as bar:
        task = bar.add_task('live nodes' if live else 'replay', total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if live:
            from ..live.report import report_live

            # The nodes load the weights themselves; two networks would share the processor.
            del segmenter
            return report_live(
                bag, out, weights, source, target, plane, rate, device, threads, options, show,
                threshold, include_inputs, overwrite, rrd,
            )  # fmt: skip
        from ..bags.replay import replay as replay_offline
        from ..pipeline import PourPipeline

        pipeline = PourPipeline(segmenter, *containers, plane)
        return replay_offline(
            bag, out, pipeline, options, show, threshold, include_inputs, overwrite, rrd
        )


def _roles(pairs: list[str]) -> dict[str, str]:
    roles = {}
    for pair in pairs:
        role, equals, name = pair.partition('=')
        if not equals or not name:
            raise InputError(f'--topic {pair}: expected ROLE=TOPIC, e.g. color=/cam/image')
        roles[role] = name
    return roles
