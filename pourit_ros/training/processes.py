# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Train one network on one batch with several processes, and report an error once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from lightning_fabric import Fabric
from torch import Tensor

from ..errors import InputError
from ..perception.classifier import ClassifierOutput
from .batches import Batch


def whole_batch(
    fabric: Fabric, share: Batch, output: ClassifierOutput
) -> tuple[Batch, ClassifierOutput]:
    """Join the shares of all processes, in their order, and the network's outputs for them.

    So a loss over the batch is the same number in each process and may compare any images of
    it. Gradients flow only through a process's own rows: the sum over the processes is the loss's
    gradient.
    """
    if fabric.world_size == 1:
        return share, output
    counts = torch.tensor([len(share.images), len(share.paired)], device=fabric.device)
    pictures, pairs = torch.stack(_gathered(counts, fabric.world_size)).T.tolist()

    def join(rows: Tensor, lengths: list[int] = pictures) -> Tensor:
        # Not every backend carries bool and half precision.
        carried = rows.detach().to(torch.float32 if rows.is_floating_point() else rows.dtype)
        if rows.dtype == torch.bool:
            carried = carried.to(torch.uint8)
        padded = carried.new_zeros((max(lengths), *rows.shape[1:]))
        padded[: len(rows)] = carried
        every = _gathered(padded, fabric.world_size)
        parts = [part[:n].to(rows.dtype) for part, n in zip(every, lengths, strict=True)]
        parts[fabric.global_rank] = rows
        return torch.cat(parts)

    before = sum(pictures[: fabric.global_rank])
    batch = replace(
        share,
        images=join(share.images),
        plain=join(share.plain),
        labels=join(share.labels),
        sure=join(share.sure),
        valid=join(share.valid),
        coverage=join(share.coverage),
        known=join(share.known),
        paired=join(share.paired + before, pairs),
    )
    return batch, ClassifierOutput(*(join(part) for part in output))


def _gathered(tensor: Tensor, processes: int) -> list[Tensor]:
    every = [torch.empty_like(tensor) for _ in range(processes)]
    torch.distributed.all_gather(every, tensor)
    return every


@contextmanager
def one_voice(fabric: Fabric) -> Iterator[None]:
    """Report an error that ends all processes once.

    The process that failed reports why. Of those that lose another process, the first reports
    that, and the others end silently. Raises InputError.
    """
    try:
        yield
    except KeyboardInterrupt:
        if fabric.is_global_zero:
            raise
        raise SystemExit(130) from None
    except RuntimeError as error:
        lost = isinstance(error, torch.distributed.DistError) or 'gloo' in str(error)
        if fabric.world_size == 1 or not lost:
            raise
        if not fabric.is_global_zero:
            raise SystemExit(2) from None
        raise InputError(
            'another process of this run ended; its error is above. Fix it and '
            'continue with --resume'
        ) from error
