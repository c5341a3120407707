# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The documentation against the code: commands, messages, navigation, links."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / 'docs'
SCRIPT = ROOT / 'scripts' / 'command_reference.py'
TROUBLESHOOTING = DOCS / 'troubleshooting.md'
PAGES = sorted(DOCS.rglob('*.md'))
SOURCES = sorted((ROOT / 'pourit_ros').rglob('*.py'))


def literals(tree):
    """Texts that a program can say: string constants, docstrings left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ''
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value
    ]


@pytest.fixture(scope='module')
def texts():
    return '\n'.join(text for path in SOURCES for text in literals(ast.parse(path.read_text())))


def pieces(message):
    """What a documented message says apart from its <placeholders>."""
    stripped = [piece.strip(' :;,()') for piece in re.split(r'<[^<>]*>', message)]
    return [piece for piece in stripped if len(piece) > 2]


def quoted(path):
    """Messages that a fault page quotes: the lines of its text blocks."""
    blocks = re.findall(r'^```text\n(.*?)^```', path.read_text(), re.M | re.S)
    return [line for block in blocks for line in block.splitlines()]


FAULTS = [page for page in sorted((DOCS / 'faults').glob('*.md')) if page.stem != 'index']
KEYS = re.findall(r'^### `(.+)`$', TROUBLESHOOTING.read_text(), re.M)


@pytest.mark.parametrize('message', KEYS)
def test_troubleshooting_is_keyed_by_messages_of_the_code(message, texts):
    assert pieces(message)
    for piece in pieces(message):
        assert piece in texts, f'{TROUBLESHOOTING.name}: the package never says {piece!r}'


@pytest.mark.parametrize('page', FAULTS, ids=lambda page: page.stem)
def test_fault_pages_quote_messages_of_the_code(page, texts):
    assert quoted(page)
    for message in quoted(page):
        for piece in pieces(message):
            assert piece in texts, f'{page.name}: the package never says {piece!r}'


def reasons():
    """What can stand in `reason` of estimates.csv: the longest fixed piece of each."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            found = literals(node) if node.func.id == 'NotEstimable' else []
            if found:
                yield max(found, key=len).strip()


def test_every_reason_has_its_place():
    page = (DOCS / 'faults' / 'not_estimable.md').read_text()
    found = list(reasons())
    assert len(found) > 8
    for reason in found:
        assert reason in page, f'not_estimable.md does not explain {reason!r}'


def test_command_reference_is_that_of_the_code():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), '--check'], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, '')


def test_an_old_command_reference_is_seen_and_mended(tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location('command_reference', SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    current = script.PAGE.read_text()
    page = tmp_path / 'command_line.md'
    page.write_text(current.replace('--out', '--into'))
    monkeypatch.setattr(script, 'PAGE', page)
    monkeypatch.setattr(sys, 'argv', ['command_reference.py', '--check'])
    assert script.main() == 1
    assert 'out of date' in capsys.readouterr().err
    monkeypatch.setattr(sys, 'argv', ['command_reference.py'])
    assert script.main() == 0
    assert page.read_text() == current


def named(nav):
    """Pages of a navigation tree."""
    for item in nav:
        for value in item.values() if isinstance(item, dict) else [item]:
            yield from named(value) if isinstance(value, list) else [value]


def test_navigation_names_every_page():
    nav = yaml.safe_load((ROOT / 'mkdocs.yml').read_text())['nav']
    assert sorted(named(nav)) == [page.relative_to(DOCS).as_posix() for page in PAGES]


@pytest.mark.parametrize('page', [*PAGES, ROOT / 'README.md', ROOT / 'CONTRIBUTING.md'], ids=str)
def test_links_lead_somewhere(page):
    made = DOCS / 'api'
    for target in re.findall(r'\]\(([^)#\s]+)(?:#[^)\s]*)?\)', page.read_text()):
        path = (page.parent / target).resolve()
        if '://' not in target and made not in path.parents:
            assert path.exists(), f'{page.name}: {target}'


def anchors(path):
    """Anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r'^```.*?^```', '', path.read_text(), flags=re.M | re.S)
    headings = re.findall(r'^#+ (.+)$', text, re.M)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.mark.parametrize(
    'page', [*PAGES, ROOT / 'README.md', ROOT / 'models' / 'README.md'], ids=str
)
def test_links_name_headings_that_exist(page):
    for target, anchor in re.findall(r'\]\(([^)#\s]*)#([^)\s]+)\)', page.read_text()):
        path = (page.parent / target).resolve() if target else page
        if '://' not in target and path.suffix == '.md' and path.exists():
            assert anchor in anchors(path), f'{page.name}: {target}#{anchor}'
