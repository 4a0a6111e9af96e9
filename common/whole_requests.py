"""A request is handed to Flower's web application once it is whole, not in pieces of 64 KiB as they arrive.

Every piece wakes the application and passes its nested layers, each of which starts and ends a task for it; the
application itself waits for the last one before it does anything. A piece of a model, handed over at once, costs
one such passage.

The server is uvicorn, which Flower starts by itself: its table of protocols is where another can be named.
"""

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

WHOLE_UP_TO_BYTES = 64 * 2**20  # larger requests come in pieces of this size


class WholeRequests(HttpToolsProtocol):
    """uvicorn's own protocol, but for when the application is told of a body."""

    def on_body(self, body: bytes) -> None:
        """Keep what came; uvicorn's `on_message_complete` tells the application."""
        if (self.parser.should_upgrade() and self._should_upgrade()) or self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > WHOLE_UP_TO_BYTES:
            self.flow.pause_reading()
            self.cycle.message_event.set()


def hand_over_whole() -> None:
    """Have every uvicorn server that this process starts from now on do so."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{WholeRequests.__module__}:{WholeRequests.__qualname__}"
