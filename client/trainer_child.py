"""The training process, `python -m client.trainer_child SITE_DIR SITE SOCKET PARENT`; client/trainer.py starts it.

The only process of a site that imports torch and opens a case. What it logs goes to the worker's log; what it
answers is an update or a code.
"""

import gc
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from client.approvals import plans_folder
from client.case_list import CASES_FILE
from client.data.sampling import PatchSampler
from client.frames import FrameError, FrameSocket
from client.kept_network import KeptNetwork
from client.preparing import prepare_site
from client.round import answer
from client.site import Site
from client.site_config import load_site_config
from client.site_folder import SiteFolder
from client.tied import die_with
from client.trainer_frames import Request, answer_frame, task_in
from client.training import fit, use_threads
from common.errors import FailureCode, FedmetsError, RefusalCode, SiteRefusal, StorageError, UserError
from common.plan import Plan
from common.protocol import SiteAnswer, SiteFailed, SiteRefused

log = logging.getLogger(__name__)
_LOOK_EVERY_S = 3600.0  # the closing of the socket wakes it


def serve(frames: FrameSocket, name: str, open_site: Callable[[Plan], Site]) -> None:
    """Answer requests until the other end hangs up.

    Args:
        frames: the way to the worker.
        name: the site's, for failures before it could be opened.
        open_site: makes a plan's cases ready; called once for a plan as long as no other comes between.
    """
    network = KeptNetwork()
    site: Site | SiteRefused | SiteFailed | None = None
    while True:
        try:
            frame = frames.receive(_patient)
        except FrameError:
            return
        request = Request.from_json(frame.header)
        if not isinstance(site, Site) or site.plan != request.plan or _begun_anew(site):
            network.forget()
            site = _open(name, request, open_site, network)
        reply: SiteAnswer | None = None if isinstance(site, Site) else site
        if isinstance(site, Site) and request.kind == "train":
            reply = answer(task_in(request, frame), site)
            if isinstance(reply, SiteFailed) and reply.code is FailureCode.OUT_OF_MEMORY:
                network.forget()
                free_memory()
        del frame
        frames.send(answer_frame(request.number, reply), _patient)


def _open(
    name: str, request: Request, open_site: Callable[[Plan], Site], network: KeptNetwork
) -> Site | SiteRefused | SiteFailed:
    """Open the site for a plan, rehearsing when no task waits; or the reply that says why that cannot be."""
    plan = request.plan
    use_threads(plan.training.threads)
    try:
        site = replace(open_site(plan), network=network)
        if request.kind == "warm":
            rehearse(site)
    except SiteRefusal as refusal:
        log.warning("plan '%s': %s", plan.name, refusal)
        return SiteRefused(name, request.round_id, refusal.code)
    except UserError as error:
        log.error("plan '%s': %s", plan.name, error)
        return SiteRefused(name, request.round_id, RefusalCode.NOT_READY)
    except StorageError as error:
        log.error("plan '%s': %s", plan.name, error)
        return SiteFailed(name, request.round_id, FailureCode.DISK_FULL)
    except Exception:
        log.exception("plan '%s': the site's cases cannot be opened", plan.name)
        return SiteFailed(name, request.round_id, FailureCode.TRAINING_ERROR)
    log.info("ready for plan '%s': %d training cases on %s", plan.name, len(site.training_cases), site.device)
    return site


def _begun_anew(site: Site) -> bool:
    """Whether a person approved the plan anew since, so that its cases are to be chosen again."""
    return site.state is not None and not (site.state / site.plan.fingerprint() / CASES_FILE).exists()


def rehearse(site: Site) -> None:
    """Make one step that nobody will see, so that the first step of a round finds everything loaded.

    It loads the network onto its device, torch's lazy modules, the GPU's kernels and memory, pages of the cases.
    The weights that it leaves behind are overwritten by the next task's.
    """
    if not site.training_cases:
        return
    spec, tumour = site.plan.training.model_copy(update={"steps": 1}), site.plan.tumour_classes
    sampler = PatchSampler(site.training_cases, spec, np.random.default_rng(0), tumour=tumour)
    try:
        network = site.network(site.plan)
        fit(network, sampler, spec, first_step=0, total_steps=1, device=site.device, tumour=tumour)
    except FedmetsError as error:
        log.warning("plan '%s' cannot be trained here as it stands: %s", site.plan.name, error)
        free_memory()


def free_memory() -> None:
    """Give a GPU's memory back, as far as nothing holds it any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def main(argv: Sequence[str]) -> int:
    """Serve a hospital's folder until the worker hangs up."""
    folder, name, number, parent = Path(argv[0]), argv[1], int(argv[2]), int(argv[3])
    die_with(parent)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s trainer %(levelname)s %(message)s")

    def open_site(plan: Plan) -> Site:
        config = load_site_config(folder)
        state = plans_folder(SiteFolder(folder))
        return prepare_site(name, plan, config.data, config.device, config.folders.cache, state, log.info)

    with socket.socket(fileno=number) as connection:
        serve(FrameSocket(connection), name, open_site)
    return 0


def _patient() -> float:
    return _LOOK_EVERY_S


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
