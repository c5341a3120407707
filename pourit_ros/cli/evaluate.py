# SPDX-License-Identifier: Apache-2.0
"""`pourit eval`: masks and presence against labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..files import result_folder
from .options import Device, DeviceOption, Out, Threads, Weights
from .progress import track


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar='DIR',
            help='Set of pourit synth, pos/ neg/ mask/, or folder of pourit collect.',
        ),
    ],
    out: Out,
    weights: Weights = 'default',
    device: DeviceOption = Device.auto,
    threads: Threads = None,
) -> None:
    """Score weights on labelled pictures.

    Writes scores.json, cases.csv (one line a picture) and report.html (curves, breakdowns, best
    and worst pictures).

    Example: pourit eval val --out scores
    """
    from ..perception import Segmenter
    from ..training import evaluate as ev
    from ..training.eval_report import write_eval_report
    from ..training.eval_sets import load_eval_set

    eval_set = load_eval_set(folder)
    segmenter = Segmenter.load(weights, device.kind, threads)
    cases = list(track(ev.evaluate(segmenter, eval_set), 'eval', len(eval_set.items)))
    setting = {
        'set': folder.resolve().name,
        'layout': eval_set.kind,
        'weights': str(weights),
        'presence_threshold': segmenter.metadata.presence_threshold,
        'mask_threshold': segmenter.metadata.mask_threshold,
    }
    scores = {**setting, **ev.summarise(cases)}
    with result_folder(out) as partial:
        (partial / 'scores.json').write_text(json.dumps(scores, indent=2) + '\n')
        ev.write_cases(partial / 'cases.csv', cases)
        write_eval_report(partial / 'report.html', scores, cases, segmenter)
    _print(scores)
    typer.echo(f'  {out / "report.html"}')


def _print(scores: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    iou, tips, presence = scores['iou'], scores['tip_error_px'], scores['presence']
    table = Table(show_header=False, box=None)
    table.add_row('pictures', f'{scores["wet"]} with liquid, {scores["dry"]} without')
    if iou is not None:
        half = iou['share_at_least_half']
        table.add_row(
            'mask IoU', f'{iou["mean"]:.3f} mean, {iou["median"]:.3f} median, {half:.3f} >= 0.5'
        )
        table.add_row('', f'{iou["dataset"]:.3f} of all pixels, {iou["images"]} pictures')
    if tips is not None:
        table.add_row('tip error', f'{tips["median"]:.1f} px median, {tips["p95"]:.1f} px 95 %')
    table.add_row('presence', f'{_number(presence["auroc"])} AUROC')
    for name in ('precision', 'recall', 'false_alarms'):
        table.add_row('', f'{_number(presence[name])} {name.replace("_", " ")}')
    table.add_row('calibration', f'{_number(scores["calibration"]["ece"])} expected error')
    Console().print(table)


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'
