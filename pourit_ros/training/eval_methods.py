# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Class activation methods on a labelled set, for `pourit eval --methods`; needs PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import InputError
from ..formats.images import read_image
from ..perception.explain.explainer import Explainer, choose_methods
from ..perception.explain.judge import judge
from ..perception.explain.verdicts import Verdict, sum_up
from .eval_sets import EvalSet, read_truth


class Comparison:
    """Methods, by name or 'all', on the images of a set whose true mask is known.

    weights, threads: see `Explainer`; a device that it does not know is left to it. Raises
    InputError, also for a set without masks.
    """

    def __init__(
        self,
        weights: str,
        methods: str,
        eval_set: EvalSet,
        device: str = 'auto',
        threads: int | None = None,
    ) -> None:
        self.methods = choose_methods(methods)
        self.items = [item for item in eval_set.items if item.truth is not None]
        self._min_px = eval_set.min_px
        if not self.items:
            raise InputError('--methods needs true masks, which this folder does not have')
        self._explainer = Explainer(
            weights, 'cpu' if device == 'cpu' else 'cuda' if device == 'cuda' else 'auto', threads
        )

    def judge(self) -> Iterator[list[Verdict]]:
        """Judge every method on every image, by IoU, pointing, drop and increase.

        Deletion and insertion take too long for a set. Raises InputError.
        """
        explainer = self._explainer
        for item in self.items:
            assert item.truth is not None
            rgb = read_image(item.image)
            size = rgb.shape[:2]
            truth = read_truth(item.truth, size)
            if truth.sum() < self._min_px:
                yield []
                continue
            image = explainer.view(rgb)
            present = float(explainer.probability(image)) > explainer.metadata.presence_threshold
            yield [
                judge(explainer, method, image, size, truth, present, steps=0)[1]
                for method in self.methods
            ]

    def scores(self, images: Iterable[list[Verdict]]) -> dict[str, dict[str, Any]]:
        """The means by method over what `judge` yields, see `sum_up`."""
        every = [verdict for image in images for verdict in image]
        return {name: sum_up([v for v in every if v.method == name]) for name in self.methods}
