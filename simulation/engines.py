"""The engines of `fedmets-sim run` by name."""

import importlib.util
import os

from common.errors import UserError
from simulation.engine import Engine, run_in_process

_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def build_engine(name: str) -> Engine:
    """`processes` or `flower`.

    Raises:
        UserError: Ray is not installed.
    """
    if name == "processes":
        return run_in_process
    if importlib.util.find_spec("ray") is None:
        raise UserError("--engine flower needs Ray; install it with: pip install 'fedmets[simulation]'")
    os.environ.update(_QUIET)  # both read them when they are imported
    from simulation.over_ray import run_over_ray

    return run_over_ray
