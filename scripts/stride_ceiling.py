# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The best IoU that a map of a given stride can have: of true masks, seen through its cells.

    python scripts/stride_ceiling.py val real_dev

A whole picture is letterboxed to 384 px; a cell is the share of it that the mask covers; the
cells are interpolated back to the picture and cut, as a CAM is, at the best threshold for all.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from pourit_ros.formats.images import read_image
from pourit_ros.perception.letterbox import Letterbox
from pourit_ros.training.eval_sets import load_eval_set, read_truth

SIZE = 384
STRIDES = (4, 8, 16)
THRESHOLDS = np.arange(0.05, 0.55, 0.05)


def ceilings(mask: np.ndarray, stride: int) -> list[float]:
    """IoU of a (H, W) mask with itself, seen through cells, over thresholds."""
    box = Letterbox.fit(mask.shape, (SIZE, SIZE))
    cells = cv2.resize(
        box.apply(mask.astype(np.float32)),
        (SIZE // stride, SIZE // stride),
        interpolation=cv2.INTER_AREA,
    )
    seen = [box.restore(cells) >= threshold for threshold in THRESHOLDS]
    return [float((s & mask).sum() / (s | mask).sum()) for s in seen]


def main() -> None:
    """Print mean and median for each set and stride."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('sets', type=Path, nargs='+')
    for folder in parser.parse_args().sets:
        whole = load_eval_set(folder)
        masks = [
            read_truth(item.truth, read_image(item.image).shape[:2])
            for item in whole.items
            if item.truth is not None
        ]
        masks = [mask for mask in masks if mask.sum() >= whole.min_px]
        for stride in STRIDES:
            scores = np.array([ceilings(mask, stride) for mask in masks])
            best = scores.mean(axis=0).argmax()
            print(
                f'{folder.name}, {len(masks)} masks, stride {stride}, cut at '
                f'{THRESHOLDS[best]:.2f}: mean {scores[:, best].mean():.3f}, '
                f'median {np.median(scores[:, best]):.3f}'
            )


if __name__ == '__main__':
    main()
