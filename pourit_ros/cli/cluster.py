# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`--cluster ADDRESS` of several commands."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..perception.find_weights import comes_with_package, find_weights

if TYPE_CHECKING:
    from ..perception import Segmenter
    from ..perception.devices import Device
    from ..workers.cluster import Cluster


def on_cluster(address: str | None) -> AbstractContextManager[Cluster | None]:
    """The cluster at an address, or None without one; raises InputError."""
    if address is None:
        return nullcontext()
    from ..workers.cluster import Cluster

    return Cluster(address)


def weights_for_workers(weights: str) -> tuple[str, list[Path]]:
    """What workers call weights, and the files that they must find for it."""
    if comes_with_package(weights):
        return weights, []
    path = find_weights(weights).resolve()
    return str(path), [path]


@lru_cache(maxsize=2)
def kept_segmenter(
    weights: str,
    device: Device,
    threads: int | None,
    refinement: Literal['par', 'guided'] | None = None,
) -> Segmenter:
    """A segmenter that the process keeps for its next tasks."""
    from ..perception import Segmenter

    return Segmenter(weights, device, threads, refinement)
