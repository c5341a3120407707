# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A training run that ends in the middle of a step: CONFIG DATA OUT PROCESSES STEP."""

import os
import sys
from pathlib import Path

from pourit_ros.training.config import load_config
from pourit_ros.training.data_sets import open_data
from pourit_ros.training.fit import Run, fit, make_fabric

config, data, out, processes, last = sys.argv[1:]
pictures = open_data(Path(data))
run = Run([(pictures, 1.0)], [pictures], Path(out), every=2)


def stop(step, loss):
    if step == int(last):
        os._exit(0)


fit(load_config(config), run, make_fabric('cpu', int(processes)), False, stop)
