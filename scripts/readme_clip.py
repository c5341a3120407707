# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Make the moving picture of README.md: a rendered pour, the overlay beside the scene in 3D.

    pourit synth --sequence --size 640 --rate 12 --out sequence
    python scripts/readme_clip.py sequence/sequence docs/images/pour.webp

Needs Pillow.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pourit_ros.bags.reader import BagReader
from pourit_ros.geometry import Container
from pourit_ros.perception import Segmenter
from pourit_ros.pipeline import Frame, Observation, PourEstimate, PourPipeline
from pourit_ros.report import drawing as dr
from pourit_ros.report.clouds import cam_colours, scene_cloud
from pourit_ros.report.overlay import overlay, stream_curve, verdict
from pourit_ros.report.view3d import OrthographicView

# Each panel, px; GitHub shows a README 1012 px wide at most.
PANEL_HEIGHT = 378
OVERLAY_WIDTH, VIEW_WIDTH = 504, 378
PANEL: dr.Colour = (34, 38, 45)
# The part of the image that is shown: left, top, width and height in shares of the image. On a
# phone the whole of it would be too small to see a stream in.
SHOWN = (0.08, 0.14, 0.7, 0.7)
# Metres that the 3D panel shows from side to side.
REACH = 0.36
# Turned this far from the camera's own direction, and looking down by so much.
TURN, ELEVATION = np.radians(42.0), np.radians(22.0)
UP = np.array([0.0, 0.0, 1.0])
# Larger files load slowly on a phone.
LARGEST = 3_000_000

Answer = tuple[Frame, Observation, PourEstimate]


def main() -> None:
    """Run the pipeline over the bag and write the clip."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('bag', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--source', default='pourit_bottle')
    parser.add_argument('--target', default='cup')
    parser.add_argument('--quality', type=int, default=70, help='of WebP, 0 to 100')
    arguments = parser.parse_args()
    source, target = Container.load(arguments.source), Container.load(arguments.target)
    pipeline = PourPipeline(Segmenter(), source, target)
    with BagReader(arguments.bag) as reader:
        answers = [(frame, *pipeline(frame)) for frame in reader.frames()]
    milliseconds = np.diff([frame.stamp_ns for frame, *_ in answers]).mean() * 1e-6
    forward, centre = standpoint(answers, source, target)
    pictures = []
    for frame, observation, estimate in answers:
        left = close_up((frame, observation, estimate))
        right = view((frame, observation, estimate), forward, centre, source, target)
        pictures.append(Image.fromarray(np.hstack([left, right])))
    write(pictures, arguments.out, round(milliseconds), arguments.quality)


def standpoint(
    answers: Sequence[Answer], source: Container, target: Container
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Viewing direction and middle of the 3D panel, the same for all frames.

    The middle lies between the target's mouth and the source's while it pours.
    """
    pouring = [frame for frame, _, estimate in answers if estimate.valid]
    if not pouring:
        raise SystemExit('the bag shows no pour that could be measured')
    frame = pouring[len(pouring) // 2]
    T = frame.T_base_cam
    low = target.mouth_in(frame.T_base_target)
    centre = (low + source.mouth_in(T @ frame.T_cam_source)) / 2 + [0, 0, 0.02]
    sight = centre - T.translation
    sight[2] = 0
    sight /= np.linalg.norm(sight)
    level = np.cos(TURN) * sight + np.sin(TURN) * np.cross(UP, sight)
    return np.cos(ELEVATION) * level - np.sin(ELEVATION) * UP, centre


def close_up(answer: Answer) -> NDArray[np.uint8]:
    """The overlay of the part of the image in which the pour happens."""
    frame, observation, estimate = answer
    height, width = frame.color.shape[:2]
    left, top, across, down = (
        round(share * side) for share, side in zip(SHOWN, (width, height) * 2, strict=True)
    )
    part = np.s_[top : top + down, left : left + across]
    seen = observation.segmentation
    shown = replace(
        frame,
        color=np.ascontiguousarray(frame.color[part]),
        camera=frame.camera.crop(left, top, across, down),
        depth=None,
    )
    segmentation = replace(seen, mask=seen.mask[part], cam=seen.cam[part])
    drawn = overlay(shown.color, segmentation, estimate, shown)
    size = (OVERLAY_WIDTH, PANEL_HEIGHT)
    return np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def view(
    answer: Answer,
    forward: NDArray[np.float64],
    centre: NDArray[np.float64],
    source: Container,
    target: Container,
) -> NDArray[np.uint8]:
    """The 3D panel of one frame."""
    frame, observation, estimate = answer
    geometry, T = estimate.geometry, frame.T_base_cam
    panel = OrthographicView(VIEW_WIDTH, PANEL_HEIGHT, forward, centre, VIEW_WIDTH / REACH, PANEL)
    points, colours = scene_cloud(frame)
    pixel = float(np.linalg.norm(centre - T.translation)) / frame.camera.fx
    panel.points(T.apply(points), np.round(0.82 * colours + 0.18 * 128), 3 * pixel)
    liquid = observation.cloud
    panel.points(T.apply(liquid.points), cam_colours(liquid.intensity), 2 * pixel)
    pose = T @ frame.T_cam_source
    rim = source.rim_in(pose)
    mouth, axis = rim.mouth, rim.axis
    panel.line(rim.circle(), dr.SOURCE, 2)
    panel.arrow(mouth, mouth + 0.05 * axis, dr.SOURCE, 2)
    colour = verdict(geometry.margin)
    panel.line(target.rim_in(frame.T_base_target).circle(), colour, 3)
    seen, unseen = stream_curve(geometry)
    panel.line(unseen, dr.STREAM, 1.5)
    panel.line(seen, dr.STREAM, 3)
    if geometry.landing_point is not None:
        dr.cross(panel.image, panel.project(geometry.landing_point)[0][0], 14, colour, 5)
    if geometry.lowest_point is not None:
        dr.disc(panel.image, panel.project(geometry.lowest_point)[0][0], 9, dr.LOWEST)
    return panel.finish()


def write(pictures: Sequence[Image.Image], path: Path, milliseconds: int, quality: int) -> None:
    """Write an animated WebP that starts over at its end."""
    first, *others = pictures
    first.save(
        path, save_all=True, append_images=others, duration=milliseconds, loop=0,
        quality=quality, method=6,
    )  # fmt: skip
    size = path.stat().st_size
    print(f'{path}: {len(pictures)} frames, {size / 1e6:.2f} MB')
    if size > LARGEST:
        raise SystemExit(f'{path}: larger than {LARGEST / 1e6:g} MB, choose a lower --quality')


if __name__ == '__main__':
    main()
