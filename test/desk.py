# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The files that examples and docstrings speak of, made of the small recording."""

import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from pourit_ros.bags.reader import BagReader
from pourit_ros.formats.images import write_image

BAG = Path(__file__).parent / 'data' / 'pour_small' / 'pour'
SIZE = (640, 480)
# Of the recording's frames at 5 Hz: liquid flows in these.
FIRST, LAST = 12, 20


def lay_out(folder: Path) -> None:
    """Write photo.jpg, scene/ of one frame, video.mp4 and my_bag/ into a folder."""
    shutil.copytree(BAG, folder / 'my_bag')
    with BagReader(BAG) as bag:
        frames = [enlarged(frame) for frame in islice(bag.frames(), FIRST, LAST)]
    write_image(folder / 'photo.jpg', frames[-1].color)
    (folder / 'scene').mkdir()
    write_scene_frame(folder / 'scene' / '000001', frames[-1])
    video = cv2.VideoWriter(str(folder / 'video.mp4'), cv2.VideoWriter.fourcc(*'mp4v'), 5, SIZE)
    for frame in frames[:3]:
        video.write(frame.color[..., ::-1])
    video.release()


def enlarged(frame):
    """The frame as a larger camera would have seen it."""
    return replace(
        frame,
        color=cv2.resize(frame.color, SIZE, interpolation=cv2.INTER_CUBIC),
        camera=frame.camera.resize(*SIZE),
        depth=cv2.resize(frame.depth, SIZE, interpolation=cv2.INTER_NEAREST),
    )


def write_scene_frame(stem: Path, frame) -> None:
    """In PourIt!'s layout."""
    write_image(f'{stem}_rgb.png', frame.color)
    write_image(f'{stem}_depth.png', np.round(1000 * frame.depth).astype(np.uint16))
    np.savetxt(f'{stem}_camK.txt', frame.camera.matrix)
    np.savetxt(f'{stem}_Tsource2cam.txt', frame.T_cam_source.matrix)
    np.savetxt(f'{stem}_Tcam2base.txt', frame.T_base_cam.matrix)
    T_cam_target = frame.T_base_cam.inverse() @ frame.T_base_target
    np.savetxt(f'{stem}_Ttarget2cam.txt', T_cam_target.matrix)
