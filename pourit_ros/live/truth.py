# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Compare what the nodes say of a simulated pour with its truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..report.account import Account


@dataclass(frozen=True)
class Comparison:
    """Answered frames against the truth.

    `right`: number of `frames` whose presence of liquid is right; `landing_mm`: distance of each
    measured landing point from the true one.
    """

    frames: int
    right: int
    landing_mm: tuple[float, ...]

    def into(self, account: Account) -> None:
        """Add the comparison to an account: its lines and its facts."""
        account.notes.append(f'against the truth: liquid right in {self.right} of {self.frames}')
        landing: dict[str, Any] | None = None
        if self.landing_mm:
            median, most = (float(np.quantile(self.landing_mm, q)) for q in (0.5, 0.95))
            landing = {'frames': len(self.landing_mm), 'median': median, 'p95': most}
            account.notes.append(
                f'against the truth: landing point off by {median:.1f} mm (median), {most:.1f} mm '
                f'(95 %) in {len(self.landing_mm)} frames'
            )
        account.facts['truth'] = {
            'frames': self.frames, 'presence_right': self.right, 'landing_error_mm': landing
        }  # fmt: skip


def compare(
    seen: Mapping[int, tuple[bool, NDArray[np.float64] | None]],
    truth: Mapping[int, NDArray[np.float64] | None],
) -> Comparison:
    """Compare what was seen by stamp_ns (presence, landing point (3,) m) with the truth.

    truth: landing points (3,) m by stamp_ns, None while nothing flows; stamps without a truth do
    not count.
    """
    known = [(*seen[stamp_ns], truth[stamp_ns]) for stamp_ns in seen if stamp_ns in truth]
    return Comparison(
        len(known),
        sum(present == (true is not None) for present, _, true in known),
        tuple(
            1000 * float(np.linalg.norm(landing - true))
            for _, landing, true in known
            if landing is not None and true is not None
        ),
    )
