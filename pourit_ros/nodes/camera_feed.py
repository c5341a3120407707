# SPDX-License-Identifier: Apache-2.0
"""Executable of the node in `camera_feed_node`; imports no rclpy before signals are in order."""

from .runner import run


def main() -> None:
    """Run the node until it ends or is told to."""
    run('camera_feed_node', 'CameraFeed')


if __name__ == '__main__':
    main()
