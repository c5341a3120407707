# SPDX-License-Identifier: Apache-2.0
"""The package as a whole: metadata that agrees, headers, imports that point down only."""

import ast
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import pourit_ros

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'pourit_ros'
SOURCES = sorted(PACKAGE.rglob('*.py'))

# Each part, and what of the package it may import at most.
MAY_IMPORT = {
    'labels_csv': {'errors', 'files'},
    'geometry': {'errors', 'resources'},
    'report': {'errors', 'files', 'geometry', 'perception', 'pipeline', 'bags'},
    'perception': {'errors', 'resources'},
    'control': {'errors'},
    'pipeline': {'geometry', 'perception'},
    'messages': {'errors', 'geometry', 'pipeline', 'report'},
    'sim': {'geometry', 'pipeline'},
    'training': {'errors', 'files', 'labels_csv', 'perception', 'report', 'resources'},
    'synth': {'__version__', 'errors', 'files', 'geometry', 'pipeline', 'sim', 'scenes'},
    'bench': {
        'bags',
        'errors',
        'geometry',
        'messages',
        'perception',
        'pipeline',
        'ros_processes',
        'sim',
        'synth',
    },
}


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
    files = [p for p in SOURCES if p.relative_to(PACKAGE).with_suffix('').parts[0] == part]
    assert files
    for path in files:
        for module in imports_of(path):
            top = module.split('.')[0]
            assert top in MAY_IMPORT[part] | {part}, f'{path.name} imports {module}'


@pytest.mark.parametrize('part', ['geometry', 'perception', 'control', 'sim', 'bags', 'report'])
def test_only_nodes_know_ros(part):
    for path in (PACKAGE / part).rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert not any(n.split('.')[0] in {'rclpy', 'sensor_msgs'} for n in names), path


def test_every_file_names_its_licence():
    files = [*SOURCES, *(ROOT / 'test').glob('*.py'), *(ROOT / 'launch').glob('*.py')]
    assert len(files) > 50
    for path in [*files, ROOT / 'setup.py']:
        assert path.read_text().startswith('# SPDX-License-Identifier: Apache-2.0\n'), path


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
        'models/weak.safetensors',
    ):
        assert find_resource(name).is_file()
    with pytest.raises(FileNotFoundError, match='not installed'):
        find_resource('config/nothing.yaml')
    assert yaml.safe_load(find_resource('config/pourit.yaml').read_text())


def test_readme_names_only_commands_that_exist():
    from typer.main import get_command

    from pourit_ros.cli.main import app

    words = (ROOT / 'README.md').read_text().replace('`', ' ').split()
    named = {b for a, b in pairwise(words) if a == 'pourit'}
    commands = set(get_command(app).commands)
    assert commands <= named
    assert named <= commands
