# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write models/graphs: the graphs in which onnxruntime runs .safetensors files without PyTorch.

One for each exportable encoder, with the width and pooling that training uses. A new encoder, or a
change of the network, needs it: python scripts/graphs.py
"""

from pathlib import Path

from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.perception.encoders import ENCODERS
from pourit_ros.perception.onnx_export import save_graph

folder = Path(__file__).resolve().parents[1] / 'models' / 'graphs'
folder.mkdir(exist_ok=True)
for name, make in ENCODERS.items():
    if make().exportable:
        path = save_graph(folder, LiquidClassifier(name))
        print(f'{path.name}: {path.stat().st_size / 1000:.0f} kB')
