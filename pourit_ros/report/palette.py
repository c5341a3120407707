# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Colours of pages and plots, on light ground and on dark.

After Okabe and Ito, 'Color universal design' (2008): they stay apart for people who do not tell
red from green. Where two lines share a plot, dashes or words tell them apart as well.
"""

INK = '#1c2026'
GREY = '#66707c'
SLATE = '#44505e'
GRID = '#e1e5ea'
PAPER = '#ffffff'
BLUE = '#0072b2'
GREEN = '#009e73'
ORANGE = '#d55e00'
AMBER = '#946200'
VIOLET = '#7a4fd0'
STATE_COLOURS = {
    'idle': '#c9ced5',
    'searching': '#f3d48a',
    'flowing': '#7cc3f0',
    'stopped': '#aeb7c2',
    'fault': '#f0a097',
}

#: What each colour becomes on a dark page.
DARK = {
    INK: '#e6e9ee',
    GREY: '#9aa5b1',
    SLATE: '#b6c2cf',
    GRID: '#343b45',
    PAPER: '#1b2027',
    BLUE: '#56b4e9',
    GREEN: '#3fd0a4',
    ORANGE: '#ff9248',
    AMBER: '#e6b34d',
    VIOLET: '#b79cf5',
    '#c9ced5': '#4a525d',
    '#f3d48a': '#75591a',
    '#7cc3f0': '#1f5f8a',
    '#aeb7c2': '#5d6875',
    '#f0a097': '#8a3a30',
}
