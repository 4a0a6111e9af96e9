"""The ClientApp for Flower's own simulation engine: each of its nodes is one hospital's folder on this machine.

In a deployment nothing of it runs: there the resident worker answers (client/worker.py), and no app that Flower
delivers is ever imported. Here the desk is the same, and the training is done in the engine's own process.
"""

import os
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.approvals import plans_folder
from client.desk import Desk
from client.preparing import prepare_site
from client.round import answer
from client.site import Site
from client.site_config import load_site_config
from client.site_folder import SiteFolder
from client.training import use_threads
from common.flower import from_record, to_record
from common.plan import Plan
from common.protocol import SiteAnswer, TrainTask
from common.wire import NO_BUNDLE

SITES_VARIABLE = "FEDMETS_SITE_DIRS"  # the hospitals' folders in the order of the engine's partitions

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Answer a task."""
    return _answer(message, context)


@app.query()
def query(message: Message, context: Context) -> Message:
    """Answer a proposed plan."""
    return _answer(message, context)


class TrainsHere:
    """Trains in this process, with the site's cases kept open from round to round."""

    def __init__(self, folder: SiteFolder) -> None:
        self._folder = folder

    def train(self, task: TrainTask, plan: Plan, deadline_s: float) -> SiteAnswer:
        """The engine has no way to end a task at its deadline; the server counts a longer one as late."""
        use_threads(plan.training.threads)
        return answer(task, _open(self._folder, plan))


@lru_cache(maxsize=64)
def _open(folder: SiteFolder, plan: Plan) -> Site:
    config, name = load_site_config(folder.path), folder.joined().kit().body.site
    state = plans_folder(folder)
    return prepare_site(name, plan, config.data, config.device, config.folders.cache, state, lambda line: None)


def _answer(message: Message, context: Context) -> Message:
    paths = os.environ[SITES_VARIABLE].split(os.pathsep)
    folder = SiteFolder(Path(paths[int(str(context.node_config["partition-id"]))]))
    desk = Desk(folder, TrainsHere(folder), lambda: datetime.now(UTC))
    return Message(to_record(desk.answer(from_record(message.content), NO_BUNDLE)), reply_to=message)
