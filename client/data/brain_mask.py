"""Where the brain is: a given mask, a stripped image's own background, or an external skull-stripper."""

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import cc3d
import numpy as np
import numpy.typing as npt

from client.data.case import Grid
from client.data.volume import Volume, read_volume
from common.errors import CaseReason, CaseRejected, ConfigError

Mask = npt.NDArray[np.bool_]

MASK_THRESHOLD = 0.5
"""Public masks hold 0.99999997 for 1, so a cast to integers would empty them."""

MASK_COMMAND_DEADLINE_S = 900.0
MIN_BACKGROUND_SHARE = 0.2
MIN_BORDER_SHARE = 0.5
MAX_BRAIN_MM3 = 2.5e6
"""Above any adult brain with its meninges (at most about 2.1 litres), below a head (4 litres and more)."""

HOW_TO_GIVE_A_MASK = (
    "name a mask file (brain_mask) or a skull-stripper (brain_mask_command, such as mri_synthstrip or hd-bet) "
    "in the [data] section, or strip the images beforehand"
)


def own_background(values: npt.NDArray[np.float32]) -> float | None:
    """The value that a skull-stripped image has outside the brain; None for an image that has no such value.

    It is the commonest value on the volume's six faces, and it must fill at least half of them and a fifth of the
    volume. 0 as a rule; some public sets subtract the mean from stripped images, which leaves another constant.
    """
    faces = np.concatenate([face.ravel() for axis in range(3) for face in _faces(values, axis)])
    candidates, counts = np.unique(faces, return_counts=True)
    background = candidates[counts.argmax()]
    if counts.max() < MIN_BORDER_SHARE * faces.size:
        return None
    if np.count_nonzero(values == background) < MIN_BACKGROUND_SHARE * values.size:
        return None
    return float(background)


def stripped_mask(content: Mask, grid: Grid) -> Mask | None:
    """The brain of a stripped image: everything but background, holes filled; None if too large for a brain.

    A whole head on a zeroed background measures 4 litres and more, a brain 1 to 2.1; the limit is 2.5.
    """
    empty = (~content).view(np.uint8)  # cc3d 4.1.1 can make too little room for dense masks of type bool
    holes = cc3d.connected_components(empty, connectivity=6)
    outer = np.unique(np.concatenate([face.ravel() for axis in range(3) for face in _faces(holes, axis)]))
    reaches_border = np.zeros(int(holes.max()) + 1, dtype=bool)
    reaches_border[outer] = True
    mask: Mask = content | ~reaches_border[holes]
    if np.count_nonzero(mask) * grid.voxel_volume_mm3 > MAX_BRAIN_MM3:
        return None
    return mask


def read_mask(path: Path, case: str) -> Volume:
    """Read a mask file; its values become booleans at 0.5. Raises CaseRejected NO_BRAIN_MASK if it is empty."""
    volume = read_volume(path, case, CaseReason.NO_BRAIN_MASK)
    mask = volume.values > MASK_THRESHOLD
    if not mask.any():
        raise CaseRejected(
            CaseReason.NO_BRAIN_MASK, case, f"{path}: the mask is empty; correct it or take it away"
        )
    return Volume(mask, volume.grid)


def mask_by_command(command: tuple[str, ...], image: Path, case: str) -> Volume:
    """Run an external skull-stripper on an image and read the mask it writes.

    Args:
        command: program and arguments, with {image} and {mask} where the two paths go; no shell is involved.
        image: the file to strip.
        case: exam, for messages.

    Raises:
        ConfigError: the command lacks a placeholder.
        CaseRejected: NO_BRAIN_MASK if the program is absent, fails, takes over 15 minutes or writes no mask.
    """
    if not all(any(name in part for part in command) for name in ("{image}", "{mask}")):
        raise ConfigError(f"brain_mask_command {list(command)} must hold both {{image}} and {{mask}}")
    with tempfile.TemporaryDirectory(prefix="fedmets-mask-") as folder:
        output = Path(folder) / "mask.nii.gz"
        arguments = [part.replace("{image}", str(image)).replace("{mask}", str(output)) for part in command]
        _run(arguments, case)
        if not output.is_file():
            raise CaseRejected(
                CaseReason.NO_BRAIN_MASK, case, f"{arguments[0]} wrote no mask; run {arguments} by hand"
            )
        return read_mask(output, case)


def _run(arguments: list[str], case: str) -> None:
    try:
        code, complaint = _finish(arguments)
    except OSError as error:
        detail = f"cannot start {arguments[0]} ({error.strerror}); install it or correct brain_mask_command"
        raise CaseRejected(CaseReason.NO_BRAIN_MASK, case, detail) from None
    except subprocess.TimeoutExpired:
        detail = f"{arguments[0]} took over {MASK_COMMAND_DEADLINE_S:g} s and was stopped"
        raise CaseRejected(CaseReason.NO_BRAIN_MASK, case, detail) from None
    if code != 0:
        said = " ".join(complaint.decode(errors="replace").split())[-200:]
        detail = f"{arguments[0]} ended with {code} ({said}); run {arguments} by hand"
        raise CaseRejected(CaseReason.NO_BRAIN_MASK, case, detail)


def _finish(arguments: list[str]) -> tuple[int, bytes]:
    """Exit code and stderr of a command; at its deadline, all that it started ends with it."""
    with subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a wrapper script's own children are then one group, to be ended together
    ) as running:
        try:
            _, complaint = running.communicate(timeout=MASK_COMMAND_DEADLINE_S)
        finally:
            if running.returncode is None:  # not polled: a program that has ended may have left others behind
                with suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)
    return running.returncode, complaint


def _faces(values: npt.NDArray[np.generic], axis: int) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
    return np.take(values, 0, axis=axis), np.take(values, -1, axis=axis)
