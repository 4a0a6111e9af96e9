"""A federation whose messages lose precision on the way: nearly as good, and as repeatable as an exact one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from common.compression import Encoding, encoded_bytes
from common.protocol import SiteReply, TrainTask
from simulation.link import InProcessLink
from tests.end_to_end.tiny import SITES, Ran, data_config, run_here

ARMS = ("federated",)


def config(folder: Path, cohort: Path, up: Encoding, down: Encoding) -> Path:
    folder.mkdir(exist_ok=True)
    return data_config(folder, cohort, ("rounds = 3", f'rounds = 3\nup = "{up}"\ndown = "{down}"'))


def sha256(ran: Ran) -> str:
    return str(ran.result["model"]["sha256"])


def last_loss(ran: Ran) -> float:
    return sum(float(site["loss"]) for site in ran.result["rounds"][-1]["sites"]) / len(SITES)


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> Ran:
    """Updates as int8, the model as float16, from beginning to end."""
    folder = tmp_path_factory.mktemp("int8")
    return run_here(config(folder, cohort, "int8", "float16"), folder / "out", ARMS)


def test_fewer_bytes_train_nearly_as_well(tmp_path: Path, cohort: Path, int8: Ran) -> None:
    def ran(up: Encoding, down: Encoding) -> Ran:
        return run_here(config(tmp_path / f"{up}-{down}", cohort, up, down), tmp_path / up / "out", ARMS)

    exact = ran("float32", "float32")
    runs: list[tuple[Encoding, Ran]] = [
        ("float32", exact),
        ("float16", ran("float16", "float16")),
        ("int8", int8),
        ("int8", ran("int8", "int8")),
    ]
    for up, one in runs:
        assert last_loss(one) == pytest.approx(last_loss(exact), rel=0.01), up
        sizes = {site["bytes_up"] for record in one.result["rounds"] for site in record["sites"]}
        assert sizes == {encoded_bytes(exact.result["model"]["parameters"], up)}
    assert len({sha256(one) for _, one in runs}) == 4
    assert not (exact.folder / "state").exists()


def test_worker_processes_change_no_bit(tmp_path: Path, cohort: Path, int8: Ran) -> None:
    ran = run_here(config(tmp_path, cohort, "int8", "float16"), tmp_path / "out", ARMS, workers=2)
    assert sha256(ran) == sha256(int8)


def test_a_run_cut_off_within_a_round_ends_in_the_same_bits(
    tmp_path: Path, cohort: Path, int8: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = InProcessLink.train

    def cut_off(
        link: InProcessLink, sites: Sequence[str], task: TrainTask, deadline_s: float
    ) -> Iterator[SiteReply]:
        for reply in train(link, sites, task, deadline_s):
            yield reply
            if task.round_id == 3:  # one site has worked, and so has put its remainder on disk
                raise KeyboardInterrupt

    experiment = config(tmp_path, cohort, "int8", "float16")
    monkeypatch.setattr(InProcessLink, "train", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run_here(experiment, tmp_path / "out", ARMS)
    remainders = sorted(path.name for path in (tmp_path / "out" / "state" / SITES[0]).glob("*/*"))
    assert remainders == ["remainder-0002.safetensors", "remainder-0003.safetensors"]
    monkeypatch.undo()
    assert sha256(run_here(experiment, tmp_path / "out", ARMS)) == sha256(int8)
