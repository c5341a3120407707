# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Mask and poses to cloud, stream, landing point and distance.

Units are SI, angles radians, frames right-handed (REP 103), optical frames z forward.
``T_a_b`` maps points of frame b into frame a. Nothing here imports torch, open3d or rclpy.
"""

from .camera import PinholeCamera
from .cloud import LiquidCloud, lift_mask
from .container import Container
from .depth import DepthEvidence, depth_evidence
from .errors import GeometryError, NotEstimable
from .flow import FlowModel
from .measure import PourGeometry, measure_pour
from .noise import NoiseModel
from .plane import PouringPlane, pouring_plane
from .pose import Pose
from .stream import StreamFit, fit_stream

__all__ = [
    'Container',
    'DepthEvidence',
    'FlowModel',
    'GeometryError',
    'LiquidCloud',
    'NoiseModel',
    'NotEstimable',
    'PinholeCamera',
    'Pose',
    'PourGeometry',
    'PouringPlane',
    'StreamFit',
    'depth_evidence',
    'fit_stream',
    'lift_mask',
    'measure_pour',
    'pouring_plane',
]
