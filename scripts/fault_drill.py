# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Run the fault drill of pour_controller over DDS and print its table.

Usage: python scripts/fault_drill.py [FAULT...]   (all of them without a name)
"""

import sys
import tempfile
from pathlib import Path

from pourit_ros.errors import InputError
from pourit_ros.live.drill import FAULTS, drill

HEADS = (
    'fault', 'forward until, s', 'return-tilt after, s', 'poured after, ml', 'spilled, ml', 'held',
)  # fmt: skip


def main() -> int:
    """Run the faults; the status is 1 if one was not held."""
    print(f'| {" | ".join(HEADS)} |')
    print('|---|---|---|---|---|---|')
    missed = 0
    for fault in sys.argv[1:] or FAULTS:
        try:
            with tempfile.TemporaryDirectory() as folder:
                got = drill(fault, Path(folder))
        except InputError as error:
            print(f'| {fault} | {error} | | | | no |', flush=True)
            missed += 1
            continue
        back = 'never' if got.return_after is None else f'{got.return_after:.2f}'
        held = 'yes' if got.passed else 'no'
        missed += not got.passed
        print(
            f'| {fault} | {got.forward_for:.2f} | {back} | {got.poured_after:.1f} | '
            f'{got.spilled_after:.1f} | {held} |',
            flush=True,
        )
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main())
