# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Reference data beside the checkout; its tests skip visibly where it is absent."""
    path = Path(__file__).resolve().parents[2] / 'shared'
    if not (path / 'data').is_dir():
        pytest.skip(f'no reference data at {path}')
    return path
