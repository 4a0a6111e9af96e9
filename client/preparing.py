"""From a hospital's own folder to a site that can train: list, check and preprocess, split by patient, open.

A site reads its folder alone and comes to the cases that a simulation of the whole federation gives it, in the
same order, for whatever is drawn depends on that order. One rule of the split is out of its reach: when no test
patient remains in the whole federation, a simulation takes one from the largest site (rule 2 in
client/data/splits.py, and its notes say so); a hospital cannot know that, and keeps the patient in training.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from client.case_list import CASES_FILE, CaseRef, SiteCases, cases_by_role, pin_cases, pinned_cases
from client.data.adapters.build import label_rule_for, list_cases
from client.data.cache import ensure_prepared, open_prepared
from client.data.case import Case, Listing, PreparedCase, Quarantined
from client.data.channels import what_lacks
from client.data.preprocessing import Recipe
from client.data.quality import bad_count
from client.data.splits import split_site
from client.device import torch_device
from client.site import Site
from common.config import DataSection
from common.errors import CaseReason, CaseRejected, ConfigError, RefusalCode, SiteRefusal
from common.plan import Plan, Terms

Say = Callable[[str], None]


def prepare_site(
    name: str, plan: Plan, data: DataSection, device: str, cache: Path, state: Path, say: Say
) -> Site:
    """Make this hospital ready to work on a plan; what is prepared already is not prepared again.

    The first call for a plan pins its cases in `state`/PLAN_ID/cases.json. Later calls keep to them: a case that
    was added since waits for the next plan, and one that is gone or altered ends the work until it is restored,
    or a person approves the plan anew (client.case_list.forget_cases).

    Args:
        name: the site's, as in the plan.
        plan: what will run.
        data: from site.toml.
        device: auto, cpu or cuda:N.
        cache: prepared cases, shared by all plans.
        state: what the site remembers, a folder a plan below it: SITE_DIR/plans.
        say: hears of every case put aside and of the progress; nothing of it may leave the site.

    Raises:
        DataError, ConfigError: the data cannot serve.
        SiteRefusal: labels-do-not-fit, cases-changed.
        StorageError: the cache or the state cannot be written.
        UserError: no such device.
    """
    where = torch_device(device)
    path = state / plan.fingerprint() / CASES_FILE
    listing = list_cases(data)
    try:
        recipe = recipe_for(data, plan)
    except ConfigError as error:
        raise SiteRefusal(RefusalCode.LABELS_DO_NOT_FIT, name, str(error)) from None
    pinned = pinned_cases(path)
    if pinned is None:
        pinned = _choose_cases(name, plan, listing, recipe, cache, say)
        pin_cases(path, pinned)
    else:
        _require_unchanged(pinned, listing, recipe, cache, say)
    return open_cases(pinned, plan, cache, where, state)


def recipe_for(data: DataSection, terms: Terms) -> Recipe:
    """How a site's cases are prepared under these terms; raises ConfigError when the labels do not fit."""
    rule = label_rule_for(data, terms)
    return Recipe(
        terms.sequences,
        terms.preprocessing,
        rule,
        data.brain_mask_command,
        terms.optional_sequences,
        terms.tumour_classes,
    )


def prepare_case(case: Case, recipe: Recipe, cache: Path) -> str | Quarantined:
    """Preprocess one case into the cache; the key, or why it cannot be used."""
    try:
        return ensure_prepared(case, recipe, cache)
    except CaseRejected as rejection:
        return Quarantined(case.patient, case.exam, rejection.reason, rejection.detail)


def put_aside(bad: Quarantined) -> str:
    """A bad case in one sentence, for the people at the site."""
    return f"case {bad.exam} put aside: {bad.reason} ({bad.detail})"


def open_cases(cases: SiteCases, plan: Plan, cache: Path, device: torch.device, state: Path) -> Site:
    """Map a site's cases into memory; raises StorageError where the cache does not hold them."""

    def opened(refs: tuple[CaseRef, ...]) -> tuple[PreparedCase, ...]:
        return tuple(open_prepared(cache, ref.key) for ref in refs)

    return Site(
        name=cases.name,
        plan=plan,
        training_cases=opened(cases.training),
        validation_cases=opened(cases.validation),
        test_cases=opened(cases.test),
        quarantined=cases.quarantined,
        device=device,
        state=state,
        lacking=cases.lacking,
    )


def _choose_cases(name: str, plan: Plan, listing: Listing, recipe: Recipe, cache: Path, say: Say) -> SiteCases:
    """Prepare whatever can be and split it; a site that is left with nothing refuses its tasks, with a code."""
    for bad in listing.quarantined:
        if bad.reason is not CaseReason.EXCLUDED:
            say(put_aside(bad))
    keys: dict[str, str] = {}
    rejected: list[Quarantined] = []
    for number, case in enumerate(listing.cases, start=1):
        outcome = prepare_case(case, recipe, cache)
        if isinstance(outcome, Quarantined):
            rejected.append(outcome)
            say(put_aside(outcome))
        else:
            keys[case.exam] = outcome
        say(f"preprocessing {number}/{len(listing.cases)}")
    split = split_site(name, {case.patient for case in listing.cases if case.exam in keys}, plan.split)
    for note in split.notes:
        say(note)
    put_aside_cases = (*listing.quarantined, *rejected)
    chosen = cases_by_role(name, listing.cases, keys, split.roles[name], put_aside_cases, plan)
    if chosen.lacking:
        say(what_lacks(chosen.lacking, len(chosen.cases) + bad_count(chosen.quarantined), plan))
    return chosen


def _require_unchanged(pinned: SiteCases, listing: Listing, recipe: Recipe, cache: Path, say: Say) -> None:
    """Return if every pinned case is there as it was; what else there is must wait."""
    found = {case.exam: case for case in listing.cases}
    faults = [fault for ref in pinned.cases if (fault := _fault(ref, found, recipe, cache)) is not None]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise SiteRefusal(
            RefusalCode.CASES_CHANGED,
            pinned.name,
            f"{len(faults)} of {len(pinned.cases)} cases have changed since this plan began here "
            f"({'; '.join(faults[:3])}{more}); restore them, or run fedmets-site approve again to begin anew "
            "with the cases as they are now",
        )
    known = len(pinned.cases) + sum(pinned.quarantined.values())
    added = len(listing.cases) + len(listing.quarantined) - known
    if added > 0:
        say(f"{added} cases were added since this plan began here; they wait for the next plan")


def _fault(ref: CaseRef, found: Mapping[str, Case], recipe: Recipe, cache: Path) -> str | None:
    """What became of a pinned case; None when its files give the same bits. Fills an emptied cache."""
    if ref.exam not in found:
        return f"{ref.exam} is gone"
    outcome = prepare_case(found[ref.exam], recipe, cache)
    if isinstance(outcome, Quarantined):
        return f"{ref.exam}: {outcome.reason}"
    return None if outcome == ref.key else f"{ref.exam} is altered"
