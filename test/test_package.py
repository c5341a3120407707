# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The package as a whole: metadata that agrees, headers, imports that point down only."""

import ast
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import pourit_ros

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'pourit_ros'
SOURCES = sorted(PACKAGE.rglob('*.py'))

# Each part, and what of the package it may import at most.
GROUND = {'__version__', 'errors', 'files', 'resources'}
FILE_READERS = {'formats.images', 'formats.calibration'}
MAY_IMPORT = {
    # The door: names of all that most programs need, loaded on their first use.
    '__init__': {'formats.images', 'geometry', 'perception', 'pipeline', 'report'},
    '__main__': {'cli'},
    'errors': set(),
    'files': {'__version__', 'errors'},
    'resources': set(),
    'workers': {'__version__', 'errors'},
    'geometry': GROUND,
    'perception': GROUND,
    'containers': {'geometry'},
    'control': {*GROUND, 'geometry'},
    # Readers of single files lie below the pipeline, those of whole scenes and tables above it.
    'formats.images': {'errors'},
    'formats.calibration': {'errors', 'formats.images', 'geometry'},
    'pipeline': {'containers', 'errors', *FILE_READERS, 'geometry', 'perception'},
    'formats': {*GROUND, *FILE_READERS, 'geometry', 'perception', 'pipeline'},
    'report': {*GROUND, 'formats', 'geometry', 'perception', 'pipeline'},
    'messages': {*GROUND, 'geometry', 'pipeline', 'report'},
    'sync': {'geometry', 'messages', 'pipeline'},
    'bags': {
        *GROUND, 'control', 'formats', 'geometry', 'messages', 'pipeline', 'report', 'sync',
    },
    'training': {*GROUND, 'formats', 'perception', 'report'},
    'nodes': {
        *GROUND, 'bags', 'containers', 'control', 'geometry', 'messages', 'perception',
        'pipeline', 'sim', 'sync',
    },
    'live': {
        *GROUND, 'bags', 'control', 'formats', 'geometry', 'messages', 'nodes', 'perception',
        'pipeline', 'report', 'sim',
    },
    'synth': {*GROUND, 'formats', 'geometry', 'pipeline', 'workers'},
    'sim': {*GROUND, 'control', 'geometry', 'perception', 'pipeline', 'report', 'synth'},
    'bench': {
        *GROUND, *FILE_READERS, 'bags', 'geometry', 'live', 'messages', 'perception', 'pipeline',
        'sim', 'synth', 'workers',
    },
    'cli': {
        *GROUND, 'bags', 'bench', 'formats', 'geometry', 'live', 'perception', 'pipeline',
        'report', 'sim', 'sync', 'synth', 'training', 'workers',
    },
}  # fmt: skip


def part_of(path):
    return part_named(path.relative_to(PACKAGE).with_suffix('').parts)


def part_named(names):
    """The part that a module belongs to: itself, where it is one, else its folder."""
    return '.'.join(names[:2]) if '.'.join(names[:2]) in MAY_IMPORT else names[0]


def test_every_part_says_what_it_may_import():
    assert {part_of(path) for path in SOURCES} == set(MAY_IMPORT)


def test_no_part_imports_itself_through_others():
    assert list(TopologicalSorter(MAY_IMPORT).static_order())


def imports_of(path):
    """Modules of this package that a file imports, as 'part.module'."""
    parts = path.relative_to(PACKAGE).with_suffix('').parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = parts[: len(parts) - node.level + 1]
            module = [*above, *(node.module or '').split('.')]
            names = [*module] if node.module else [*above, node.names[0].name]
            yield '.'.join(filter(None, names))


@pytest.mark.parametrize('part', sorted(MAY_IMPORT))
def test_imports_point_down_only(part):
    files = [path for path in SOURCES if part_of(path) == part]
    assert files
    for path in files:
        for module in imports_of(path):
            allowed = MAY_IMPORT[part] | {part}
            names = part_named(module.split('.')), module.split('.')[0]
            assert allowed.intersection(names), f'{path.name} imports {module}'


@pytest.mark.parametrize(
    'part', ['geometry', 'perception', 'control', 'sim', 'sync', 'bags', 'report']
)
def test_only_nodes_know_ros(part):
    for path in (PACKAGE / part).rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert not any(n.split('.')[0] in {'rclpy', 'sensor_msgs'} for n in names), path


def test_versions_and_licences_agree():
    manifest = ElementTree.parse(ROOT / 'package.xml').getroot()
    assert manifest.get('format') == '3'
    assert manifest.findtext('version') == pourit_ros.__version__
    assert f"version='{pourit_ros.__version__}'" in (ROOT / 'setup.py').read_text()
    assert manifest.findtext('license') == 'Apache-2.0'
    assert manifest.find('license').get('file') == 'LICENSE'
    assert (ROOT / 'LICENSE').read_text().lstrip().startswith('Apache License')
    assert manifest.findtext('export/build_type') == 'ament_python'


def test_shipped_files_are_where_the_code_looks():
    from pourit_ros.resources import find_resource

    for name in (
        'config/containers.yaml',
        'config/pourit.yaml',
        'config/train/weak.yaml',
        'models/default.safetensors',
        'models/graphs/mobilenet_v2-c48-r4.onnx',
        'models/weak.safetensors',
    ):
        assert find_resource(name).is_file()
    with pytest.raises(FileNotFoundError, match='not installed'):
        find_resource('config/nothing.yaml')
    assert yaml.safe_load(find_resource('config/pourit.yaml').read_text())


def test_shipped_files_are_found_under_pip_target(tmp_path):
    # pip puts data files beside the package there, where its own record does not say.
    source, target = tmp_path / 'source', tmp_path / 'target'
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns('.*', 'build', 'out', '*.egg-info', 'test')
    )
    pip = [sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    options = ['--no-deps', '--no-build-isolation', '--target', target, source]
    subprocess.run([*pip, *map(str, options)], check=True)
    code = (
        'from pourit_ros.resources import find_resource as f\n'
        'print(f("models/default.safetensors"), f("config/containers.yaml"))'
    )
    found = subprocess.run(
        [sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH': str(target)},
        cwd=tmp_path, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert [Path(path).is_relative_to(target) for path in found] == [True, True]


def test_readme_names_only_commands_that_exist():
    from typer.main import get_command

    from pourit_ros.cli.main import app

    words = (ROOT / 'README.md').read_text().replace('`', ' ').split()
    named = {b for a, b in pairwise(words) if a == 'pourit'}
    commands = set(get_command(app).commands)
    assert commands <= named
    assert named <= commands
