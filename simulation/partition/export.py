"""A folder per site, laid out as the dataset itself, so that a site's own software can be pointed at it."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from client.data.case import Case
from common.errors import DataError, OutputError
from simulation.partition.build import Partition
from simulation.partition.spreadsheets import write_own_rows


def export_sites(partition: Partition, root: Path, out: Path, spreadsheet: Path | None = None) -> dict[str, int]:
    """Write `out`/<site>/ for every site: its cases' files at their places below `root`, and its spreadsheet rows.

    Files are hard links where the file system allows it and copies elsewhere, so a cohort is not stored twice;
    edit none of them in place. A case's folder comes whole when it is named after the exam, otherwise only the
    files that the case uses do. Workbooks (*.xlsx) that lie in `root` or above the cases in it keep their places
    and hold the site's own rows alone. A case without files (already known to be unusable) leaves no trace.

    Args:
        partition: cases by site.
        root: the data root that the cases were read from.
        out: must not exist or be empty.
        spreadsheet: the dataset's table (xlsx or CSV) when the configuration names one; one that lies elsewhere
            is put at the top of each site's folder.

    Returns:
        Number of data files by site, spreadsheets not counted.

    Raises:
        OutputError: `out` holds something already.
        DataError: a case's file lies outside `root`, or a spreadsheet cannot be read.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out}: is not an empty folder; give one that is new")
    written = {}
    for site, cases in partition.sites.items():
        folder = out / site
        folder.mkdir(parents=True)
        files = {file for case in cases for file in _files(case, root)}
        for file in sorted(files):
            _link(root / file, folder / file)
        subjects = {case.exam for case in cases} | {case.patient for case in cases}
        for place, table in _tables(files, root, spreadsheet).items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            write_own_rows(table, folder / place, subjects)
        written[site] = len(files)
    return written


def _tables(files: set[Path], root: Path, spreadsheet: Path | None) -> dict[Path, Path]:
    """Tables by their place in a site's folder: workbooks above the cases, and the one that was named."""
    own = {file.parent for file in files}
    above = {parent for folder in own for parent in folder.parents} | {Path()}
    tables = {
        folder / table.name: table
        for folder in sorted(above - own)
        for table in sorted((root / folder).glob("*.xlsx"))
        if not table.name.startswith("~")
    }
    if spreadsheet is not None:
        inside = spreadsheet.resolve().is_relative_to(root.resolve())
        place = spreadsheet.resolve().relative_to(root.resolve()) if inside else Path(spreadsheet.name)
        tables[place] = spreadsheet
    return tables


def _files(case: Case, root: Path) -> Iterable[Path]:
    """The case's files, relative to the root."""
    used = [*case.sequences.values(), *(path for path in (case.label, case.brain_mask) if path is not None)]
    folders = {path.parent for path in case.sequences.values() if path.parent.name == case.exam}
    whole = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    inside = root.resolve()
    for path in [*used, *(path for path in whole if path.resolve().is_relative_to(inside))]:
        yield _below(path, root, case)


def _below(path: Path, root: Path, case: Case) -> Path:
    for file, top in ((path, root), (path.absolute(), root.absolute()), (path.resolve(), root.resolve())):
        if file.is_relative_to(top) and ".." not in file.parts:
            return file.relative_to(top)
    raise DataError(f"case {case.exam}: {path} lies outside the data root {root}; give the root that holds it")


def _link(source: Path, target: Path) -> None:
    """Hard link, or copy where links cannot be made: another file system, or one without links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)
