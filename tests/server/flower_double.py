"""A stand-in for the `flwr` command: a script that keeps nodes and runs in a file, and fails as Flower does."""

import json
import sys
from pathlib import Path

from server.flower_cli import FlowerCli

_SCRIPT = """#!{python}
import json, sys, time
from pathlib import Path

home = Path.cwd()
arguments = sys.argv[1:]
assert arguments[-2:] == ["--format", "json"], arguments
with (home / "calls").open("a") as file:
    file.write(json.dumps(arguments[:-2]) + "\\n")
state = json.loads((home / "double.json").read_text())


def fail(words):
    print(json.dumps({{"success": False, "error-message": words}}, indent=2))
    sys.exit(0)


def done(answer):
    (home / "double.json").write_text(json.dumps(state))
    print("a note before the answer")
    print(json.dumps({{"success": True, **answer}}))
    sys.exit(0)


if state.get("fail"):
    fail(state["fail"])
if arguments[0] == "hang":
    time.sleep(300)
if arguments[0] == "crash":
    print("Traceback: no such thing", file=sys.stderr)
    sys.exit(1)
if arguments[:2] == ["supernode", "list"]:
    nodes = [{{"node-id": str(number), "status": status}} for number, (status, *_) in enumerate(state["nodes"])]
    done({{"nodes": nodes}})
if arguments[:2] == ["supernode", "register"]:
    key, name = Path(arguments[2]).read_text(), arguments[5]
    if any(node[1] == key for node in state["nodes"]):
        fail("Public key already in use.")
    state["nodes"].append(["registered", key, name])
    done({{"node-id": len(state["nodes"]) - 1}})
if arguments[:2] == ["supernode", "unregister"]:
    state["nodes"][int(arguments[2])][0] = "unregistered"
    done({{"node-id": int(arguments[2])}})
if arguments[0] in state["answers"]:
    done(state["answers"][arguments[0]])
if arguments[0] == "run":
    run = {{"run-id": str(17 + len(state["runs"])), "status": "pending", "fab-hash": "ab", "status-details": ""}}
    state["runs"].append(run)
    done({{"run-id": run["run-id"]}})
if arguments[0] == "ls":
    done({{"runs": state["runs"]}})
if arguments[0] == "stop":
    (run,) = [run for run in state["runs"] if run["run-id"] == arguments[1]]
    if run["status"].startswith("finished"):
        fail(f"Run ID {{arguments[1]}} is already finished")
    run["status"] = "finished:stopped"
    done({{}})
fail(f"unknown: {{arguments}}")
"""


class FlowerDouble:
    """The script, its state and what it was called with."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        script = home / "flwr"
        script.write_text(_SCRIPT.format(python=sys.executable))
        script.chmod(0o700)
        self.set(nodes=[], answers={}, runs=[])
        self.cli = FlowerCli(str(script), home, {})

    def set(self, **values: object) -> None:
        state = json.loads(self._state.read_text()) if self._state.exists() else {}
        self._state.write_text(json.dumps({**state, **values}))

    @property
    def registered(self) -> list[str]:
        """The names of the nodes that may sign in."""
        nodes = json.loads(self._state.read_text())["nodes"]
        return sorted(name for status, _, name in nodes if status == "registered")

    @property
    def runs(self) -> dict[int, str]:
        """The status of each run by its number; the first has 17."""
        return {int(run["run-id"]): run["status"] for run in json.loads(self._state.read_text())["runs"]}

    def calls(self) -> list[list[str]]:
        """What it was called with since the last time this was asked."""
        file = self.home / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    @property
    def _state(self) -> Path:
        return self.home / "double.json"
