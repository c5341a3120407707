# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pourit_ros.live.processes import profile_for_large_images

# Fast DDS reads its profile once a process, with the first participant of whichever test.
os.environ.update(profile_for_large_images(os.environ))

# How fast an example is found or runs says something of the machine alone.
settings.register_profile('busy', deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile('busy')


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Reference data beside the checkout; its tests skip visibly where it is absent."""
    path = Path(__file__).resolve().parents[2] / 'shared'
    if not (path / 'data').is_dir():
        pytest.skip(f'no reference data at {path}')
    return path


@pytest.fixture(scope='session')
def desk(tmp_path_factory) -> Path:
    """A folder with the files that examples and docstrings speak of."""
    from desk import lay_out

    folder = tmp_path_factory.mktemp('desk')
    lay_out(folder)
    return folder


@pytest.fixture(scope='session')
def stripe_weights(tmp_path_factory) -> Path:
    """Weights of a network that sees the pour that `live_pour` draws."""
    from live_pour import write_weights

    path = tmp_path_factory.mktemp('weights') / 'stripe.safetensors'
    write_weights(path)
    return path


@pytest.fixture
def pourit(monkeypatch, capfd):
    """Run `pourit` with arguments in this process: (exit status, stdout, stderr)."""
    from pourit_ros.cli import main

    monkeypatch.setattr(main, '_end_on_signals', lambda: None)

    def run(*arguments):
        monkeypatch.setattr('sys.argv', ['pourit', *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = capfd.readouterr()
        assert 'Traceback' not in said.err
        return ended.value.code or 0, said.out, said.err

    return run
