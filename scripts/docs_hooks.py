# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Hooks of mkdocs.yml: API pages from the source tree, and files from outside of docs/.

Nothing here names a module of the package but those that are left out, so that the pages follow
the tree: run `make docs` again after a move.
"""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path
from posixpath import dirname, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'pourit_ros'
# Commands and nodes have references of their own; the rest is machinery behind them.
NOT_API = {'bench', 'cli', 'live', 'nodes'}
# What people look for first; the others follow by name.
FIRST = ('geometry', 'perception', 'pipeline')
# Where pages and files from outside of docs/ lie on the site.
OUTSIDE = 'repository'
LINK = re.compile(r'(\]\()([^)#\s]+)((?:#[^)\s]*)?\))')
# What a browser would fetch from elsewhere when it opens a page.
FETCHED = re.compile(r'<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]+"')


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the API and the pages from outside to the navigation."""
    api = [{'Overview': 'api/index.md'}, *({part: f'api/{part}.md'} for part in parts())]
    config.nav.insert(4, {'API': api})
    more = {
        'Shipped weights': f'{OUTSIDE}/models/README.md',
        'Changelog': f'{OUTSIDE}/CHANGELOG.md',
        'Contributing': f'{OUTSIDE}/CONTRIBUTING.md',
        'Security': f'{OUTSIDE}/SECURITY.md',
    }
    # Anchors as GitHub makes them, so that links lead to the same place there.
    config.mdx_configs.setdefault('toc', {})['slugify'] = slugify(case='lower')
    config.nav.append({'Project': [{title: page} for title, page in more.items()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages that are not in docs/."""
    files.append(File.generated(config, 'api/index.md', content=overview()))
    for part in parts():
        files.append(File.generated(config, f'api/{part}.md', content=api_page(part)))
    changes = (ROOT / 'CHANGELOG.rst').read_text()
    files.append(
        File.generated(config, f'{OUTSIDE}/CHANGELOG.md', content=markdown_of_changes(changes))
    )
    pages = [(f.src_uri, f.content_string) for f in files.documentation_pages()]
    waiting = [('docs/' + name, text) for name, text in pages if not name.startswith(OUTSIDE)]
    waiting += [(name, (ROOT / name).read_text()) for name in ('CONTRIBUTING.md', 'SECURITY.md')]
    for name, _ in waiting[-2:]:
        files.append(outside(name, config))
    while waiting:
        name, text = waiting.pop()
        for _, target, _ in LINK.findall(text):
            path = normpath(f'{dirname(name)}/{target}')
            if (
                '://' in target
                or path.startswith(('docs/', '..'))
                or place_of(path) in files.src_uris
            ):
                continue
            if (ROOT / path).is_file():
                files.append(outside(path, config))
                if path.endswith('.md'):
                    waiting.append((path, (ROOT / path).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Point links at where things are on the site."""
    here = page.file.src_uri
    prefix = f'{OUTSIDE}/'
    origin = here.removeprefix(prefix) if here.startswith(prefix) else f'docs/{here}'

    def moved(match: re.Match[str]) -> str:
        target = match[2]
        if '://' in target or target.startswith('mailto:'):
            return match[0]
        path = normpath(f'{dirname(origin)}/{target}')
        return match[1] + relpath(place_of(path), dirname(here) or '.') + match[3]

    return LINK.sub(moved, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that fetches anything from elsewhere."""
    for folder, _, names in os.walk(config.site_dir):
        for name in names:
            if name.endswith('.html'):
                path = Path(folder, name)
                if fetched := FETCHED.search(path.read_text()):
                    raise PluginError(f'{path}: needs a network: {fetched[0]}')


def place_of(path: str) -> str:
    """Where a file of the repository, named from its root, is on the site."""
    return path.removeprefix('docs/') if path.startswith('docs/') else f'{OUTSIDE}/{path}'


def outside(path: str, config: MkDocsConfig) -> File:
    """A file of the repository that is not in docs/."""
    return File.generated(config, place_of(path), abs_src_path=str(ROOT / path))


def parts() -> list[str]:
    """Names of the parts of the package that have a page."""
    names = {
        path.stem
        for path in PACKAGE.iterdir()
        if path.suffix == '.py' or (path / '__init__.py').is_file()
    }
    names = {name for name in names if not name.startswith('_')} - NOT_API
    return [*(n for n in FIRST if n in names), *sorted(names - set(FIRST))]


def modules(part: str) -> list[str]:
    """Dotted names of the modules of a part that have something public to show."""
    path = PACKAGE / part
    files = sorted(path.rglob('*.py')) if path.is_dir() else [path.with_suffix('.py')]
    return [
        '.'.join(file.relative_to(ROOT).with_suffix('').parts)
        for file in files
        if not file.stem.startswith('_') and public(file)
    ]


def public(file: Path) -> list[str]:
    """Names of the documented public classes and functions of a module."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return [
        node.name
        for node in ast.parse(file.read_text()).body
        if isinstance(node, kinds) and not node.name.startswith('_') and ast.get_docstring(node)
    ]


def exported(part: str) -> list[str]:
    """What a part offers under its own name: its `__all__`."""
    file = PACKAGE / part / '__init__.py'
    if not file.is_file():
        return []
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == '__all__' for t in node.targets
        ):
            return [ast.literal_eval(item) for item in getattr(node.value, 'elts', [])]
    return []


def door() -> dict[str, str]:
    """Names that the package itself offers, each with the module that holds it."""
    homes = {}
    for node in ast.walk(ast.parse((PACKAGE / '__init__.py').read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            homes |= {alias.name: node.module or '' for alias in node.names}
    return dict(sorted(homes.items()))


def summary(part: str) -> str:
    """Docstring of a part."""
    path = PACKAGE / part
    file = path / '__init__.py' if path.is_dir() else path.with_suffix('.py')
    return ast.get_docstring(ast.parse(file.read_text())) or ''


def api_page(part: str) -> str:
    """The page of a part, for mkdocstrings to fill."""
    lines = [f'# `pourit_ros.{part}`', '', summary(part), '']
    if names := exported(part):
        listed = ', '.join(f'`{name}`' for name in sorted(names))
        lines += [f'`from pourit_ros.{part} import ...`: {listed}.', '']
    for module in modules(part):
        lines += [f'## `{module.removeprefix("pourit_ros.")}`', '', f'::: {module}']
        lines += ['    options:', '      show_root_heading: false']
        lines += ['      show_root_toc_entry: false', '']
    return '\n'.join(lines)


def overview() -> str:
    """The page that lists the parts."""
    rows = []
    for part in parts():
        first = ' '.join(summary(part).split('\n\n')[0].split())
        rows.append(f'| [`{part}`]({part}.md) | {first} |')
    doors = ', '.join(f'[`{name}`][pourit_ros.{home}.{name}]' for name, home in door().items())
    door_line = f'`from pourit_ros import ...`: {doors}.'
    head = ['# Python API', '', INTRODUCTION, '', door_line, '', '| part | holds |', '|---|---|']
    return '\n'.join([*head, *rows, ''])


INTRODUCTION = (
    'All of it works without a ROS installation. Lengths are metres, angles radians, images RGB. '
    '`T_a_b` maps points of frame b into frame a.'
)


def markdown_of_changes(rst: str) -> str:
    """CHANGELOG.rst as Markdown; it uses headings, lists and literals only."""
    text = re.sub(r'^\^+\n(.+)\n\^+$', r'# \1', rst, flags=re.M)
    text = re.sub(r'^(.+)\n-{3,}$', r'## \1', text, flags=re.M)
    return text.replace('``', '`')
