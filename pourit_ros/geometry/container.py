# SPDX-License-Identifier: Apache-2.0
"""What a container looks like to the geometry: axis, mouth and rim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from ..resources import find_resource
from .errors import GeometryError
from .pose import Pose


@dataclass(frozen=True, eq=False)
class Container:
    """A source or target container, in its own frame.

    `axis`: unit vector (3,) of the symmetry axis, pointing out of the mouth; `mouth`: the mouth's
    centre (3,) m; `rim_radius`: m.
    """

    name: str
    axis: NDArray[np.float64]
    mouth: NDArray[np.float64]
    rim_radius: float

    @classmethod
    def from_dict(cls, name: str, fields: Mapping[str, Any]) -> Container:
        """Build from the fields of a YAML entry; raises GeometryError naming the bad one."""
        unknown = set(fields) - {'axis', 'mouth', 'rim_radius'}
        missing = {'axis', 'mouth', 'rim_radius'} - set(fields)
        if unknown or missing:
            raise GeometryError(
                f'container {name}: needs axis, mouth and rim_radius'
                + (f', unknown {sorted(unknown)}' if unknown else '')
                + (f', missing {sorted(missing)}' if missing else '')
            )
        try:
            axis = np.asarray(fields['axis'], dtype=float)
            mouth = np.asarray(fields['mouth'], dtype=float)
            radius = float(fields['rim_radius'])
        except (TypeError, ValueError) as error:
            raise GeometryError(f'container {name}: {error}') from None
        if axis.shape != (3,) or mouth.shape != (3,) or not np.isfinite([*axis, *mouth]).all():
            raise GeometryError(f'container {name}: axis and mouth are three finite numbers each')
        norm = float(np.linalg.norm(axis))
        if norm < 1e-6:
            raise GeometryError(f'container {name}: axis has no length')
        if not 0 < radius < 1:
            raise GeometryError(f'container {name}: rim_radius is {radius:g}, not within (0, 1) m')
        return cls(name, axis / norm, mouth, radius)

    @classmethod
    def load(cls, name_or_file: str) -> Container:
        """Load a preset by name, or the one container of a YAML file; raises GeometryError."""
        path = Path(name_or_file)
        if path.suffix in ('.yaml', '.yml'):
            entries = _read(path)
            if len(entries) != 1:
                raise GeometryError(f'{path}: holds {len(entries)} containers, expected one')
            name = next(iter(entries))
        else:
            name, entries = name_or_file, presets()
        if name not in entries:
            raise GeometryError(f'no container {name!r}; presets: {", ".join(sorted(entries))}')
        return cls.from_dict(name, entries[name])

    def axis_in(self, T_frame_container: Pose) -> NDArray[np.float64]:
        """The axis (3,) in another frame."""
        return T_frame_container.rotate(self.axis)

    def mouth_in(self, T_frame_container: Pose) -> NDArray[np.float64]:
        """The mouth's centre (3,) in another frame, m."""
        return T_frame_container.apply(self.mouth)


def presets() -> dict[str, dict[str, Any]]:
    """All containers of config/containers.yaml, by name."""
    return _read(find_resource('config/containers.yaml'))


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = yaml.safe_load(path.read_text())
    except OSError as error:
        raise GeometryError(f'{path}: {error.strerror or error}') from None
    except yaml.YAMLError:
        raise GeometryError(f'{path}: is not valid YAML') from None
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise GeometryError(f'{path}: expected "name: {{axis, mouth, rim_radius}}" entries')
    return entries
