"""Finding a case's files without ever leaving the data root."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from common.errors import CaseReason, CaseRejected, ConfigError, DataError

NIFTI_ENDINGS = (".nii.gz", ".nii")


def open_root(root: Path, adapter: str) -> Path:
    """The data root, resolved.

    Raises:
        DataError: it does not exist, is no folder, cannot be read or is empty.
    """
    try:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; set root in [data] to the {adapter} dataset")
        resolved = root.resolve()
        if next(resolved.iterdir(), None) is None:
            raise DataError(
                f"{root}: the folder is empty; copy the {adapter} dataset there or correct root in [data]"
            )
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error.strerror}); correct its permissions") from None
    return resolved


def folders_in(folder: Path) -> list[Path]:
    """Sub-folders by name, without hidden ones and what archivers leave behind; raises OSError."""
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__")))


def require_inside(path: Path, root: Path, exam: str) -> Path:
    """The path itself, once its target is known to lie in the (resolved) root; else CaseRejected PATH_ESCAPE."""
    try:
        inside = path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # Python 3.11 and 3.12 call a loop of links a RuntimeError
        detail = f"{path} is a link that leads nowhere; repair it"
        raise CaseRejected(CaseReason.UNREADABLE_FILE, exam, detail) from None
    if not inside:
        detail = f"{path} leads out of the data root {root}; copy the file into the root"
        raise CaseRejected(CaseReason.PATH_ESCAPE, exam, detail)
    return path


def match_pattern(folder: Path, pattern: str, root: Path, exam: str) -> Path | None:
    """The one file in a case's folder that a glob pattern names, or None.

    Raises:
        CaseRejected: PATH_ESCAPE for an absolute pattern, one with "..", or a match whose target lies outside the
            root; AMBIGUOUS_FILE for several matches.
        ConfigError: the pattern is not one.
    """
    parts = PurePosixPath(pattern.replace("\\", "/")).parts
    if Path(pattern).is_absolute() or ".." in parts:
        detail = f"the pattern {pattern!r} leads out of the case's folder; write it relative to that folder"
        raise CaseRejected(CaseReason.PATH_ESCAPE, exam, detail)
    try:
        found = sorted(path for path in folder.glob(pattern) if not (path.is_dir() or path.name.startswith(".")))
    except ValueError as error:
        raise ConfigError(
            f"[data]: {pattern!r} is no glob pattern ({error}); write one such as 'T1c*.nii.gz'"
        ) from None
    return only_one([require_inside(path, root, exam) for path in found], f"the pattern {pattern!r}", exam)


def match_names(folder: Path, names: Iterable[str], root: Path, exam: str) -> Mapping[str, Path]:
    """Files of a folder by wanted stem, upper and lower case alike, with .nii.gz or .nii.

    Raises:
        CaseRejected: AMBIGUOUS_FILE or PATH_ESCAPE, as for a pattern.
    """
    wanted = {f"{name}{ending}".lower(): name for name in names for ending in NIFTI_ENDINGS}
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        name = wanted.get(path.name.lower())
        if name is not None:
            found.setdefault(name, []).append(require_inside(path, root, exam))
    files = {name: only_one(paths, f"the name {name}", exam) for name, paths in found.items()}
    return {name: path for name, path in files.items() if path is not None}


def only_one(found: list[Path], what: str, exam: str) -> Path | None:
    """The single path, or None; several are AMBIGUOUS_FILE."""
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:4])
        detail = f"{what} fits {len(found)} files ({names}) in {found[0].parent}; leave one"
        raise CaseRejected(CaseReason.AMBIGUOUS_FILE, exam, detail)
    return found[0] if found else None
