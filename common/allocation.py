"""How glibc hands out memory to our processes: its own settings, which it reads from the environment.

By default it gives freed memory back at once, and has the kernel find and clear it anew for the next piece of a
model or the next step of a training, which on a virtual machine can cost more than the work itself.

On another C library the variable has no meaning. Who sets GLIBC_TUNABLES is left alone.
"""

from collections.abc import Mapping

VARIABLE = "GLIBC_TUNABLES"
_TRAINING = {  # blocks up to 32 MiB come from memory that is kept, of which 128 MiB may lie idle
    "glibc.malloc.mmap_threshold": 32 * 2**20,
    "glibc.malloc.trim_threshold": 128 * 2**20,
}
_CARRYING = {
    "glibc.malloc.hugetlb": 1,  # ask for huge pages: fewer faults
    "glibc.malloc.mmap_max": 0,  # whole models, too, come from memory that is kept,
    "glibc.malloc.trim_threshold": 2**30,  # of which a GiB may lie idle,
    "glibc.malloc.arena_max": 1,  # in one store for all threads, not one for each
}


def for_training(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process that trains."""
    own = environment.get(VARIABLE, "")
    kept = {key: value for key, value in environment.items() if key != VARIABLE or own != _text(_CARRYING)}
    return {VARIABLE: _text(_TRAINING), **kept}


def for_carrying(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process through which models pass, which then stays as large as it was at most."""
    return {VARIABLE: _text(_CARRYING), **environment}


def _text(settings: Mapping[str, int]) -> str:
    return ":".join(f"{name}={value}" for name, value in settings.items())
