# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Train variants of the recipes and score each, for the tables of docs/training.md.

    python scripts/ablation.py OUT --data pours --val val --test real_dev --steps 600 --seeds 0 1 \
        --encoder-init mobilenet_v2_imagenet.npz [--only weak weak-area] [-- --device cuda]

Each run is OUT/NAME-SEED: recipe.yaml, what it learns from, the run, the scores of each set. Runs
that have scores are not repeated, ones that were cut off go on. OUT/ablation.csv has a row for
each that is there, OUT/ablation.jpg a row for each that was asked for: pictures of the sets, true
outline amber, mask blue.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from pourit_ros.formats.labels_csv import LabelledFrame, write_labels
from pourit_ros.perception import Segmenter
from pourit_ros.resources import find_resource
from pourit_ros.training.eval_pictures import draw_case
from pourit_ros.training.eval_sets import load_eval_set
from pourit_ros.training.evaluate import evaluate

SHOWN = 4
PANEL, SIDE = 320, 200

# Files of a pair that training reads.
PAIR = (
    '_pos_rgb.jpg', '_neg_rgb.jpg', '_mask_visible.png', '_mask_through_glass.png', '_meta.json',
)  # fmt: skip
# Props that do not look like a stream.
PLAIN = {'box', 'drips'}

Choice = Callable[[argparse.Namespace], list[Path]]


def metas(folder: Path) -> list[Path]:
    """List the pairs of a set by their `_meta.json`."""
    return sorted(folder.resolve().glob('*_meta.json'))


def every_pair(given: argparse.Namespace) -> list[Path]:
    """All of --data."""
    return metas(given.data)


def first(share: float) -> Choice:
    """The first of --data."""
    return lambda given: metas(given.data)[: round(share * len(metas(given.data)))]


def by_props(hard: bool) -> Choice:
    """Scenes with, or as many without, what looks like a stream: straws, cables, wet trails."""

    def chosen(given: argparse.Namespace) -> list[Path]:
        sides: dict[bool, list[Path]] = {True: [], False: []}
        for meta in metas(given.data):
            props = set(json.loads(meta.read_text())['props'])
            sides[bool(props - PLAIN)].append(meta)
        return sides[hard][: min(len(side) for side in sides.values())]

    return chosen


def by_rendering(path_traced: float) -> Choice:
    """As many pairs as --path-traced has, so much of them from there, the rest from --data."""

    def chosen(given: argparse.Namespace) -> list[Path]:
        traced = metas(given.path_traced)
        count = round(path_traced * len(traced))
        return traced[:count] + metas(given.data)[: len(traced) - count]

    return chosen


def joined_by(count: int) -> Choice:
    """All of --data, and the first of --path-traced."""

    def chosen(given: argparse.Namespace) -> list[Path]:
        traced = metas(given.path_traced)
        if len(traced) < count:
            raise SystemExit(f'{given.path_traced}: has {len(traced)} pairs, not {count}')
        return metas(given.data) + traced[:count]

    return chosen


@dataclass(frozen=True)
class Variant:
    """A recipe, what is changed in its tables, which pairs it sees, and whether as pairs."""

    recipe: str
    changes: dict[str, Any] = field(default_factory=dict)
    pairs: Choice = every_pair
    paired: bool = True
    random_start: bool = False


VARIANTS = {
    'default': Variant('default'),
    'default-tenth_of_the_data': Variant('default', pairs=first(0.1)),
    'default-hard_negatives': Variant('default', pairs=by_props(hard=True)),
    'default-no_hard_negatives': Variant('default', pairs=by_props(hard=False)),
    'default-path_traced': Variant('default', pairs=by_rendering(1.0)),
    'default-half_path_traced': Variant('default', pairs=by_rendering(0.5)),
    'default-not_path_traced': Variant('default', pairs=by_rendering(0.0)),
    # What more of the slow renders brings, beside the same composites.
    **{
        f'default-and_{count}_path_traced': Variant('default', pairs=joined_by(count))
        for count in (0, 500, 1500, 3000)
    },
    'default-with_twins': Variant('default', {'loss': {'twin': 1.0}}),
    'default-one_scale': Variant('default', {'batch': {'scales': [1.0, 1.0]}}),
    'default-one_look': Variant('default', {'batch': {'look': 0.0}}),
    'default-random_start': Variant('default', {'optimiser': {'frozen': 0}}, random_start=True),
    'default-mit_b0': Variant(
        'default',
        {'network': {'encoder': 'mit_b0'}, 'optimiser': {'frozen': 0}},
        random_start=True,
    ),
    'weak': Variant('weak'),
    # The losses of other papers, each with image labels and contrast off.
    **{
        f'weak-{name}': Variant('weak', {'loss': {'twin': 0.0, 'contrast': 0.0, **loss}})
        for name, loss in {
            'toco_ptc': {'patch_contrast': 0.2},
            'toco_ctc': {'class_contrast': 0.5},
            'usage': {'usage': 1.0},
            'ppl_implicit': {'patches': 1.0},
            'ppl_explicit': {'explicit_patches': 1.0},
        }.items()
    },
    'weak-labels_only': Variant('weak', {'loss': {'twin': 0.0, 'contrast': 0.0}}),
    'weak-unpaired': Variant('weak', {'loss': {'twin': 0.0, 'contrast': 0.0}}, paired=False),
    'weak-no_contrast': Variant('weak', {'loss': {'contrast': 0.0}}),
    # The losses of `published` on this network: what its method makes of the same data.
    'weak-published_losses': Variant(
        'weak',
        {
            'network': {'sharpness': 30.0},
            'loss': {'twin': 0.0, 'contrast': 1.0, 'contrast_band': [0.7, 0.7]},
        },
    ),
    'weak-area': Variant('weak', {'loss': {'twin': 0.0, 'contrast': 0.0, 'area': 1.0}}),
    'weak-nearly_mean_pooling': Variant('weak', {'network': {'sharpness': 0.5}}),
    'weak-nearly_max_pooling': Variant('weak', {'network': {'sharpness': 30.0}}),
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Replace single keys of a recipe's tables."""
    recipe = {**base}
    for table, values in changes.items():
        recipe[table] = {**base[table], **values}
    return recipe


def put_together(variant: Variant, given: argparse.Namespace, out: Path) -> Path:
    """Link the pairs that a variant sees into a folder; unpaired, as pictures with labels."""
    if variant.pairs is every_pair and variant.paired:
        return Path(given.data)
    out.mkdir(exist_ok=True)
    frames = []
    for meta in variant.pairs(given):
        # Sets count alike: a mixture needs the set's name as well.
        own = meta.name.removesuffix(PAIR[-1])
        stem = f'{meta.parent.name}_{own}'
        for suffix in PAIR if variant.paired else PAIR[:2]:
            link = out / f'{stem}{suffix}'
            if not link.exists():
                link.symlink_to(meta.with_name(own + suffix))
        frames += [LabelledFrame(Path(stem + PAIR[0]), True)]
        frames += [LabelledFrame(Path(stem + PAIR[1]), False)]
    if not variant.paired:
        write_labels(out, frames)
    return out


def run(name: str, seed: int, given: argparse.Namespace, extra: list[str]) -> None:
    """Train and score one variant; leave its row in its folder."""
    folder = given.out / f'{name}-{seed}'
    folder.mkdir(parents=True, exist_ok=True)
    variant = VARIANTS[name]
    recipe = yaml.safe_load(find_resource(f'config/train/{variant.recipe}.yaml').read_text())
    # A shorter run has a shorter time without contrast.
    share_of_run = given.steps / recipe['optimiser']['steps']
    recipe['loss']['contrast_after'] = round(share_of_run * recipe['loss']['contrast_after'])
    (folder / 'recipe.yaml').write_text(yaml.safe_dump(merged(recipe, variant.changes)))
    result = folder / 'run' / 'weights.safetensors'
    pourit = [sys.executable, '-m', 'pourit_ros.cli.main']
    if not result.is_file():
        train = [*pourit, 'train', '--config', folder / 'recipe.yaml', '--out', folder / 'run',
                 '--data', put_together(variant, given, folder / 'data'), '--val', given.val,
                 '--steps', given.steps, '--seed', seed, *extra]  # fmt: skip
        if given.encoder_init and not variant.random_start:
            train += ['--encoder-init', given.encoder_init]
        train += ['--resume'] if (folder / 'run' / 'checkpoint.ckpt').exists() else []
        subprocess.run([str(word) for word in train], check=True)
    row: dict[str, Any] = {'variant': name, 'seed': seed, 'steps': given.steps}
    for test in (given.val, *given.test):
        scores = folder / f'scores_{test.name}'
        if not scores.is_dir():
            score = [*pourit, 'eval', test, '--weights', result, '--out', scores]
            subprocess.run([str(word) for word in score], check=True)
        found = json.loads((scores / 'scores.json').read_text())
        row |= {
            f'{test.name} IoU': round(found['iou']['mean'], 3),
            f'{test.name} tip px': round((found['tip_error_px'] or {'median': -1})['median'], 1),
            f'{test.name} AUROC': round(found['presence']['auroc'], 4),
            f'{test.name} recall': round(found['presence']['recall'], 3),
            f'{test.name} alarms': round(found['presence']['false_alarms'], 3),
        }
    (folder / 'row.json').write_text(json.dumps(row))


def sheet(sets: list[Path], weights: dict[str, Path]) -> np.ndarray:
    """Draw a row for each weights file, with a few pictures of each set."""
    rows = []
    for name, file in weights.items():
        segmenter = Segmenter(str(file))
        tiles = []
        for folder in sets:
            whole = load_eval_set(folder)
            wet = [item for item in whole.items if item.liquid]
            some = tuple(wet[(2 * k + 1) * len(wet) // (2 * SHOWN)] for k in range(SHOWN))
            for case in evaluate(segmenter, replace(whole, items=some)):
                tile = draw_case(case, segmenter)[:, PANEL:]
                write(tile, f'{case.score.iou:.2f}' if case.score else '')
                tiles.append(cv2.resize(tile, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
        title = np.zeros((28, SIDE * len(tiles), 3), np.uint8)
        write(title, name)
        rows += [title, np.hstack(tiles)]
    return np.vstack(rows)


def write(picture: np.ndarray, text: str) -> None:
    """Put words into the upper left corner."""
    cv2.putText(picture, text, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 2)


def main() -> None:
    """Run what is asked for and write the table after each."""
    own, extra = sys.argv[1:], []
    if '--' in own:
        own, extra = own[: own.index('--')], own[own.index('--') + 1 :]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--path-traced', type=Path, help='a training set, for *path_traced')
    parser.add_argument('--val', type=Path, required=True)
    parser.add_argument('--test', type=Path, action='append', default=[])
    parser.add_argument('--encoder-init', type=Path)
    parser.add_argument('--steps', type=int, default=600)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--only', nargs='+', choices=VARIANTS, default=list(VARIANTS))
    given = parser.parse_args(own)
    if given.path_traced is None and any('path_traced' in name for name in given.only):
        parser.error('variants *path_traced need --path-traced, or name others with --only')
    given.out.mkdir(parents=True, exist_ok=True)
    for seed in given.seeds:
        for name in given.only:
            run(name, seed, given, extra)
            rows = [json.loads(p.read_text()) for p in sorted(given.out.glob('*/row.json'))]
            with (given.out / 'ablation.csv').open('w', newline='') as file:
                table = csv.DictWriter(file, list({key: None for row in rows for key in row}))
                table.writeheader()
                table.writerows(rows)
    seed = given.seeds[0]
    weights = {n: given.out / f'{n}-{seed}' / 'run' / 'weights.safetensors' for n in given.only}
    cv2.imwrite(
        str(given.out / 'ablation.jpg'), sheet([given.val, *given.test], weights)[..., ::-1]
    )


if __name__ == '__main__':
    main()
