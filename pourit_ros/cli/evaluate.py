# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit eval`: masks and presence against labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from ..files import check_folder, result_folder
from ..perception.errors import require_torch
from ..perception.find_weights import known_weights
from .cluster import kept_segmenter, on_cluster, weights_for_workers
from .ending import end_with
from .explain import print_methods
from .inputs import check_inputs
from .options import ClusterOption, DeviceOption, Out, Overwrite, Refine, Threads
from .progress import track
from .terminal import say, terminal

if TYPE_CHECKING:
    from ..perception.devices import Device
    from ..training.eval_sets import EvalItem
    from ..training.evaluate import Case

# Weights that one page tells apart.
MOST = 4


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar='DIR',
            help='Folder from pourit synth, folder with pos/ neg/ mask/, or folder from '
            'pourit collect.',
        ),
    ],
    out: Out,
    overwrite: Overwrite = False,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=known_weights,
            help='As of segment; given repeatedly (four at most) they stand side by side. '
            'Without: default.',
        ),
    ] = None,
    device: DeviceOption = 'auto',
    threads: Threads = None,
    refine: Refine = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help='Also compare class activation methods: all, or names joined by commas, see '
            'explain.'
        ),
    ] = None,
    cluster: ClusterOption = None,
) -> None:
    """Score weights on labelled images.

    Writes scores.json, cases.csv (one line per image), summary.json and report.html (curves,
    breakdowns, best and worst images). With several weights, scores.json and cases.csv hold all
    of them, by name.

    Example: pourit eval val --out scores

    Example: pourit eval val --weights default --weights run/weights.safetensors --out compared

    Example: pourit eval val --methods all --out compared
    """
    given = weights or ['default']
    check_folder(out, [folder, *given], overwrite)
    if len(given) > MOST:
        raise InputError(f'--weights: {len(given)} are given, at most {MOST} stand side by side')
    names = _names(given)
    for path in given:
        check_inputs(folders=[folder], weights=path)
    from ..perception import Segmenter
    from ..report.account import Account
    from ..training import evaluate as ev
    from ..training.eval_report import Scored, write_eval_report
    from ..training.eval_sets import load_eval_set

    eval_set = load_eval_set(folder.resolve())
    places = {item.image: k for k, item in enumerate(eval_set.items)}
    comparisons = []
    if methods is not None:
        require_torch('eval --methods')
        from ..training.eval_methods import Comparison

        # All before the first is run: what cannot be explained is said at once.
        comparisons = [Comparison(path, methods, eval_set, device, threads) for path in given]
    scored = []
    for k, (name, path) in enumerate(zip(names, given, strict=True)):
        segmenter = Segmenter(path, device, threads, refine)
        what = 'eval' if len(given) == 1 else f'eval {name}'
        with on_cluster(cluster) as workers:
            scoring = ev.evaluate(segmenter, eval_set)
            if workers is not None:
                there, files = weights_for_workers(path)
                workers.check_readable([folder, *files])
                work = partial(_score, there, device, threads or 1, refine, eval_set.min_px)
                scoring = (case for _, case in workers.results(work, eval_set.items))
            cases = list(track(scoring, what, len(eval_set.items)))
        # A cluster finishes them in any order.
        cases.sort(key=lambda case: places[case.item.image])
        by_method = {}
        if comparisons:
            images = track(comparisons[k].judge(), 'methods', len(comparisons[k].items))
            by_method = {'methods': comparisons[k].scores(images)}
        setting = {
            'set': folder.resolve().name,
            'layout': eval_set.kind,
            'weights': path,
            'presence_threshold': segmenter.metadata.presence_threshold,
            'mask_threshold': segmenter.metadata.mask_threshold,
            'refinement': refine,
        }
        scored.append(
            Scored(name, {**setting, **ev.summarise(cases), **by_method}, cases, segmenter)
        )
    first = scored[0]
    facts = {key: first.scores[key] for key in setting}
    if len(scored) > 1:
        facts['weights'] = given
        for key in ('presence_threshold', 'mask_threshold'):
            facts[key] = [one.scores[key] for one in scored]
    account = Account(
        'eval', len(eval_set.items), answered=len(first.cases), what='images', done='scored',
        liquid=sum(case.present for case in first.cases), facts=facts,
    )  # fmt: skip
    account.settle('no image could be scored')
    if len(scored) > 1:
        account.notes.append(f'with liquid: as {first.name} sees it')
    scores = first.scores if len(scored) == 1 else {one.name: one.scores for one in scored}
    with result_folder(out, 'eval', [folder, *given], overwrite) as new:
        account.write(new)
        (new / 'scores.json').write_text(json.dumps(scores, indent=2) + '\n')
        ev.write_cases(new / 'cases.csv', {one.name: one.cases for one in scored})
        write_eval_report(new / 'report.html', scored, account)
    if not terminal.quiet and not terminal.json:
        for one in scored:
            if len(scored) > 1:
                say(one.name)
            _print(one.scores)
            if comparisons:
                print_methods(one.scores['methods'])
    end_with(account, [out / 'report.html'], {'scores': scores})


def _score(
    weights: str,
    device: Device,
    threads: int,
    refine: Refine,
    min_px: int,
    item: EvalItem,
) -> Case:
    """An image's score, on a worker that keeps its network."""
    from ..training.evaluate import score_item

    return score_item(kept_segmenter(weights, device, threads, refine), item, min_px)


def _names(given: Sequence[str]) -> list[str]:
    """What weights are called on a page: their file's name, its path where two share it."""
    if len(set(given)) < len(given):
        raise InputError(f'--weights {max(given, key=given.count)}: is given twice')
    stems = [Path(one).stem for one in given]
    return [one if stems.count(stem) > 1 else stem for one, stem in zip(given, stems, strict=True)]


def _print(scores: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    iou, tips, presence = scores['iou'], scores['tip_error_px'], scores['presence']
    table = Table(show_header=False, box=None)
    table.add_row('images', f'{scores["wet"]} with liquid, {scores["dry"]} without')
    if iou is not None:
        half = iou['share_at_least_half']
        table.add_row(
            'mask IoU', f'{iou["mean"]:.3f} mean, {iou["median"]:.3f} median, {half:.3f} >= 0.5'
        )
        table.add_row('', f'{iou["dataset"]:.3f} of all pixels, {iou["images"]} images')
    if tips is not None:
        table.add_row('tip error', f'{tips["median"]:.1f} px median, {tips["p95"]:.1f} px 95 %')
    table.add_row('presence', f'{_number(presence["auroc"])} AUROC')
    for name in ('precision', 'recall', 'false_alarms'):
        table.add_row('', f'{_number(presence[name])} {name.replace("_", " ")}')
    table.add_row('calibration', f'{_number(scores["calibration"]["ece"])} expected error')
    Console().print(table)


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'
