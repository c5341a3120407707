# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fine-tune the shipped weights on your lab with yes/no labels, and use the result.

pourit collect my_bag --liquid 3.2:8.0 --out lab
pourit collect other_bag --liquid 2.5:7.0 --out lab_val
python examples/fine_tune.py lab lab_val --out run
"""

import argparse
from pathlib import Path

from pourit_ros import Segmenter
from pourit_ros.training.config import load_config
from pourit_ros.training.data_sets import open_data
from pourit_ros.training.fit import WEIGHTS, Run, fit, make_fabric


def main() -> None:
    parser = argparse.ArgumentParser(description='Fine-tune the shipped weights.')
    parser.add_argument('data', type=Path, help='folder of pourit collect or pourit synth')
    parser.add_argument('held_out', type=Path, help='the same, to choose the thresholds on')
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--steps', type=int, help="instead of the recipe's")
    arguments = parser.parse_args()

    recipe = load_config('weak').with_run(arguments.steps, seed=None)
    data = open_data(arguments.data)
    run = Run(
        sets=[(data, len(data))],
        held_out=[open_data(arguments.held_out)],
        out=arguments.out,
        init='default',
    )

    def progress(step: int, loss: float) -> None:
        if step % 20 == 0:
            print(f'step {step} of {recipe.optimiser.steps}, loss {loss:.3f}')

    calibration = fit(recipe, run, make_fabric('auto'), resume=False, progress=progress)
    print(calibration)
    print(Segmenter(arguments.out / WEIGHTS))


if __name__ == '__main__':
    main()
