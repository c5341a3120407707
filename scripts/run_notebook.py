# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Run examples/pour.ipynb again and keep its outputs, images as JPEG.

pip install nbclient ipykernel
python scripts/run_notebook.py
"""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[1] / 'examples' / 'pour.ipynb'


def main() -> None:
    """Run it in its own folder, as a reader does."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {'metadata': {'path': str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=300, resources=resources).execute()
    for cell in notebook.cells:
        # Times of execution, which differ each time.
        cell.metadata.clear()
        if cell.cell_type == 'code':
            cell.outputs = joined(cell.outputs)
    nbformat.write(notebook, NOTEBOOK)


def joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Printed text in one piece, and one format of each image."""
    kept: list[nbformat.NotebookNode] = []
    for output in outputs:
        if output.output_type == 'stream' and kept and kept[-1].get('name') == output.name:
            kept[-1].text += output.text
            continue
        kept.append(output)
        if 'image/jpeg' in output.get('data', {}):
            output.data.pop('image/png', None)
    return kept


if __name__ == '__main__':
    main()
