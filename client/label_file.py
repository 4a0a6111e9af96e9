"""Reading a label file that a person names: whole numbers on a grid, or one line that says what is wrong."""

from pathlib import Path

from client.data.quality import whole_labels
from client.data.volume import Volume, read_volume
from common.errors import CaseReason, CaseRejected, DataError


def read_label_file(path: Path) -> Volume:
    """Read a NIfTI label file; its values are (X, Y, Z) uint16.

    Raises:
        DataError: the file cannot be read, or holds something other than labels; names the path and why.
    """
    try:
        volume = read_volume(path, path.name, CaseReason.MISSING_LABEL)
        return Volume(whole_labels(volume.values, path.name, path), volume.grid)
    except CaseRejected as error:
        raise DataError(f"{error.reason}: {error.detail}") from None
