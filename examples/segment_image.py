# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Find the liquid in an image, and show it.

python examples/segment_image.py photo.jpg    (needs Pillow: pip install pillow)
"""

import argparse

from PIL import Image

from pourit_ros import Segmenter, overlay, read_image


def main() -> None:
    parser = argparse.ArgumentParser(description='Find the liquid in an image.')
    parser.add_argument('image')
    parser.add_argument('--out', help='write the picture there instead of showing it')
    arguments = parser.parse_args()

    image = read_image(arguments.image)
    seen = Segmenter('default')(image)
    print(seen)

    picture = Image.fromarray(overlay(image, seen))
    if arguments.out:
        picture.save(arguments.out)
    else:
        picture.show()


if __name__ == '__main__':
    main()
