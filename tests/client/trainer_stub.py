"""A training process for tests: `python -m tests.client.trainer_stub MODE SOCKET PARENT`.

MODE `site` is client/trainer_child.py's own loop around the site of test_policy; the others answer by hand, and so
start without torch.
"""

import os
import signal
import socket
import sys
import time

from client.frames import FrameSocket
from client.tied import die_with
from client.trainer_frames import Request, answer_frame
from common.errors import FailureCode
from common.protocol import SiteFailed


def main() -> None:
    mode, number = sys.argv[1], int(sys.argv[2])
    frames = FrameSocket(socket.socket(fileno=number))
    die_with(int(sys.argv[3]))
    if mode == "site":
        from client.trainer_child import serve
        from tests.client.test_policy import SITE

        serve(frames, SITE.name, lambda plan: SITE)
        return
    while True:
        request = Request.from_json(frames.receive(lambda: 60.0).header)
        if mode == "dies":
            os.kill(os.getpid(), signal.SIGSEGV)
        if mode == "hangs":
            time.sleep(600)
        frames.send(answer_frame(request.number, SiteFailed("north", 1, FailureCode.OUT_OF_MEMORY)), lambda: 60.0)


if __name__ == "__main__":
    main()
