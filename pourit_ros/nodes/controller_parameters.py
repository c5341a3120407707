# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of pour_controller, and the settings that they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..control.settings import ML, ControllerSettings
from ..errors import InputError
from .parameters import BASE_FRAME, TARGET_FRAME, Parameter

_DEFAULTS = ControllerSettings()

# Settings of the controller, each a parameter of the same name; SI units.
_SETTINGS = (
    ('height', 0.5, "Height of the lip above the target's mouth while it pours, m."),
    ('latency', 1.0, "Latency of the sight, from an image's stamp to its measurement, s."),
    ('gain', 5.0, 'Of the correction by sight, 1/s; see the delay margin.'),
    ('dead_band', 0.05, 'Offsets below this are let be, m.'),
    ('lip_speed', 1.0, 'Greatest speed of the lip, m/s.'),
    ('lip_acceleration', 5.0, 'Greatest acceleration of the lip, m/s2.'),
    ('lip_jerk', 100.0, 'Greatest jerk of the lip, m/s3.'),
    ('pour_tilt_rate', 0.5, 'Greatest rate of tilting forward while liquid may flow, rad/s.'),
    ('tilt_rate', 2.0, 'Greatest rate of any other turn, and of the return-tilt, rad/s.'),
    ('max_tilt', 3.1, 'Greatest tilt of the source from the vertical, rad.'),
    ('max_travel', 2.0, 'Greatest way of the lip from where it started, m.'),
    ('max_time', 600.0, 'Longest time of a pour, s.'),
    ('max_pose_age', 1.0, 'Oldest pose of source and target to move by, s.'),
    ('max_silence', 2.0, 'Longest time without a new measurement of an image, s.'),
    ('blind_time', 2.0, 'How long images may show no liquid that should be seen, s.'),
)  # fmt: skip
# In ml and ml/s, as people say them.
_VOLUMES = (
    ('target_volume', 5000.0, 'Volume to pour, ml.'),
    ('pour_flow', 200.0, 'Flow to keep, ml/s; no less than visible_flow.'),
    ('visible_flow', 200.0, 'The smallest flow that is surely seen, ml/s.'),
)


def _shown(value: float) -> float:
    """A default without the noise of binary fractions."""
    return float(f'{value:.6g}')


PARAMETERS = (
    Parameter(
        'dry_run',
        True,
        'Publish on cmd_twist_dry (cmd_pose_dry) instead of cmd_twist (cmd_pose).',
        dynamic=True,
    ),
    Parameter(
        'output',
        'twist',
        'twist: of the tip, for MoveIt Servo; pose: of the tip, for crisp_controllers.',
        choices=('twist', 'pose'),
    ),
    Parameter('rate', 50.0, 'Commands per second.', low=20.0, high=200.0),
    Parameter('source', 'pourit_bottle', 'Source container, with a cavity: a name in '
              'containers.yaml, or a YAML file.'),
    Parameter('target', 'cup', 'Target container: name or file as for source.'),
    Parameter('source_frame', '', 'TF frame of the source; empty: use topic source_pose.'),
    replace(TARGET_FRAME, dynamic=False),
    Parameter('tip_frame', '', "TF frame of the arm's tip, which twists move; empty: use topic "
              'tip_pose.'),
    BASE_FRAME,
    Parameter('fill', 0.0, 'Volume in the source before it pours, ml; it must be said.',
              high=5000.0, dynamic=True),
    Parameter('content', 0.0, 'Volume in the target before it pours, ml.', high=5000.0,
              dynamic=True),
    *(
        Parameter(name, _shown(getattr(_DEFAULTS, name) / ML), text, high=high, dynamic=True)
        for name, high, text in _VOLUMES
    ),
    Parameter('correct', True, 'False: aim, then neither correct by sight nor follow the target.',
              dynamic=True),
    *(
        Parameter(name, _shown(getattr(_DEFAULTS, name)), text, high=high, dynamic=True)
        for name, high, text in _SETTINGS
    ),
    Parameter('workspace', '-1 -1 0 1 1 1.5', 'Box that the lip stays in, base frame, m: lowest '
              'corner x y z, highest corner x y z.', dynamic=True),
)  # fmt: skip


def settings(value: Callable[[str], Any]) -> ControllerSettings:
    """The settings that the parameters make; `value` gives one by its name. Raises InputError."""
    box = value('workspace')
    try:
        x0, y0, z0, x1, y1, z1 = map(float, box.split())
    except ValueError:
        raise InputError(f'workspace is {box!r}: give six numbers, m') from None
    return ControllerSettings(
        **{name: ML * value(name) for name, *_ in _VOLUMES},
        **{name: value(name) for name, *_ in _SETTINGS},
        correct=value('correct'),
        workspace=((x0, y0, z0), (x1, y1, z1)),
    )
