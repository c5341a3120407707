# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Score a segmenter on a labelled set: one case per image, and the scores of all."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..formats.images import read_image
from ..perception.masks import keep_stream
from ..perception.segmentation import Segmentation
from . import metrics
from .eval_sets import EvalItem, EvalSet, read_counted, read_truth

#: Thresholds on the CAM that the IoU is drawn over.
THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 20))
WIDTH = 'stream width'


class Segments(Protocol):
    """Anything that segments like `perception.Segmenter`."""

    def segment(self, rgb: npt.NDArray[np.uint8]) -> Segmentation:
        """Segment one (H, W, 3) uint8 RGB image."""
        ...


@dataclass(frozen=True, eq=False)
class MaskScore:
    """The mask of one image against the truth."""

    intersection: int
    union: int
    tip_error: float | None
    """Distance between the lower ends, px; None where the mask is empty."""
    width: float
    """Of the true stream, px."""
    intersections: npt.NDArray[np.int64]
    """For every threshold of THRESHOLDS, (19,), whether or not liquid was found present."""
    unions: npt.NDArray[np.int64]

    @property
    def iou(self) -> float:
        """Intersection over union."""
        return self.intersection / max(self.union, 1)


@dataclass(frozen=True, eq=False)
class Case:
    """One scored image."""

    item: EvalItem
    probability: float
    present: bool
    mask_px: int
    truth_px: int | None
    """None where no true mask is known."""
    score: MaskScore | None
    """None where there is no true mask, or one too small to have a shape."""

    @property
    def groups(self) -> dict[str, str]:
        """The properties for the breakdown, with the width of the stream where it is known."""
        if self.score is None:
            return dict(self.item.groups)
        return {**self.item.groups, WIDTH: metrics.width_bin(self.score.width)}


def evaluate(segmenter: Segments, eval_set: EvalSet) -> Iterator[Case]:
    """Score image by image, with masks as the package delivers them. Raises InputError."""
    for item in eval_set.items:
        yield score_item(segmenter, item, eval_set.min_px)


def score_item(segmenter: Segments, item: EvalItem, min_px: int) -> Case:
    """Score one image; `min_px` as of `EvalSet`. Raises InputError."""
    rgb = read_image(item.image)
    result = segmenter.segment(rgb)
    truth_px, score = None, None
    if item.truth is not None:
        truth = read_truth(item.truth, rgb.shape[:2])
        truth_px = int(truth.sum())
        if truth_px >= min_px:
            score = _score(result, truth, read_counted(item, truth.shape))
    mask_px = int(result.mask.sum())
    return Case(item, result.probability, result.present, mask_px, truth_px, score)


def _score(
    result: Segmentation, truth: npt.NDArray[np.bool_], counted: npt.NDArray[np.bool_]
) -> MaskScore:
    curve = np.array(
        [
            metrics.overlap(keep_stream(result.cam > threshold, result.cam) & counted, truth)
            for threshold in THRESHOLDS
        ],
        np.int64,
    )
    mask = result.mask & counted
    return MaskScore(
        *metrics.overlap(mask, truth),
        metrics.tip_error(mask, truth),
        metrics.stream_width(truth),
        curve[:, 0],
        curve[:, 1],
    )


def summarise(cases: Sequence[Case]) -> dict[str, Any]:
    """Scores of all cases, ready for JSON; None where the set has no such truth.

    images, wet, dry · without_shape: wet ones whose true mask is too small for the IoU; they count
    for presence · iou: of masks as delivered · curve: without the presence gate, by threshold on
    the CAM · tip_error_px · presence · calibration · groups: by property and value · clutter: dry
    images by what stands in them, against all wet ones.
    """
    wet = [case for case in cases if case.item.liquid]
    dry = [case for case in cases if not case.item.liquid]
    table = metrics.reliability(
        np.array([case.probability for case in cases]),
        np.array([case.item.liquid for case in cases]),
    )
    return {
        'images': len(cases),
        'wet': len(wet),
        'dry': len(dry),
        'without_shape': sum(c.truth_px is not None and c.score is None for c in wet),
        'iou': _iou(cases),
        'curve': _curve(cases),
        'tip_error_px': _tips(cases),
        'presence': {
            'auroc': _auroc(wet, dry),
            'precision': _share(
                [case for case in cases if case.present], lambda case: case.item.liquid
            ),
            'recall': _share(wet, lambda case: case.present),
            'false_alarms': _share(dry, lambda case: case.present),
        },
        'calibration': {
            'ece': metrics.expected_calibration_error(table),
            'bins': [asdict(row) for row in table],
        },
        'groups': {name: _by_group(cases, name) for name in _names(cases)},
        'clutter': _by_clutter(wet, dry),
    }


def write_cases(path: Path, cases_of: Mapping[str, Sequence[Case]]) -> None:
    """Write cases.csv, one row per image, of each weights; what is not known is empty.

    A column `weights` leads where there are several.
    """
    names = _names([case for cases in cases_of.values() for case in cases])
    several = len(cases_of) > 1
    with path.open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(
            [*(['weights'] if several else []),
             'stem', 'liquid', 'probability', 'present', 'iou', 'tip_error', 'truth_px', 'mask_px',
             *(name.replace(' ', '_') for name in names), 'clutter']
        )  # fmt: skip
        for weights, cases in cases_of.items():
            for case in cases:
                table.writerow([*([weights] if several else []), *_cells(case, names)])


def _cells(case: Case, names: Sequence[str]) -> list[object]:
    score, groups = case.score, case.groups
    return [
        case.item.stem,
        int(case.item.liquid),
        f'{case.probability:.6f}',
        int(case.present),
        '' if score is None else f'{score.iou:.4f}',
        '' if score is None or score.tip_error is None else f'{score.tip_error:.2f}',
        '' if case.truth_px is None else case.truth_px,
        case.mask_px,
        *(groups.get(name, '') for name in names),
        ' '.join(case.item.props or ()),
    ]


def _share(cases: Sequence[Case], holds: Callable[[Case], bool]) -> float | None:
    return sum(map(holds, cases)) / len(cases) if cases else None


def _auroc(wet: Sequence[Case], dry: Sequence[Case]) -> float | None:
    return metrics.auroc(*(np.array([case.probability for case in part]) for part in (wet, dry)))


def _scores(cases: Sequence[Case]) -> list[MaskScore]:
    return [case.score for case in cases if case.score is not None]


def _iou(cases: Sequence[Case]) -> dict[str, Any] | None:
    scores = _scores(cases)
    if not scores:
        return None
    values = np.array([score.iou for score in scores])
    counts = np.array([(score.intersection, score.union) for score in scores])
    return {
        'images': len(scores),
        'mean': float(values.mean()),
        'median': float(np.median(values)),
        'share_at_least_half': float((values >= 0.5).mean()),
        'dataset': float(metrics.dataset_iou(counts[:, 0], counts[:, 1])),
    }


def _curve(cases: Sequence[Case]) -> dict[str, list[float]] | None:
    scores = _scores(cases)
    if not scores:
        return None
    intersections = np.array([score.intersections for score in scores])
    unions = np.array([score.unions for score in scores])
    return {
        'threshold': list(THRESHOLDS),
        'mean': metrics.mean_iou(intersections, unions).tolist(),
        'dataset': metrics.dataset_iou(intersections, unions).tolist(),
    }


def _tips(cases: Sequence[Case]) -> dict[str, Any] | None:
    errors = [s.tip_error for s in _scores(cases) if s.tip_error is not None]
    if not errors:
        return None
    middle, most = np.percentile(errors, (50, 95))
    return {'images': len(errors), 'median': float(middle), 'p95': float(most)}


def _names(cases: Sequence[Case]) -> list[str]:
    """Properties of any case, in order of their first appearance."""
    return list(dict.fromkeys(name for case in cases for name in case.groups))


def _by_group(cases: Sequence[Case], name: str) -> list[dict[str, Any]]:
    parts: dict[str, list[Case]] = {}
    for case in cases:
        if name in case.groups:
            parts.setdefault(case.groups[name], []).append(case)
    order = sorted(parts, key=lambda value: (_width_order(parts[value], name), value))
    rows = []
    for value in order:
        wet = [case for case in parts[value] if case.item.liquid]
        dry = [case for case in parts[value] if not case.item.liquid]
        rows.append(
            {
                'value': value,
                'wet': len(wet),
                'iou': _iou(wet),
                'recall': _share(wet, lambda case: case.present),
                'dry': len(dry),
                'false_alarms': _share(dry, lambda case: case.present),
                'auroc': _auroc(wet, dry),
            }
        )
    return rows


def _width_order(cases: Sequence[Case], name: str) -> float:
    """Sort key of width ranges, whose names do not sort by their numbers."""
    return min(score.width for score in _scores(cases)) if name == WIDTH else 0.0


def _by_clutter(wet: Sequence[Case], dry: Sequence[Case]) -> list[dict[str, Any]] | None:
    """Scores by kind of clutter; an image counts for every kind in it, or for 'none'."""
    known = [case for case in dry if case.item.props is not None]
    if not known:
        return None
    parts: dict[str, list[Case]] = {}
    for case in known:
        for kind in case.item.props or ('none',):
            parts.setdefault(kind, []).append(case)
    return [
        {
            'value': kind,
            'dry': len(parts[kind]),
            'false_alarms': _share(parts[kind], lambda case: case.present),
            'auroc': _auroc(wet, parts[kind]),
        }
        for kind in sorted(parts)
    ]
