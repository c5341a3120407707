# SPDX-License-Identifier: Apache-2.0
"""Executable of the node in `perception_node`; imports no rclpy before signals are in order."""

from .runner import run


def main() -> None:
    """Run the node until it ends or is told to."""
    run('perception_node', 'LiquidPerception')


if __name__ == '__main__':
    main()
