# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Lift the liquid of a scene to 3D, say how far it is from the target, and draw how.

python examples/lift_scene.py scene1 --out lifted

A scene is a folder in PourIt!'s layout, with the poses of camera, source and target.
"""

import argparse
from pathlib import Path

from pourit_ros import Container, PourPipeline, Segmenter, draw_lift
from pourit_ros.formats.images import write_image
from pourit_ros.formats.scenes import load_pourit_scene


def main() -> None:
    parser = argparse.ArgumentParser(description='Lift the liquid of a scene to 3D.')
    parser.add_argument('scene', type=Path)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--source', default='pourit_bottle', help='preset or YAML file')
    parser.add_argument('--target', default='cup', help='preset or YAML file')
    arguments = parser.parse_args()

    source, target = Container.load(arguments.source), Container.load(arguments.target)
    pipeline = PourPipeline(Segmenter('default'), source, target)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for frame in load_pourit_scene(arguments.scene):
        observation, estimate = pipeline(frame)
        if not estimate.present:
            print(f'{frame.name}: no liquid')
        elif estimate.geometry.distance is None:
            print(f'{frame.name}: cannot tell, because {estimate.reason}')
        else:
            print(f'{frame.name}: {1000 * estimate.geometry.distance:.0f} mm to the mouth')
        picture = draw_lift(frame, observation, estimate, source, target)
        write_image(arguments.out / f'{frame.name}.png', picture)


if __name__ == '__main__':
    main()
