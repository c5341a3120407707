# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Find the liquid in every frame of a video, and write a video that shows it.

python examples/segment_video.py pour.mp4 overlay.mp4
"""

import argparse
from itertools import chain
from pathlib import Path

import cv2

from pourit_ros import Segmenter, overlay
from pourit_ros.formats.media import video_frames
from pourit_ros.report.video import VideoWriter


def main() -> None:
    parser = argparse.ArgumentParser(description='Find the liquid in a video.')
    parser.add_argument('video', type=Path)
    parser.add_argument('out', type=Path)
    arguments = parser.parse_args()

    segmenter = Segmenter('default')
    rate = cv2.VideoCapture(str(arguments.video)).get(cv2.CAP_PROP_FPS) or 30.0
    images = video_frames(arguments.video)
    first = next(images, None)
    if first is None:
        parser.error(f'{arguments.video}: cannot be read as a video')
    height, width = first.shape[:2]
    wet = 0
    with VideoWriter(arguments.out, rate, (width, height)) as video:
        for image in chain([first], images):
            seen = segmenter(image)
            wet += seen.present
            video.write(overlay(image, seen))
    print(f'liquid in {wet} of {video.count} frames: {arguments.out}')


if __name__ == '__main__':
    main()
