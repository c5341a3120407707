# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit segment`: images, folders or videos to masks and overlays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..files import check_folder
from .ending import end_with
from .inputs import check_inputs
from .options import DeviceOption, Out, Overwrite, Refine, Threads, Weights
from .progress import track


def segment(
    inputs: Annotated[
        list[Path], typer.Argument(metavar='IN...', help='Images, folders or videos.')
    ],
    out: Out,
    recursive: Annotated[
        bool, typer.Option('--recursive', help='Also search subfolders.')
    ] = False,
    overlay: Annotated[
        bool | None,
        typer.Option(
            '--overlay/--no-overlay',
            help='Also draw overlays of images. Default: only of videos.',
        ),
    ] = None,
    overwrite: Overwrite = False,
    weights: Weights = 'default',
    device: DeviceOption = 'auto',
    threads: Threads = None,
    refine: Refine = None,
) -> None:
    """Segment the liquid stream in images.

    Writes <stem>_mask.png (0/255), <stem>_cam.png (activation 0..255), presence.csv
    (stem,probability,present) and summary.json; with --overlay <stem>_overlay.jpg. Frames of a
    video get stems <video>_<index>, and the video its <video>_overlay.mp4. Images that cannot be
    read are listed at the end, with exit status 1; the results of the others are kept.

    Example: pourit segment frames/ pour.mp4 --out masks
    """
    check_folder(out, [*inputs, weights], overwrite)
    check_inputs(inputs, weights=weights)
    from ..formats.media import find_media, frame_count

    found = find_media(inputs, recursive)
    from ..perception import Segmenter
    from ..report.segment_files import write_segmented

    segmenter = Segmenter(weights, device, threads, refine)
    counts = {item.path: frame_count(item.path) if item.is_video else 1 for item in found.media}
    account, failed = write_segmented(
        segmenter, found, counts, out, [*inputs, weights], overlay, overwrite,
        lambda images: track(images, 'segment', sum(counts.values())),
    )  # fmt: skip
    for line in failed:
        typer.echo(line, err=True)
    end_with(account, [out])
