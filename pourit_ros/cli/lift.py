# SPDX-License-Identifier: Apache-2.0
"""`pourit lift`: RGB-D scenes to clouds, pictures and distances."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..files import result_folder
from .errors import CommandError
from .options import Container, Device, DeviceOption, Out, Plane, PlaneOption, Target, Weights
from .progress import track

if TYPE_CHECKING:
    from ..pipeline import Frame


def lift(
    scenes: Annotated[list[Path], typer.Argument(metavar='SCENE...', help='Scene folders.')],
    out: Out,
    plane: PlaneOption = Plane.axis,
    container: Container = 'pourit_bottle',
    target: Target = 'cup',
    masks: Annotated[
        bool, typer.Option('--masks', help="Use the scenes' own _mask.png, no network.")
    ] = False,
    weights: Weights = 'default',
    device: DeviceOption = Device.auto,
) -> None:
    """Lift the liquid of RGB-D scenes to 3D.

    A scene is a folder in PourIt!'s layout: <stem>_rgb.png, _depth.png (mm), _camK.txt,
    _Tobj2cam.txt or _Tsource2cam.txt, _Tcam2base.txt and, for a distance, _Ttarget2cam.txt. Writes
    for each frame a picture and PLY clouds (base frame), and estimates.csv.

    Example: pourit lift scene1 scene2 --out lifted --masks
    """
    from .. import geometry
    from ..bags.rows import row_from_estimate, write_csv
    from ..pipeline import PourEstimator, PourObserver, lift_frame
    from ..report.clouds import write_clouds
    from ..report.lift_picture import draw_lift
    from ..scenes import load_pourit_scene, load_pourit_segmentation

    source = geometry.Container.load(container)
    receiver = geometry.Container.load(target)
    frames: list[tuple[Path, Frame]] = [(s, f) for s in scenes for f in load_pourit_scene(s)]
    names = [frame.name for _, frame in frames]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise CommandError(f'{min(twice)}: two scenes hold a frame of this name')
    estimator = PourEstimator(receiver)
    if not masks:
        from ..perception import Segmenter

        segmenter = Segmenter.load(weights, device.kind)
        observer = PourObserver(segmenter, source, plane.mode, target=receiver)

    rows = []
    with result_folder(out) as folder:
        for scene, frame in track(frames, 'lift', len(frames)):
            start = time.perf_counter()
            if masks:
                segmentation = load_pourit_segmentation(scene, frame)
                observation = lift_frame(frame, segmentation, source, plane.mode)
            else:
                observation = observer.observe(frame)
            estimate = estimator.estimate(observation, frame.T_base_cam, frame.T_base_target)
            rows.append(row_from_estimate(estimate, 1000 * (time.perf_counter() - start)))
            write_clouds(folder, frame.name, frame, observation, estimate)
            draw_lift(
                frame, observation, estimate, source, receiver, folder / f'{frame.name}_lift.png'
            )
        write_csv(folder / 'estimates.csv', rows)
    for row in rows:
        if not row.present:
            typer.echo(f'{row.frame}: no liquid')
            continue
        parts = []
        if row.lowest is not None:
            parts.append('lowest point ({:.4f}, {:.4f}, {:.4f}) m'.format(*row.lowest))
        if row.distance is not None:
            parts.append(f'distance {row.distance:.4f} m')
        if row.margin is not None:
            parts.append(f'margin {1000 * row.margin:+.0f} mm')
        typer.echo(f'{row.frame}: ' + '; '.join([*parts, *filter(None, [row.reason])]))
    typer.echo(f'Pictures, clouds and estimates.csv: {out}')
