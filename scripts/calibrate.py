# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose the thresholds of finished weights anew, as `pourit train` does at its end.

python scripts/calibrate.py WEIGHTS OUT.safetensors --val compositesv --val val
"""

import argparse
from pathlib import Path

from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.perception.weights import load_weights, save_weights
from pourit_ros.training.calibration import calibrate
from pourit_ros.training.data_sets import open_data


def main() -> None:
    """Calibrate, save, and say what the thresholds are and do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('weights')
    parser.add_argument('out', type=Path)
    parser.add_argument('--val', type=Path, action='append', required=True)
    args = parser.parse_args()
    network, metadata = load_weights(args.weights)
    if not isinstance(network, LiquidClassifier):
        parser.error(f'{args.weights}: its thresholds are part of the method')
    result = calibrate(network, metadata, [open_data(folder) for folder in args.val])
    save_weights(args.out, network, result.metadata)
    print(result)


if __name__ == '__main__':
    main()
