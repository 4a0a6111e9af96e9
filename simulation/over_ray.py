"""`fedmets-sim run --engine flower`: the federated arm under Flower's own simulation engine, on Ray.

For more sites or GPUs than one process can drive. The federated loop, its link, and every site's desk and round
are those of a deployment, with real keys and signatures; Ray's processes take the place of the hospitals' daemons.
"""

import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from flwr.app import ConfigRecordValues, Context
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

from client.app import SITES_VARIABLE, app
from common.errors import FedmetsError, TrustError, WireError
from common.identity import Domain
from common.wire import NO_BUNDLE, Envelope, StandingBody, read_body
from server.federation import open_federation
from server.flower_link import QUERY, FlowerLink, exchange
from server.plans import KeptPlan
from server.provisioning import ServerFolder
from server.rounds import RunResult, run_federation
from server.site_trust import verify_site
from simulation.config import Experiment
from simulation.deploy_setup import set_up, site_folder
from simulation.engine import Means
from simulation.sites import Prepared

_HELLO_S = 120.0
_POLL_S = 0.1


def run_over_ray(experiment: Experiment, prepared: Prepared, means: Means) -> RunResult:
    """Run the plan's rounds with `runtime.workers` sites side by side, as many threads each as the plan says.

    Raises:
        FedmetsError: a site does not answer, or Ray cannot be started.
    """
    server, kept = set_up(experiment, prepared, means, NO_BUNDLE)
    sites = prepared.plan.sites
    os.environ[SITES_VARIABLE] = os.pathsep.join(str(site_folder(means.folder, site).path) for site in sites)
    outcome: list[RunResult] = []
    server_app = ServerApp()

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        outcome.append(_run_rounds(grid, server, kept, means))

    logging.getLogger("flwr").setLevel(logging.ERROR)
    run_simulation(server_app, app, len(sites), backend_config=_resources(experiment, prepared))
    if not outcome:
        raise FedmetsError("Flower's simulation engine ended before the run did; its own messages stand above")
    return outcome[0]


def _run_rounds(grid: Grid, server: ServerFolder, kept: KeptPlan, means: Means) -> RunResult:
    plan = kept.plan
    federation = open_federation(plan, means.folder, time.perf_counter, time.time, means.progress.note)
    nodes = _find_nodes(grid, server, kept)
    missing = sorted(set(plan.sites) - set(nodes))
    if missing:
        raise FedmetsError(f"no node of Flower's simulation engine answers for {', '.join(missing)}")
    link = FlowerLink(grid, plan, lambda: nodes, server, lambda: server.identity(None), _now)
    latest = federation.store.latest(plan)
    means.progress.stage("federated", plan.federation.rounds, latest.round_id if latest else 0)
    return run_federation(federation, link, means.note_round)


def _find_nodes(grid: Grid, server: ServerFolder, kept: KeptPlan) -> Mapping[str, int]:
    """Ask every node how it stands to the plan: the signed answer tells which hospital it is."""
    ids = {str(node): node for node in _registered(grid, len(kept.plan.sites))}
    found = {}
    for node, answer in exchange(grid, kept.envelope, ids, QUERY, _HELLO_S):
        if not isinstance(answer, Envelope):
            continue
        try:
            site = read_body(StandingBody, answer).site
            verify_site(server, site, Domain.STANDING, answer.body, answer.signature, _now())
        except (TrustError, WireError) as error:
            raise FedmetsError(f"node {node}: {error}") from None
        found[site] = ids[node]
    return found


def _registered(grid: Grid, count: int) -> Sequence[int]:
    """The engine's nodes; it starts the ServerApp before it has made them."""
    end_s = time.monotonic() + _HELLO_S
    while len(nodes := list(grid.get_node_ids())) < count and time.monotonic() < end_s:
        time.sleep(_POLL_S)
    return nodes


def _resources(experiment: Experiment, prepared: Prepared) -> dict[str, dict[str, ConfigRecordValues]]:
    """What Ray may use: as many sites at once as there are workers; GPUs, where there are any, shared evenly."""
    import torch  # loaded already; here, since only this line needs it

    workers, threads = experiment.runtime.workers, prepared.plan.training.threads
    gpus = torch.cuda.device_count() if prepared.device.startswith("cuda") else 0
    return {
        "init_args": {"num_cpus": workers * threads, "num_gpus": gpus, "include_dashboard": False},
        "client_resources": {"num_cpus": threads, "num_gpus": gpu_share(gpus, workers)},
    }


def gpu_share(gpus: int, workers: int) -> float:
    """What part of a GPU, or how many whole ones, each of `workers` sites at work side by side may take.

    Ray never spreads a part over two GPUs, and above one it takes whole numbers alone. 4 sites on 3 GPUs: a half
    each, since with three quarters the fourth would wait. 2 sites on 3 GPUs: one each. Without a GPU 0.
    """
    if gpus == 0:
        return 0.0
    return float(gpus // workers) if gpus > workers else 1.0 / math.ceil(workers / gpus)


def _now() -> datetime:
    return datetime.now(UTC)
