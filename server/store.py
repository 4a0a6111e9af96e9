"""The rounds of one run on disk: what a resume reads, and all that it reads."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from common.durable import storage_errors
from common.errors import CheckpointCorrupt, OutputError
from common.plan import Plan
from common.weights import Weights
from server.commits import (
    TEMPORARY,
    commit_name,
    drop_weights,
    has_weights,
    read_commit,
    read_record,
    round_of,
    write_commit,
)
from server.records import RoundRecord, RoundState, initial_state

Note: TypeAlias = Callable[[str, int | None, str], None]
KEEP_WEIGHTS = 3
SET_ASIDE = "commit-corrupt"  # the event of a damaged commit: its round is not one of the run's any more
_ADVICE = "restore a backup or start again with an empty folder"


class RunStore:
    """Commits one folder a round; keeps every round's record and the weights of the newest three.

    Args:
        folder: holds the commits and nothing else; made when the first one is written.
        note: told (event, round, one line of text) whenever something on disk was not as it should be.
    """

    def __init__(self, folder: Path, note: Note) -> None:
        self._folder = folder
        self._note = note

    def latest(self, plan: Plan) -> RoundState | None:
        """Read the newest whole commit; None in a new folder.

        Half-written folders of a crash are removed. Damaged commits newer than the one returned are renamed to
        `corrupt-round-0007`, and this is noted: their rounds will be run again.

        Raises:
            OutputError: the folder belongs to another plan.
            CheckpointCorrupt: there are commits, but not one is whole.
        """
        self._remove_leftovers()
        damaged: dict[Path, CheckpointCorrupt] = {}
        for commit in reversed(self._commits()):
            try:
                state = read_commit(commit)
            except CheckpointCorrupt as error:
                damaged[commit] = error
                continue
            self._refuse_other_plan(state.record, plan)
            for path, fault in damaged.items():
                self._set_aside(path, f"{fault}; going on from round {state.round_id}")
            return state
        if damaged:
            newest = next(iter(damaged.values()))
            raise CheckpointCorrupt(
                f"{self._folder}: none of its {len(damaged)} commits is whole ({newest}); {_ADVICE}"
            )
        return None

    def begin(self, plan: Plan, weights: Weights) -> RoundState:
        """Commit the initial model as round 0; raises StorageError."""
        state = initial_state(plan, weights)
        self.commit(state)
        return state

    def commit(self, state: RoundState) -> None:
        """Put a round on disk, then drop the weights of old ones; raises StorageError."""
        write_commit(self._folder, state)
        for commit in self._commits()[:-KEEP_WEIGHTS]:
            drop_weights(commit)

    def history(self) -> tuple[RoundRecord, ...]:
        """The records of rounds 1, 2, ...; raises CheckpointCorrupt when one is damaged or missing."""
        try:
            records = tuple(read_record(commit) for commit in self._commits())
        except CheckpointCorrupt as error:
            raise CheckpointCorrupt(f"{error}; {_ADVICE}") from None
        for expected, record in enumerate(records):
            if record.round != expected:
                missing = self._folder / commit_name(expected)
                raise CheckpointCorrupt(f"{missing}: this round's commit is missing; {_ADVICE}")
        return records[1:]

    def verify(self) -> tuple[RoundRecord, ...]:
        """Check every commit against its manifest without changing anything; returns history().

        Raises:
            CheckpointCorrupt: at the first damaged, missing or foreign commit.
        """
        commits = self._commits()
        for commit in commits:
            if has_weights(commit) or commit in commits[-KEEP_WEIGHTS:]:
                read_commit(commit)
        history = self.history()
        if len({record.plan_id for record in history}) > 1:
            raise CheckpointCorrupt(f"{self._folder}: holds rounds of more than one plan")
        return history

    def _commits(self) -> list[Path]:
        """Folders of the committed rounds, in the order of rounds."""
        found = {path: round_of(path) for path in self._folder.glob("round-*")}
        return [
            path for path, _ in sorted(found.items(), key=lambda item: item[1] or 0) if found[path] is not None
        ]

    def _remove_leftovers(self) -> None:
        with storage_errors(self._folder):
            for path in sorted(self._folder.glob(f"*{TEMPORARY}")):
                shutil.rmtree(path)
                self._note("leftover-removed", None, f"{path}: half-written when a run was cut off; removed")

    def _refuse_other_plan(self, record: RoundRecord, plan: Plan) -> None:
        if record.plan_id != plan.fingerprint():
            raise OutputError(
                f"{self._folder}: holds rounds of plan {record.plan_id[:12]}, not of '{plan.name}' "
                f"({plan.fingerprint()[:12]}); choose another output folder or the configuration it began with"
            )

    def _set_aside(self, commit: Path, why: str) -> None:
        round_id, aside = round_of(commit), commit.with_name(f"corrupt-{commit.name}")
        with storage_errors(self._folder):
            if aside.exists():
                shutil.rmtree(aside)
            commit.rename(aside)
        self._note(SET_ASIDE, round_id, f"{why}; the damaged commit is now {aside.name}")
