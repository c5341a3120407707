# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit explain`: class activation maps side by side, with scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from ..files import check_folder
from ..perception.errors import require_torch
from .ending import end_with
from .inputs import check_inputs
from .options import Out, Overwrite, Threads, TorchDevice, Weights
from .progress import track
from .terminal import terminal


def explain(
    inputs: Annotated[
        list[Path], typer.Argument(metavar='IMAGE...', help='Images, or folders of images.')
    ],
    out: Out,
    methods: Annotated[
        str, typer.Option(help='all, or names joined by commas, such as cam,grad_cam.')
    ] = 'all',
    masks: Annotated[
        Path | None,
        typer.Option(help='Folder of true masks, <stem>.png or <stem>_mask.png, for the IoU.'),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=0, help='Of deletion and insertion; 0 leaves them out.')
    ] = 20,
    overwrite: Overwrite = False,
    weights: Weights = 'default',
    device: TorchDevice = 'auto',
    threads: Threads = None,
) -> None:
    """Show where a network finds its evidence, by every method of the field.

    Writes report.html, maps.jpg (the first eight images), <stem>_<method>.png (0..255), maps.csv
    (one line per image and method), scores.json and summary.json.

    Example: pourit explain photo.jpg --out explained

    Example: pourit explain set/pos --masks set/mask --methods cam,eigen_cam --out explained
    """
    folders = [masks] if masks else []
    given: list[str | Path] = [*inputs, *folders, weights]
    check_folder(out, given, overwrite)
    check_inputs(inputs, folders, weights)
    from ..formats.media import find_media

    found = find_media(inputs)
    videos = [item for item in found.media if item.is_video]
    if videos:
        raise InputError(f'{videos[0].path}: is a video; explain takes images')
    require_torch('explain')
    from ..perception.explain.explainer import Explainer, choose_methods
    from ..report.explain_files import find_masks, write_explained

    chosen = choose_methods(methods)
    truths = find_masks(masks, [item.stem for item in found.media]) if masks else {}
    explainer = Explainer(weights, device, threads)
    account, scores, failed = write_explained(
        explainer, found, truths, chosen, steps, out, given, weights, overwrite,
        lambda media: track(media, 'explain', len(found.media)),
    )  # fmt: skip
    for line in failed:
        typer.echo(line, err=True)
    if account.answered:
        print_methods(scores)
    results = ['report.html', *(['maps.jpg'] if account.answered else [])]
    end_with(account, [out / name for name in results], {'scores': scores})


def print_methods(scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the table of methods, unless --quiet or --json is given."""
    if terminal.quiet or terminal.json:
        return
    from rich.console import Console
    from rich.table import Table

    from ..perception.explain import METHODS
    from ..report.explain_page import HEADS, method_rows

    # As many columns as a terminal of 80 is wide; the files have all.
    shown = [k for k, head in enumerate(HEADS) if head not in ('cut', 'increase')]
    table = Table(box=None, padding=(0, 1, 0, 0))
    for k in shown:
        table.add_column(HEADS[k], no_wrap=True, justify='right' if k else 'left')
    for row in method_rows(scores, {name: METHODS[name].title for name in scores}):
        table.add_row(*(row[k] for k in shown))
    Console().print(table)
