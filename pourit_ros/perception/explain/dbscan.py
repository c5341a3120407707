# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Density-based clustering (DBSCAN) of a distance matrix, in torch."""

import torch
from torch import Tensor


def dbscan(distances: Tensor, radius: float, least: int) -> Tensor:
    """Cluster n points by their distances (n, n); labels (n,), -1 for noise.

    Ester et al., KDD 1996. Points with at least `least` points within `radius`, themselves
    included, are cores; cores within `radius` of each other share a cluster, and another point
    joins the first cluster with a core that near. Clusters are numbered by their first core.
    """
    near = distances <= radius
    core = near.sum(1) >= least
    linked = near & core[:, None] & core[None, :]
    count = len(distances)
    # The least index of a core that can be reached: labels flow along links until none changes.
    label = torch.where(core, torch.arange(count, device=distances.device), count)
    while True:
        reached = label.expand(count, count).masked_fill(~linked, count).amin(1)
        reached = torch.where(core, reached, label)
        if torch.equal(reached, label):
            break
        label = reached
    if count:
        joined = label.expand(count, count).masked_fill(~(near & core[None, :]), count).amin(1)
        label = torch.where(core, label, joined)
    first = torch.unique(label[label < count])
    return torch.where(label < count, torch.searchsorted(first, label), -1)
