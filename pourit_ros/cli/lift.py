# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit lift`: from RGB-D scenes to clouds, images and distances."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ..files import check_folder, result_folder
from .ending import end_with
from .inputs import check_inputs
from .options import (
    Container,
    DeviceOption,
    Out,
    Overwrite,
    PlaneOption,
    Target,
    Weights,
)
from .progress import track
from .terminal import say

if TYPE_CHECKING:
    from ..formats.estimates_csv import Row
    from ..pipeline import Frame
    from ..report.account import Account


def lift(
    scenes: Annotated[list[Path], typer.Argument(metavar='SCENE...', help='Scene folders.')],
    out: Out,
    plane: PlaneOption = 'axis',
    container: Container = 'pourit_bottle',
    target: Target = 'cup',
    masks: Annotated[
        bool, typer.Option('--masks', help="Use the scenes' own _mask.png instead of a network.")
    ] = False,
    weights: Weights = 'default',
    overwrite: Overwrite = False,
    device: DeviceOption = 'auto',
) -> None:
    """Lift the liquid of RGB-D scenes to 3D.

    A scene is a folder in PourIt!'s layout: <stem>_rgb.png, _depth.png (mm), _camK.txt,
    _Tobj2cam.txt or _Tsource2cam.txt, _Tcam2base.txt and, for a distance, _Ttarget2cam.txt. Writes
    for each frame an image and PLY clouds (base frame), then estimates.csv and summary.json.

    Example: pourit lift scene1 scene2 --out lifted --masks
    """
    check_folder(out, [*scenes, weights], overwrite)
    check_inputs(folders=scenes, weights=None if masks else weights)
    from .. import geometry
    from ..formats.estimates_csv import row_from_estimate, write_csv
    from ..formats.images import write_image
    from ..formats.scenes import load_pourit_scene, load_pourit_segmentation
    from ..pipeline import PourEstimator, PourObserver, lift_frame
    from ..report.account import Account
    from ..report.clouds import write_clouds
    from ..report.lift_picture import draw_lift

    source = geometry.Container.load(container)
    receiver = geometry.Container.load(target)
    frames: list[tuple[Path, Frame]] = [(s, f) for s in scenes for f in load_pourit_scene(s)]
    names = [frame.name for _, frame in frames]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f'{min(twice)}: two scenes hold a frame of this name')
    estimator = PourEstimator(receiver)
    if not masks:
        from ..perception import Segmenter

        segmenter = Segmenter(weights, device)
        observer = PourObserver(segmenter, source, plane, target=receiver)

    rows = []
    account = Account('lift', len(frames), depth_used=0, facts={'plane': plane})
    with result_folder(out, 'lift', [*scenes, weights], overwrite) as folder:
        for scene, frame in track(frames, 'lift', len(frames)):
            start = time.perf_counter()
            if masks:
                segmentation = load_pourit_segmentation(scene, frame)
                observation = lift_frame(frame, segmentation, source, plane)
            else:
                observation = observer.observe(frame)
            estimate = estimator.estimate(observation, frame.T_base_cam, frame.T_base_target)
            row = row_from_estimate(estimate, 1000 * (time.perf_counter() - start))
            rows.append(row)
            _count(account, frame, row)
            write_clouds(folder, frame.name, frame, observation, estimate)
            picture = draw_lift(frame, observation, estimate, source, receiver)
            write_image(folder / f'{frame.name}_lift.png', picture)
        write_csv(folder / 'estimates.csv', rows)
        account.add_rows(rows)
        account.write(folder)
    for row in rows:
        if not row.present:
            say(f'{row.frame}: no liquid')
            continue
        parts = []
        if row.lowest is not None:
            parts.append('lowest point ({:.4f}, {:.4f}, {:.4f}) m'.format(*row.lowest))
        if row.distance is not None:
            parts.append(f'distance {row.distance:.4f} m')
        if row.margin is not None:
            parts.append(f'margin {1000 * row.margin:+.0f} mm')
        say(f'{row.frame}: ' + '; '.join([*parts, *filter(None, [row.reason])]))
    end_with(account, [out], {'frames': [asdict(row) for row in rows]})


def _count(account: Account, frame: Frame, row: Row) -> None:
    """Count frames with depth, and those measured as far as a scene without a target allows."""
    if frame.depth is not None:
        account.depth_used = (account.depth_used or 0) + 1
    else:
        account.depth_unused['the scene has no _depth.png'] += 1
    no_target = frame.T_base_target is None
    account.partly += no_target and row.present and not row.valid and row.lowest is not None
