# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page: its look and the parts that all reports share."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..files import replacing
from .errors import ReportError

_STYLE = """
:root { --ink: #1c2026; --grey: #66707c; --line: #e1e5ea; --paper: #ffffff; --ground: #f5f7f9; }
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
.note { color: var(--grey); font-size: 13px; margin: -6px 0 4px; }
.swatch { display: inline-block; width: 14px; height: 10px; border-radius: 2px;
  background: #dcedf9; border: 1px solid #b6d7ee; }
.frames { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 16px; }
figure { margin: 0; break-inside: avoid; }
figure img { display: block; width: 100%; height: auto; border-radius: 6px; background: #000; }
figcaption { margin-top: 5px; font-size: 13px; color: var(--grey); overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--grey); }
th, td { padding: 7px 16px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td.count, th.count { text-align: right; white-space: nowrap; width: 1%;
  font-variant-numeric: tabular-nums; }
.bar { height: 8px; border-radius: 4px; background: #f0c35a; min-width: 2px; }
td.share { width: 22%; padding-right: 0; vertical-align: middle; }
dl.terms { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr));
  gap: 14px 28px; margin: 0; }
dl.terms dt { font-weight: 600; }
dl.terms dd { margin: 0; color: #3b434d; font-size: 14px; }
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
  .modebar-container { display: none; }
}
"""


def write_page(
    path: Path, title: str, sections: Sequence[str], figures: object, script: str, style: str = ''
) -> None:
    """Write a page that needs no network and no other file, whole or not at all.

    `sections`: HTML; `figures`: JSON that `script` finds in the element 'figures' and draws with
    plotly; `style`: CSS beside that of all pages.
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
<script>{script}</script>
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


def pictures(captioned: Iterable[tuple[str, bytes]]) -> str:
    """Pictures side by side: (caption, JPEG)."""
    figures = ''.join(
        f'<figure><img src="data:image/jpeg;base64,{base64.b64encode(data).decode("ascii")}" '
        f'alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'
        for caption, data in captioned
    )
    return f'<div class="frames">{figures}</div>'


def definitions(terms: Iterable[tuple[str, str]]) -> str:
    """The section that says what the numbers mean."""
    entries = ''.join(f'<div><dt>{name}</dt><dd>{text}</dd></div>' for name, text in terms)
    return (
        f'<section><h2>How the numbers are defined</h2><dl class="terms">{entries}</dl></section>'
    )


def jpeg(image: NDArray[np.uint8], width: int | None = None) -> bytes:
    """Encode (H, W, 3) RGB, at most `width` wide. Raises ReportError."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ReportError(
            f'report: pictures are RGB uint8 images, got {image.dtype} {image.shape}'
        )
    if width is not None and image.shape[1] > width:
        size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    ok, data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not ok:
        raise ReportError(f'report: OpenCV could not encode a picture {image.shape}')
    return data.tobytes()
