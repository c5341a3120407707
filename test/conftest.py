# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest

from pourit_ros.ros_processes import profile_for_large_images

# Fast DDS reads its profile once a process, with the first participant of whichever test.
os.environ.update(profile_for_large_images(os.environ))


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Reference data beside the checkout; its tests skip visibly where it is absent."""
    path = Path(__file__).resolve().parents[2] / 'shared'
    if not (path / 'data').is_dir():
        pytest.skip(f'no reference data at {path}')
    return path


@pytest.fixture(scope='session')
def stripe_weights(tmp_path_factory) -> Path:
    """Weights of a network that sees the pour that `live_pour` draws."""
    from live_pour import write_weights

    path = tmp_path_factory.mktemp('weights') / 'stripe.safetensors'
    write_weights(path)
    return path
