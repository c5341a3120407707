# SPDX-License-Identifier: Apache-2.0
r"""Train the start weights of the liquid classifier on rendered pairs alone.

python -m pourit_ros.training.train --encoder-init mobilenet_v2_imagenet.npz \
    --environment-maps hdri/ --pairs synth/ --out models/default.safetensors --steps 3000 --seed 0
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import InputError
from ..perception.weights import WeightsMetadata, save_weights
from .batches import Cropper
from .calibration import Calibration, calibrate
from .pairs import Pairs, compose_pairs, load_pairs, read_pairs, save_pairs
from .trainer import Recipe, Trainer, TrainingError

INPUT_SIZE = 384
_HELD_OUT_RENDERED = 25
_HELD_OUT_COMPOSED = 250
_RENDERED_SHARE = 0.22
_CHECKPOINT_EVERY = 100
_ENCODER_ORIGIN = (
    'encoder started from MobileNetV2 1.0, ImageNet-1k, dequantised from google-coral/test_data '
    'tf2_mobilenet_v2_1.0_224_ptq.tflite (Apache-2.0); trained on rendered pictures alone'
)


@dataclass(frozen=True)
class Material:
    """Pairs to train on, with the share of crops from each set, and pairs held out."""

    train: list[tuple[Pairs, float]]
    held_out: list[Pairs]


@contextmanager
def _bar(
    console: Console, title: str, total: int, done: int = 0
) -> Iterator[Callable[[int, str], None]]:
    """Show a progress bar; yields what advances it and names what it shows."""
    columns = TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(title, total=total, completed=done)

        def report(steps: int, note: str = '') -> None:
            progress.update(task, advance=steps, description=f'{title} {note}')

        yield report


def gather(recipe: Recipe, cache: Path | None, processes: int, console: Console) -> Material:
    """Compose the pairs of a recipe, or take them from the folder `cache` where it keeps them.

    Raises TrainingError, BackgroundError, PairsError.
    """

    def composed(count: int, fold: Literal['train', 'held_out'], size: int) -> Pairs:
        path = cache / f'{fold}_{count}_{size}_seed{recipe.seed}.npz' if cache else None
        if path is not None and path.is_file():
            return load_pairs(path)
        with _bar(console, f'compose {fold} pairs', count) as report:
            pairs = compose_pairs(
                count,
                recipe.seed,
                environment_maps=recipe.environment_maps,
                photographs=recipe.photographs,
                fold=fold,
                size=size,
                processes=processes,
                progress=lambda done: report(done, ''),
            )
        if path is not None:
            save_pairs(path, pairs)
        return pairs

    held_out = [composed(_HELD_OUT_COMPOSED, 'held_out', INPUT_SIZE)]
    train = [(composed(recipe.composites, 'train', 256), 1.0)]
    if recipe.pairs is not None:
        rendered = read_pairs(recipe.pairs)
        if len(rendered) <= _HELD_OUT_RENDERED:
            raise TrainingError(
                f'{recipe.pairs} holds {len(rendered)} pairs, {_HELD_OUT_RENDERED} of which are '
                'held out; give more'
            )
        # spread over the folder: neighbours may come from one scene
        every = len(rendered) // _HELD_OUT_RENDERED
        chosen = range(0, every * _HELD_OUT_RENDERED, every)
        held_out.append(rendered.select(chosen))
        rest = rendered.select(sorted(set(range(len(rendered))) - set(chosen)))
        train = [(train[0][0], 1 - _RENDERED_SHARE), (rest, _RENDERED_SHARE)]
    return Material(train, held_out)


def train(
    recipe: Recipe,
    out: Path,
    *,
    cache: Path | None = None,
    processes: int = 1,
    resume: bool = False,
    console: Console | None = None,
) -> Calibration:
    """Train, calibrate on held-out rendered pairs, write the weights to `out`.

    A checkpoint lies beside `out` while training runs; `resume` goes on from it. Raises
    TrainingError, BackgroundError, PairsError, WeightsError.
    """
    console = console or Console()
    out.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = out.with_suffix('.checkpoint')
    trainer = Trainer(recipe)
    if resume:
        trainer.resume(checkpoint)
    material = gather(recipe, cache, processes, console)
    cropper = Cropper(material.train, recipe.seed, pairs=recipe.pairs_per_batch, crop=recipe.crop)
    mean = 0.0
    with _bar(console, 'train', recipe.steps, trainer.step) as report:
        while trainer.step < recipe.steps:
            loss = trainer.advance(cropper.batch(trainer.step))
            mean = loss if mean == 0 else 0.98 * mean + 0.02 * loss
            report(1, f'loss {mean:.3f}')
            if trainer.step % _CHECKPOINT_EVERY == 0:
                trainer.save(checkpoint)
                if not console.is_terminal:
                    console.print(f'step {trainer.step} loss {mean:.3f}')
    model = trainer.average.eval()
    calibration = calibrate(model, _metadata(recipe), material.held_out)
    save_weights(out, model, calibration.metadata)
    checkpoint.unlink(missing_ok=True)
    console.print(str(calibration))
    return calibration


def _metadata(recipe: Recipe) -> WeightsMetadata:
    sets = f'{recipe.composites} composite pairs'
    if recipe.pairs is not None:
        sets += ' and path-traced pairs'
    return WeightsMetadata(
        input_size=INPUT_SIZE,
        presence_threshold=0.5,
        mask_threshold=0.5,
        recipe=f'{recipe.supervision}, {recipe.steps} steps, seed {recipe.seed}, {sets}',
        licence='Apache-2.0',
        origin=_ENCODER_ORIGIN,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument('--encoder-init', type=Path, required=True, metavar='NPZ',
                        help='MobileNetV2 weights of ImageNet')  # fmt: skip
    parser.add_argument('--out', type=Path, required=True, help='safetensors file to write')
    parser.add_argument('--steps', type=int, default=3000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--supervision', choices=('masks', 'twins'), default='masks')
    parser.add_argument('--environment-maps', type=Path, metavar='DIR', help='folder of *.hdr')
    parser.add_argument('--photographs', type=Path, metavar='DIR', help='folder of *.jpg, *.png')
    parser.add_argument('--pairs', type=Path, metavar='DIR', help='folder of rendered pairs')
    parser.add_argument('--composites', type=int, default=6000, help='composite pairs to make')
    parser.add_argument('--cache', type=Path, metavar='DIR',
                        help='keep composite pairs here; empty it for others')  # fmt: skip
    parser.add_argument('--processes', type=int, default=1, help='that compose pairs')
    parser.add_argument('--threads', type=int, default=1, help='of torch')
    parser.add_argument('--resume', action='store_true', help='go on from the checkpoint')
    return parser.parse_args()


def main() -> int:
    """Run the command line; exit status 2 and one line for bad input."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    recipe = Recipe(
        encoder_init=args.encoder_init,
        steps=args.steps,
        seed=args.seed,
        supervision=args.supervision,
        environment_maps=args.environment_maps,
        photographs=args.photographs,
        pairs=args.pairs,
        composites=args.composites,
    )
    try:
        train(recipe, args.out, cache=args.cache, processes=args.processes, resume=args.resume)
    except InputError as error:
        print(f'pourit train: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
