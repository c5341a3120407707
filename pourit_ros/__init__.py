# SPDX-License-Identifier: Apache-2.0
"""Watch a robot pour: liquid mask, 3D stream and liquid-to-container distance from RGB-D."""

__version__ = '0.1.0'
