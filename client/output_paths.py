"""Where `fedmets-site segment` writes: what could not, or must not, be written is refused before the work."""

import os
from collections.abc import Iterable
from pathlib import Path

from common.errors import OutputError

_NIFTI = (".nii", ".nii.gz")
_PNG = (".png",)


def check_outputs(
    niftis: Iterable[Path | None],
    tables: Iterable[Path | None],
    pictures: Iterable[Path | None],
    inputs: Iterable[Path | None],
) -> None:
    """Check every output that is asked for.

    Raises:
        OutputError: a wrong ending, no such folder, no permission, an input that would be overwritten, or one
            file for two outputs.
    """
    volumes, drawn = _given(niftis), _given(pictures)
    for path in volumes:
        if not path.name.endswith(_NIFTI):
            raise OutputError(f"{path}: output image must end in .nii or .nii.gz; rename it")
    for path in drawn:
        if not path.name.endswith(_PNG):
            raise OutputError(f"{path}: a picture must end in .png; rename it")
    sources, taken = _given(inputs), list[Path]()
    for path in (*volumes, *_given(tables), *drawn):
        if not path.parent.is_dir():
            raise OutputError(f"{path.parent}: no such folder for the output {path.name}; create it first")
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise OutputError(f"{path}: cannot be written; choose another place for the output")
        if any(_same(path, source) for source in sources):
            raise OutputError(f"{path}: is an input image and would be overwritten; choose another output")
        if any(_same(path, other) for other in taken):
            raise OutputError(f"{path}: named for two outputs; give each a file of its own")
        taken.append(path)


def _given(paths: Iterable[Path | None]) -> list[Path]:
    return [path for path in paths if path is not None]


def _same(path: Path, other: Path) -> bool:
    """Whether two paths are one file, by way of links too."""
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()
