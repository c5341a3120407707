# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page: its style and the parts that all reports share."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import replacing
from .account import Account
from .palette import DARK

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2026; --grey: #5b6570; --line: #e1e5ea;
  --paper: #ffffff; --ground: #f5f7f9; --soft: #3b434d; --bar: #f0c35a; --flow: #dcedf9;
  --flow-line: #b6d7ee; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ee; --grey: #9aa5b1; --line: #343b45; --paper: #1b2027; --ground: #12161b;
    --soft: #c5ccd5; --bar: #b58a2a; --flow: #1d3a50; --flow-line: #2f5d80; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 12px; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 20px; margin-top: 18px; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 0; color: var(--grey);
  font-size: 14px; }
.facts div { display: flex; gap: 6px; }
.facts dt::after { content: ':'; }
.facts dd { margin: 0; color: var(--ink); overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px;
  margin-top: 20px; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 14px 16px; }
.card b { display: block; font-size: 26px; font-weight: 650; line-height: 1.2;
  font-variant-numeric: tabular-nums; }
.card span { display: block; color: var(--grey); font-size: 13px; }
.card span:first-child { color: var(--ink); font-size: 14px; }
.banner { background: #b3261e; border-color: #b3261e; color: #fff; margin: 0 0 20px; }
.banner h2 { font-size: 19px; margin: 0 0 4px; }
.banner p { margin: 0; overflow-wrap: anywhere; }
.account { padding: 14px 20px; }
.account ul { list-style: none; margin: 0; padding: 0; font-size: 14px; }
.account li { overflow-wrap: anywhere; }
.account li:first-child { font-weight: 600; }
.note { color: var(--grey); font-size: 13px; margin: -6px 0 4px; }
.swatch { display: inline-block; width: 14px; height: 10px; border-radius: 2px;
  background: var(--flow); border: 1px solid var(--flow-line); }
.frames { display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); }
figure { margin: 0; break-inside: avoid; }
figure img { display: block; width: 100%; height: auto; border-radius: 6px; background: #000; }
figure button { display: block; width: 100%; padding: 0; border: 0; background: none;
  cursor: zoom-in; }
dialog.enlarged { max-width: 98vw; max-height: 98vh; padding: 8px; border: 0; border-radius: 8px;
  background: var(--paper); color: var(--ink); cursor: zoom-out; }
dialog.enlarged::backdrop { background: rgba(0, 0, 0, 0.75); }
dialog.enlarged img { display: block; width: 94vw; max-height: 86vh; object-fit: contain; }
dialog.enlarged p { margin: 6px 2px 0; font-size: 14px; }
figcaption { margin-top: 5px; font-size: 13px; color: var(--grey); overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
caption { text-align: left; font-size: 15px; font-weight: 600; margin-bottom: 4px; }
th { text-align: left; font-weight: 600; color: var(--grey); }
th, td { padding: 7px 16px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child > * { border-bottom: 0; }
tbody th { color: var(--ink); font-weight: 400; overflow-wrap: anywhere; }
td.count, th.count { text-align: right; white-space: nowrap; width: 1%;
  font-variant-numeric: tabular-nums; }
.bar { height: 8px; border-radius: 4px; background: var(--bar); min-width: 2px; }
dl.terms { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr));
  gap: 14px 28px; margin: 0; }
dl.terms dt { font-weight: 600; }
dl.terms dd { margin: 0; color: var(--soft); font-size: 14px; }
@media (max-width: 560px) {
  main { padding: 16px 10px 32px; }
  section { padding: 14px 12px; }
  h1 { font-size: 21px; }
  .cards { grid-template-columns: repeat(2, 1fr); gap: 8px; }
  .card { padding: 10px 12px; }
  .card b { font-size: 21px; }
  table { font-size: 12.5px; }
  th, td { padding-right: 8px; }
}
@media print {
  @page { size: A4; margin: 12mm; }
  body { background: #fff; font-size: 12px; }
  main { max-width: none; padding: 0; }
  section, .card { break-inside: avoid; border-color: #ccd2d9; }
  section.plots { border: 0; padding: 0; }
  .frames { grid-template-columns: repeat(3, 1fr); gap: 10px; }
  .cards { grid-template-columns: repeat(6, 1fr); gap: 6px; }
  .card { padding: 8px 10px; }
  .card b { font-size: 18px; }
  .card span { font-size: 11px; }
  dl.terms { grid-template-columns: repeat(3, 1fr); }
  .modebar-container, .screen { display: none; }
}
"""

# Colours follow the reader's theme; on paper they are the light ones. A page's own script defines
# draw(figures) and calls drawAll(false). Recent plotly offers to upload a plot to its cloud; a
# robot cell's data stays where it is.
_SCRIPT = """
const options = {responsive: true, displaylogo: false, showSendToCloud: false,
  plotlyServerURL: '', modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d']};
const text = document.getElementById('figures').textContent;
const dark = matchMedia('(prefers-color-scheme: dark)');
const darker = JSON.parse(document.getElementById('dark').textContent);
function drawAll(light) {
  const night = dark.matches && !light;
  draw(JSON.parse(night ? text.replace(/#[0-9a-f]{6}/g, c => darker[c] ?? c) : text));
}
dark.addEventListener('change', () => drawAll(false));
for (const button of document.querySelectorAll('figure button'))
  button.addEventListener('click', () => {
    const dialog = document.createElement('dialog');
    dialog.className = 'enlarged';
    const image = button.firstElementChild.cloneNode();
    const words = document.createElement('p');
    words.textContent = image.alt;
    dialog.append(image, words);
    dialog.addEventListener('click', () => dialog.close());
    dialog.addEventListener('close', () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  });
"""


def write_page(
    path: Path, title: str, sections: Sequence[str], figures: object, script: str, style: str = ''
) -> None:
    """Write a page that needs no network and no other file, whole or not at all.

    `sections`: HTML; `figures`: JSON in colours of `palette`, which the function draw(figures) of
    `script` draws with plotly and `options`; `style`: CSS in addition to that of all pages.
    """
    from plotly.offline import get_plotlyjs

    body = '\n'.join(sections)
    # JSON inside a script element must not hold the characters that would end it.
    data = json.dumps(figures, separators=(',', ':')).replace('<', '\\u003c')
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}{style}</style>
</head>
<body>
<main>
{body}
</main>
<script>{get_plotlyjs()}</script>
<script type="application/json" id="figures">{data}</script>
<script type="application/json" id="dark">{json.dumps(DARK)}</script>
<script>{_SCRIPT}{script}</script>
</body>
</html>
"""
    with replacing(path) as partial:
        partial.write_text(page, encoding='utf-8')


def header(title: str, facts: Mapping[str, object], cards: Iterable[tuple[str, str, str]]) -> str:
    """Title, facts by label, and cards of (name, value, note)."""
    entries = ''.join(
        f'<div><dt>{escape(str(label))}</dt><dd>{escape(str(value))}</dd></div>'
        for label, value in facts.items()
    )
    boxes = ''.join(
        f'<div class="card"><span>{name}</span><b>{value}</b><span>{note}</span></div>'
        for name, value, note in cards
    )
    return (
        f'<header><h1>{escape(title)}</h1><dl class="facts">{entries}</dl>'
        f'<div class="cards">{boxes}</div></header>'
    )


def account_banner(account: Account) -> str:
    """The warning at the top of a page; empty if there is none."""
    if not account.banner:
        return ''
    title = 'Nothing was measured' if account.nothing_measured else 'Fault'
    return (
        f'<section class="banner" role="alert"><h2>{title}</h2>'
        f'<p>{escape(account.banner)}</p></section>'
    )


def account_section(account: Account) -> str:
    """The account, line by line, as at the end of the command's output."""
    lines = ''.join(f'<li>{escape(line)}</li>' for line in account.lines())
    return f'<section class="account"><ul>{lines}</ul></section>'


def pictures(captioned: Iterable[tuple[str, bytes]]) -> str:
    """Images side by side, each enlarged by a click: (caption, JPEG)."""
    figures = ''.join(
        '<figure><button type="button" title="Enlarge"><img '
        f'src="data:image/jpeg;base64,{base64.b64encode(data).decode("ascii")}" '
        f'alt="{escape(caption)}"></button><figcaption>{escape(caption)}</figcaption></figure>'
        for caption, data in captioned
    )
    return f'<div class="frames">{figures}</div>'


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose first column names its rows; the others are numbers, or `Html`."""
    head = ''.join(
        f'<th scope="col"{_column(k)}>{escape(name)}</th>' for k, name in enumerate(heads)
    )
    body = ''.join(
        '<tr>'
        + ''.join(
            f'<th scope="row">{escape(str(cell))}</th>'
            if k == 0
            else f'<td{_column(k)}>{cell if isinstance(cell, Html) else escape(str(cell))}</td>'
            for k, cell in enumerate(row)
        )
        + '</tr>'
        for row in rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption>'
        f'<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


class Html(str):
    """A cell that is HTML already."""


def _column(k: int) -> str:
    return ' class="count"' if k else ''


def definitions(terms: Iterable[tuple[str, str]]) -> str:
    """The section that explains the numbers."""
    entries = ''.join(f'<div><dt>{name}</dt><dd>{text}</dd></div>' for name, text in terms)
    return (
        f'<section><h2>How the numbers are defined</h2><dl class="terms">{entries}</dl></section>'
    )


def jpeg(image: NDArray[np.uint8], width: int | None = None) -> bytes:
    """Encode (H, W, 3) RGB, at most `width` wide. Raises InputError."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f'report: images must be RGB uint8, got {image.dtype} {image.shape}')
    if width is not None and image.shape[1] > width:
        size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    ok, data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not ok:
        raise InputError(f'report: OpenCV could not encode an image of shape {image.shape}')
    return data.tobytes()
