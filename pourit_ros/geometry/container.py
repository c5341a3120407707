# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The geometry of a container: axis, mouth, rim and hollow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from ..resources import find_resource
from .cavity import Cavity
from .errors import GeometryError
from .pose import Pose
from .rim import Rim


@dataclass(frozen=True, eq=False)
class Container:
    """A source or target container, in its own frame.

    The frame is the one whose pose is measured, anywhere in the container. `load` finds the
    presets of config/containers.yaml by name. Raises GeometryError for impossible numbers.

    >>> up = np.array([0.0, 0.0, 1.0])
    >>> mug = Container('mug', axis=up, mouth=0.095 * up, rim_radius=0.04)
    >>> mug.mouth_in(Pose(np.eye(3), np.array([0.5, 0.0, 0.1])))
    array([0.5  , 0.   , 0.195])
    >>> Container.load('cup').rim_radius
    0.04
    """

    name: str
    """Name in messages."""
    axis: NDArray[np.float64]
    """Unit vector (3,) of the symmetry axis, pointing out of the mouth."""
    mouth: NDArray[np.float64]
    """Centre (3,) of the mouth, m."""
    rim_radius: float
    """Radius of the mouth, m, within (0, 1)."""
    cavity: Cavity | None = None
    """Its hollow, where it is known; its mouth has the rim's radius, to a tenth."""

    def __post_init__(self) -> None:
        """Raise GeometryError for impossible numbers."""
        axis, mouth = np.asarray(self.axis, dtype=float), np.asarray(self.mouth, dtype=float)
        if axis.shape != (3,) or mouth.shape != (3,) or not np.isfinite([*axis, *mouth]).all():
            raise GeometryError(
                f'container {self.name}: axis and mouth must each be three finite numbers'
            )
        if abs(np.linalg.norm(axis) - 1) > 1e-6:
            raise GeometryError(
                f'container {self.name}: axis has length {np.linalg.norm(axis):.6g}, not 1'
            )
        if not 0 < self.rim_radius < 1:
            raise GeometryError(
                f'container {self.name}: rim_radius is {self.rim_radius:g}, not within (0, 1) m'
            )
        if self.cavity is not None:
            try:
                self.cavity.check_rim(self.rim_radius)
            except GeometryError as error:
                raise GeometryError(f'container {self.name}: {error}') from None
        object.__setattr__(self, 'axis', axis)
        object.__setattr__(self, 'mouth', mouth)

    @classmethod
    def from_dict(cls, name: str, fields: Mapping[str, Any]) -> Container:
        """Build from the fields of a YAML entry; raises GeometryError that names the bad one."""
        unknown = set(fields) - {'axis', 'mouth', 'rim_radius', 'cavity'}
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
            raise GeometryError(
                f'container {name}: axis and mouth must each be three finite numbers'
            )
        norm = float(np.linalg.norm(axis))
        if norm < 1e-6:
            raise GeometryError(f'container {name}: axis has no length')
        try:
            cavity = Cavity(fields['cavity']) if 'cavity' in fields else None
        except GeometryError as error:
            raise GeometryError(f'container {name}: {error}') from None
        return cls(name, axis / norm, mouth, radius, cavity)

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

    def rim_in(self, T_frame_container: Pose) -> Rim:
        """The rim in another frame."""
        mouth, axis = self.mouth_in(T_frame_container), self.axis_in(T_frame_container)
        return Rim(mouth, axis, self.rim_radius)


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
