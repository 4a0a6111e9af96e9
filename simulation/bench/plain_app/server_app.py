"""FedAvg as Flower ships it, without an evaluation phase; a line of JSON into a file after each round."""

import json
import time
from pathlib import Path

from flwr.app import Array, ArrayRecord, Context, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from safetensors.numpy import load_file

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds; the time between two lines is one round, aggregation included."""
    config = context.run_config
    sites, lines = int(config["sites"]), Path(str(config["lines"]))
    replies = 0

    def count(contents: list[RecordDict], weighting: str) -> MetricRecord:
        nonlocal replies  # a round in which every site failed is no error to Flower
        replies += len(contents)
        return MetricRecord()

    def note(server_round: int, arrays: ArrayRecord) -> None:
        line = {"round": server_round, "at_s": time.monotonic(), "replies": replies, "peak_bytes": peak_bytes()}
        with lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    strategy = FedAvg(
        fraction_evaluate=0.0, min_train_nodes=sites, min_available_nodes=sites, train_metrics_aggr_fn=count
    )
    strategy.start(
        grid,
        ArrayRecord({name: Array(values) for name, values in load_file(str(config["model"])).items()}),
        num_rounds=int(config["rounds"]),
        evaluate_fn=note,
    )


def peak_bytes() -> int:
    """This process's high-water mark of resident memory."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
