# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Record a lab that no shipped weights know: bags to learn from, and labelled pictures to test on.

A dim room, a camera out of focus, one bottle in an arm that moves while it pours. Writes rosbag2
recordings OUT/learn/NAME and OUT/hold_out/NAME, when liquid flows in them, OUT/learn.csv and
OUT/hold_out.csv, and of other pours OUT/test/{pos,neg,mask}; no mask goes to training. It is the
worked example of docs/training.md:

    python scripts/new_lab.py lab
    python scripts/new_lab.py --bright lab    the same, well lit and in focus
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from pourit_ros.bags.make import write_pour_bag
from pourit_ros.files import result_folder
from pourit_ros.synth.sets.sequence import PourFrame, PourPlan, pour_sequence

SIZE, RATE = (480, 360), 8.0
LEARN = {
    'water': PourPlan(),
    'tea': PourPlan(flow_from=1.6, flow_until=4.2, first_offset=0.03),
    'orange_juice': PourPlan(flow_from=1.4, height=0.09),
    'milk': PourPlan(flow_from=1.5, flow_until=4.5, first_offset=0.04),
    # The same motions with an empty bottle: without them, the bottle's pose tells wet from dry.
    'empty_low': PourPlan(empty=True),
    'empty_high': PourPlan(empty=True, first_offset=0.03, height=0.09),
}
HOLD_OUT = {'tea': PourPlan(first_offset=0.02, height=0.07)}
TESTED = (
    ('water', PourPlan(flow_from=1.5, first_offset=0.035, height=0.095)),
    ('tea', PourPlan(flow_from=1.4, flow_until=4.4, height=0.06)),
    ('orange_juice', PourPlan(flow_from=1.6, first_offset=0.03, height=0.08)),
    ('milk', PourPlan(flow_from=1.3, first_offset=0.025, height=0.085)),
)
# The room's light, a lamp's colour, the lens (px) and the sensor's noise (grey levels).
LIGHT, TINT, FOCUS, NOISE = 0.3, (1.15, 1.0, 0.75), 2.0, 5.0
# Masks smaller than this, px, and half-covered pixels alone, have no shape to compare.
LEAST = 30


def filmed(plan: PourPlan, rate: float, liquid: str, bright: bool) -> Iterator[PourFrame]:
    """A pour as this lab's camera shows it."""
    if bright:
        yield from pour_sequence(plan, rate, SIZE, liquid)
        return
    rng = np.random.default_rng(0)
    for item in pour_sequence(plan, rate, SIZE, liquid):
        light = cv2.GaussianBlur(item.frame.color.astype(np.float32), (0, 0), FOCUS)
        light = LIGHT * light * TINT + rng.normal(0, NOISE, light.shape)
        color = np.clip(np.round(light), 0, 255).astype(np.uint8)
        yield replace(item, frame=replace(item.frame, color=color))


def record(folder: Path, pours: dict[str, PourPlan], bright: bool) -> None:
    """Write the bags and when liquid flows in them."""
    folder.mkdir()
    with folder.with_suffix('.csv').open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['bag', 'time', 'liquid'])
        for name, plan in pours.items():
            liquid = 'water' if plan.empty else name
            frames = filmed(plan, RATE, liquid, bright)
            write_pour_bag(folder / name, (item.frame for item in frames))
            flow = [] if plan.empty else [(plan.flow_from, 1), (plan.flow_until, 0)]
            table.writerows((name, time, liquid) for time, liquid in [(0, 0), *flow])


def draw_test(folder: Path, bright: bool) -> None:
    """Write every third frame of the tested pours, with the mask where there is liquid."""
    for name in ('pos', 'neg', 'mask'):
        (folder / name).mkdir(parents=True)
    for number, (liquid, plan) in enumerate(TESTED):
        for index, item in enumerate(filmed(plan, RATE / 3, liquid, bright)):
            mask = item.coverage >= 0.5
            if 0 < item.coverage.sum() < LEAST:
                continue
            kind = 'pos' if mask.any() else 'neg'
            stem = f'{liquid}_{number}{index:02d}'
            cv2.imwrite(str(folder / kind / f'{stem}.jpg'), item.frame.color[..., ::-1])
            if mask.any():
                cv2.imwrite(str(folder / 'mask' / f'{stem}.png'), mask.astype(np.uint8) * 255)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='A lab for the worked example.')
    parser.add_argument('out', type=Path)
    parser.add_argument('--bright', action='store_true', help='well lit and in focus')
    given = parser.parse_args()
    with result_folder(given.out, 'new_lab') as out:
        record(out / 'learn', LEARN, given.bright)
        record(out / 'hold_out', HOLD_OUT, given.bright)
        draw_test(out / 'test', given.bright)
