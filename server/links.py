"""What the federated loop needs from whatever carries tasks to sites."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from common.protocol import SiteReply, TrainTask


class SiteLink(Protocol):
    """A way to reach sites: function calls, worker processes or a network."""

    def online(self) -> tuple[str, ...]:
        """Names of the sites that can be asked now, in any order."""
        ...

    def train(self, sites: Sequence[str], task: TrainTask, deadline_s: float) -> Iterator[SiteReply]:
        """Send a task to the sites and yield their replies as they arrive, in any order.

        The iterator ends when every site has replied, and at the deadline whatever happens: only the link
        knows when a site's turn began. A site that does not appear is late. A reply is yielded once and not
        kept, so that memory does not grow with the number of sites. Lost work is a SiteFailed, not an exception.
        """
        ...
