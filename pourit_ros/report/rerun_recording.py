# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A replay as a rerun recording: images, mask, cloud, stream, poses and curves on one timeline."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..geometry import Pose
from . import drawing as dr
from .overlay import stream_curve, verdict
from .page import jpeg

if TYPE_CHECKING:
    from ..formats.estimates_csv import Row
    from ..geometry import PourGeometry
    from ..perception.segmentation import Segmentation
    from ..pipeline import Frame, Observation

TIMELINE = 'stamp'
IMAGE = 'world/camera/image'
# Length of the axes that show a pose, m.
AXIS = 0.05
CURVES = (
    'distance', 'offset/x', 'offset/y', 'offset/z', 'margin', 'probability', 'latency', 'flow',
    'poured',
)  # fmt: skip


def require_rerun() -> None:
    """Raise InputError where the extra is not installed."""
    if importlib.util.find_spec('rerun') is None:
        raise InputError("rerun is not installed: pip install 'pourit_ros[rerun]'")


class RerunRecording:
    """Context manager that logs frame after frame into the .rrd file `path`.

    Frames lie on the timeline `stamp`,
    lengths are m in the frame `world`, which is the base frame (z up); curves are mm, ms and
    probability. Raises InputError without the extra.
    """

    def __init__(self, path: Path) -> None:
        require_rerun()
        import rerun as rr

        self._rr = rr
        self._path = path
        self._recording = rr.RecordingStream('pourit_ros')
        for switch in ('set_log_time_enabled', 'set_log_tick_enabled'):
            # Of rerun 0.30 and later: without them these timelines stand beside the stamps.
            if hasattr(self._recording, switch):
                getattr(self._recording, switch)(False)

    def __enter__(self) -> RerunRecording:
        self._recording.save(self._path, default_blueprint=_blueprint())
        rr = self._rr
        self._log('world', rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        classes = [(0, 'nothing', (0, 0, 0, 0)), (1, 'liquid', (*dr.LIQUID, 255))]
        self._log(IMAGE, rr.AnnotationContext(classes), static=True)
        for container in ('source', 'target'):
            axes = [[[0, 0, 0], (AXIS * np.eye(3)[k]).tolist()] for k in range(3)]
            colours = (255 * np.eye(3)).astype(int).tolist()
            shape = rr.LineStrips3D(axes, colors=colours, radii=0.002)
            self._log(f'world/{container}', shape, static=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The file is whole when it is closed.
        self._recording.flush()
        self._recording.disconnect()

    def add(
        self,
        frame: Frame,
        observation: Observation,
        geometry: PourGeometry,
        row: Row,
    ) -> None:
        """Log a frame, what was seen in it and its line of estimates.csv."""
        rr = self._rr
        stamp = np.datetime64(frame.stamp_ns, 'ns')
        self._recording.set_time(TIMELINE, timestamp=stamp)
        self._images(frame, observation.segmentation)
        self._pose('world/camera', frame.T_base_cam)
        source = None
        if frame.T_base_cam is not None and frame.T_cam_source is not None:
            source = frame.T_base_cam @ frame.T_cam_source
        self._pose('world/source', source)
        self._pose('world/target', frame.T_base_target)
        cloud = observation.cloud
        level = np.clip(255 * cloud.intensity, 60, 255).astype(np.uint8)
        colours = np.stack([level // 8, level // 2 + 40, level], axis=1)
        self._points('world/camera/liquid', cloud.points, colours, 0.001)
        seen, unseen = stream_curve(geometry)
        colour = verdict(geometry.margin)
        self._strip('world/stream/seen', seen, dr.STREAM, 0.002)
        self._strip('world/stream/predicted', unseen, dr.STREAM, 0.0008)
        rim = None if geometry.rim is None else geometry.rim.circle()
        self._strip('world/rim', rim, colour, 0.001)
        for name, point, ink in (
            ('lowest', geometry.lowest_point, dr.LOWEST),
            ('landing', geometry.landing_point, colour),
        ):
            points = np.zeros((0, 3)) if point is None else np.reshape(point, (1, 3))
            self._points(f'world/{name}', points, [ink], 0.004)
        offset = (None,) * 3 if row.offset is None else row.offset
        values = [
            *(None if v is None else 1000 * v for v in (row.distance, *offset, row.margin)),
            row.probability,
            row.latency_ms,
            *(None if v is None else 1e6 * v for v in (row.flow, row.poured)),
        ]
        for name, value in zip(CURVES, values, strict=True):
            shown = rr.Clear(recursive=False) if value is None else rr.Scalars(value)
            self._log(f'curves/{name}', shown)

    def _images(self, frame: Frame, segmentation: Segmentation) -> None:
        rr = self._rr
        height, width = frame.color.shape[:2]
        pinhole = rr.Pinhole(
            image_from_camera=frame.camera.matrix, width=width, height=height,
            image_plane_distance=0.1,
        )  # fmt: skip
        self._log(IMAGE, pinhole)
        image = rr.EncodedImage(contents=jpeg(frame.color), media_type='image/jpeg')
        self._log(f'{IMAGE}/colour', image)
        mask = rr.SegmentationImage(segmentation.mask.astype(np.uint8), opacity=0.4)
        self._log(f'{IMAGE}/mask', mask)
        if frame.depth is None:
            self._log(f'{IMAGE}/depth', rr.Clear(recursive=False))
            return
        mm = np.nan_to_num(1000 * frame.depth, nan=0.0, posinf=0.0, neginf=0.0)
        ok, data = cv2.imencode('.png', np.clip(np.round(mm), 0, 65535).astype(np.uint16))
        if ok:
            depth = rr.EncodedDepthImage(data.tobytes(), media_type='image/png', meter=1000.0)
            self._log(f'{IMAGE}/depth', depth)

    def _pose(self, entity: str, pose: Pose | None) -> None:
        # A pose that is not known leaves the last one standing: a frame without would move
        # what hangs on it into the base.
        if pose is not None:
            matrix = pose.matrix
            shown = self._rr.Transform3D(translation=matrix[:3, 3], mat3x3=matrix[:3, :3])
            self._log(entity, shown)

    def _points(self, entity: str, points: ArrayLike, colours: ArrayLike, radius: float) -> None:
        self._log(entity, self._rr.Points3D(points, colors=colours, radii=radius))

    def _strip(
        self, entity: str, points: NDArray[np.float64] | None, colour: dr.Colour, radius: float
    ) -> None:
        strips = [] if points is None or len(points) < 2 else [points]
        self._log(entity, self._rr.LineStrips3D(strips, colors=[colour], radii=radius))

    def _log(self, entity: str, shown: Any, static: bool = False) -> None:
        self._recording.log(entity, shown, static=static)


def _blueprint() -> Any:
    """3D on the left, the image and the curves on the right."""
    import rerun.blueprint as rrb

    # Depth lies in 3D; in 2D it would cover the image.
    camera = rrb.Spatial2DView(
        name='camera', origin=IMAGE, contents=['+ $origin/**', '- $origin/depth']
    )
    curves = [
        rrb.TimeSeriesView(name=title, contents=[f'curves/{name}/**' for name in names])
        for title, names in (
            ('distance and margin (mm)', ('distance', 'margin')),
            ('offset (mm)', ('offset',)),
            ('flow (ml/s)', ('flow',)),
            ('poured (ml)', ('poured',)),
            ('probability', ('probability',)),
        )
    ]
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Spatial3DView(name='pour', origin='world'),
            rrb.Vertical(camera, *curves),
        ),
        collapse_panels=True,
    )
