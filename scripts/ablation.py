# SPDX-License-Identifier: Apache-2.0
"""Train variants of the recipes and score each, for the tables of docs/training.md.

    python scripts/ablation.py OUT --data pours --val val --test real_dev --steps 600 --seeds 0 1 \
        --encoder-init mobilenet_v2_imagenet.npz [--only weak weak-no_twin] [-- --device cuda]

Each run is OUT/NAME-SEED: recipe.yaml, the run, the scores of each set. Runs that have scores are
not repeated, ones that were cut off go on. OUT/ablation.csv has a row for each that is there,
OUT/ablation.jpg a row for each that was asked for: pictures of the sets, true outline amber, mask
blue.
"""

import argparse
import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from pourit_ros.perception import Segmenter
from pourit_ros.resources import find_resource
from pourit_ros.training.eval_pictures import draw_case
from pourit_ros.training.eval_sets import load_eval_set
from pourit_ros.training.evaluate import evaluate

SHOWN = 4
PANEL, SIDE = 320, 200

# Name: recipe, what is changed in it, and (optionally) the share of the pairs that it sees.
VARIANTS: dict[str, tuple[str, dict[str, Any], float]] = {
    'default': ('default', {}, 1.0),
    'default-half_the_data': ('default', {}, 0.5),
    'default-tenth_of_the_data': ('default', {}, 0.1),
    'default-with_twins': ('default', {'loss': {'twin': 1.0}}, 1.0),
    'default-one_scale': ('default', {'batch': {'scales': [1.0, 1.0]}}, 1.0),
    'default-one_look': ('default', {'batch': {'look': 0.0}}, 1.0),
    'default-random_start': ('default', {'optimiser': {'frozen': 0}, 'start': None}, 1.0),
    'default-mit_b0': (
        'default',
        {'network': {'encoder': 'mit_b0'}, 'optimiser': {'frozen': 0}, 'start': None},
        1.0,
    ),
    'weak': ('weak', {}, 1.0),
    'weak-no_twin': ('weak', {'loss': {'twin': 0.0}}, 1.0),
    'weak-labels_only': ('weak', {'loss': {'twin': 0.0, 'contrast': 0.0}}, 1.0),
    'weak-no_contrast': ('weak', {'loss': {'contrast': 0.0}}, 1.0),
    # The losses of `published` on this network: what its method makes of the same data.
    'weak-published_losses': (
        'weak',
        {
            'network': {'sharpness': 30.0},
            'loss': {'twin': 0.0, 'contrast': 1.0, 'contrast_band': [0.7, 0.7]},
        },
        1.0,
    ),
    'weak-area': ('weak', {'loss': {'twin': 0.0, 'contrast': 0.0, 'area': 1.0}}, 1.0),
    'weak-nearly_mean_pooling': ('weak', {'network': {'sharpness': 0.5}}, 1.0),
    'weak-nearly_max_pooling': ('weak', {'network': {'sharpness': 30.0}}, 1.0),
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Replace single keys of a recipe's tables."""
    recipe = {**base}
    for table, values in changes.items():
        recipe[table] = {**base[table], **values}
    return recipe


def subset(data: Path, share: float, out: Path) -> Path:
    """Link the first pairs of a set into a folder."""
    if share == 1.0:
        return data
    metas = sorted(data.glob('*_meta.json'))
    out.mkdir(exist_ok=True)
    for meta in metas[: round(share * len(metas))]:
        stem = meta.name.removesuffix('_meta.json')
        for suffix in ('_pos_rgb.jpg', '_neg_rgb.jpg', '_mask_visible.png', '_meta.json'):
            link = out / f'{stem}{suffix}'
            if not link.exists():
                link.symlink_to(data.resolve() / link.name)
    return out


def run(name: str, seed: int, given: argparse.Namespace, extra: list[str]) -> None:
    """Train and score one variant; leave its row in its folder."""
    folder = given.out / f'{name}-{seed}'
    folder.mkdir(parents=True, exist_ok=True)
    base, changes, share = VARIANTS[name]
    changes = dict(changes)
    start = changes.pop('start', given.encoder_init)
    recipe = yaml.safe_load(find_resource(f'config/train/{base}.yaml').read_text())
    # A shorter run has a shorter time without contrast.
    share_of_run = given.steps / recipe['optimiser']['steps']
    recipe['loss']['contrast_after'] = round(share_of_run * recipe['loss']['contrast_after'])
    (folder / 'recipe.yaml').write_text(yaml.safe_dump(merged(recipe, changes)))
    result = folder / 'run' / 'weights.safetensors'
    pourit = [sys.executable, '-m', 'pourit_ros.cli.main']
    if not result.is_file():
        train = [*pourit, 'train', '--config', folder / 'recipe.yaml', '--out', folder / 'run',
                 '--data', subset(given.data, share, folder / 'data'), '--val', given.val,
                 '--steps', given.steps, '--seed', seed, *extra]  # fmt: skip
        train += ['--encoder-init', start] if start else []
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
        segmenter = Segmenter.load(str(file))
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
    parser.add_argument('--val', type=Path, required=True)
    parser.add_argument('--test', type=Path, action='append', default=[])
    parser.add_argument('--encoder-init', type=Path)
    parser.add_argument('--steps', type=int, default=600)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--only', nargs='+', choices=VARIANTS, default=list(VARIANTS))
    given = parser.parse_args(own)
    given.out.mkdir(parents=True, exist_ok=True)
    for seed in given.seeds:
        for name in given.only:
            run(name, seed, given, extra)
            rows = [json.loads(p.read_text()) for p in sorted(given.out.glob('*/row.json'))]
            with (given.out / 'ablation.csv').open('w', newline='') as file:
                table = csv.DictWriter(file, list({key: None for row in rows for key in row}))
                table.writeheader()
                table.writerows(rows)
    first = given.seeds[0]
    weights = {n: given.out / f'{n}-{first}' / 'run' / 'weights.safetensors' for n in given.only}
    cv2.imwrite(
        str(given.out / 'ablation.jpg'), sheet([given.val, *given.test], weights)[..., ::-1]
    )


if __name__ == '__main__':
    main()
