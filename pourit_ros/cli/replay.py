# SPDX-License-Identifier: Apache-2.0
"""`pourit replay`: a rosbag2 to estimates, video, report and output bag."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .errors import CommandError
from .options import (
    Container,
    Device,
    DeviceOption,
    Out,
    Plane,
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
    bag: Annotated[Path, typer.Argument(metavar='BAG', help='A rosbag2: folder, .mcap or .db3.')],
    out: Out,
    live: Annotated[
        bool, typer.Option('--live', help='Through the ROS 2 nodes instead of in this process.')
    ] = False,
    rate: Annotated[
        float,
        typer.Option(min=0.0, help='With --live: speed of play; 0 waits for every answer.'),
    ] = 1.0,
    weights: Weights = 'default',
    plane: PlaneOption = Plane.axis,
    container: Container = 'pourit_bottle',
    target: Target = 'cup',
    base_frame: Annotated[str, typer.Option(help='Frame whose z axis points up.')] = 'base',
    source_frame: Annotated[
        str, typer.Option(help='TF frame of the source; empty: its pose topic.')
    ] = '',
    target_frame: Annotated[
        str, typer.Option(help='TF frame of the target; empty: its pose topic.')
    ] = '',
    topic: Annotated[
        list[str] | None,
        typer.Option(
            metavar='ROLE=TOPIC',
            help='Topic of color, info, depth, source_pose, target_pose or camera_pose; '
            'found by type and name where not given.',
        ),
    ] = None,
    device: DeviceOption = Device.auto,
    threads: Threads = None,
) -> None:
    """Replay a recorded pour.

    Writes estimates.csv, overlay.mp4, report.html and bag/, a rosbag2 with what the nodes publish.
    Offline, every frame is processed; --live plays the bag into liquid_perception and
    pour_monitor over Fast DDS, where frames may be dropped as on the robot.

    Example: pourit replay my_bag --out replayed --target mug
    """
    from ..bags.reader import ReaderOptions
    from ..frames import AssemblerOptions

    frames = AssemblerOptions(
        source_frame=source_frame, target_frame=target_frame, base_frame=base_frame
    )
    result = replay_to(
        bag, out, live, rate, weights, plane.mode, container, target, device.kind, threads,
        ReaderOptions(_roles(topic or []), frames),
    )  # fmt: skip
    wet = [row for row in result.rows if row.present]
    inside = sum(row.margin is not None and row.margin > 0 for row in wet)
    typer.echo(
        f'{len(result.rows)} frames, liquid in {len(wet)}, lands inside in {inside}; '
        f'{sum(row.valid for row in wet)} with every quantity estimated'
    )
    for path in (result.report, result.video, result.csv, result.bag):
        typer.echo(f'  {path}')


def replay_to(
    bag: Path,
    out: Path,
    live: bool,
    rate: float = 1.0,
    weights: str = 'default',
    plane: PlaneMode = 'axis',
    source: str = 'pourit_bottle',
    target: str = 'cup',
    device: Literal['auto', 'cpu', 'cuda'] = 'auto',
    threads: int | None = None,
    options: ReaderOptions | None = None,
) -> ReplayResult:
    """Replay with a progress bar, offline or through the live nodes."""
    from .. import geometry
    from ..perception import Segmenter
    from ..ros_processes import require_ros

    if live:
        require_ros()
    segmenter = Segmenter.load(weights, device, threads)
    threshold = segmenter.metadata.presence_threshold
    with progress_bar() as bar:
        task = bar.add_task('live nodes' if live else 'replay', total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if live:
            from ..live_report import report_live

            # The nodes load the weights themselves; two networks would share the processor.
            del segmenter
            return report_live(
                bag, out, weights, source, target, plane, rate, device, threads, options, show,
                threshold,
            )  # fmt: skip
        from ..bags.replay import replay as replay_offline
        from ..pipeline import PourPipeline

        pipeline = PourPipeline(
            segmenter, geometry.Container.load(source), geometry.Container.load(target), plane
        )
        return replay_offline(bag, out, pipeline, options, show, threshold)


def _roles(pairs: list[str]) -> dict[str, str]:
    roles = {}
    for pair in pairs:
        role, equals, name = pair.partition('=')
        if not equals or not name:
            raise CommandError(f'--topic {pair}: expected ROLE=TOPIC, e.g. color=/cam/image')
        roles[role] = name
    return roles
