"""What a site agrees to do. It refuses before any data are touched, and says why with a code alone."""

from client.data.channels import what_lacks
from client.data.quality import bad_count
from client.site import Site
from common.errors import RefusalCode, SiteRefusal
from common.protocol import TrainTask


def admit(task: TrainTask, site: Site) -> None:
    """Return when the site may work on the task.

    Raises:
        SiteRefusal: another plan than the one the site agreed to (wrong-plan), a round that this plan does not
            have (stale-round), no usable case since a required sequence is missing (lacks-sequence), more than
            `quality.max_bad_share` unusable cases (too-many-bad-cases), nothing to train on (no-training-cases), a
            plan whose lossy updates need a state folder that the site lacks (no-state-folder).
    """
    plan = site.plan
    if task.plan_id != plan.fingerprint():
        raise SiteRefusal(
            RefusalCode.WRONG_PLAN,
            site.name,
            f"the task is of plan {task.plan_id[:12]}, not of '{plan.name}' ({plan.fingerprint()[:12]}), "
            "which this site agreed to",
        )
    if not 1 <= task.round_id <= plan.federation.rounds:
        raise SiteRefusal(
            RefusalCode.STALE_ROUND,
            site.name,
            f"round {task.round_id}, the plan has rounds 1 to {plan.federation.rounds}",
        )
    usable = len(site.training_cases) + len(site.validation_cases) + len(site.test_cases)
    if site.lacking and not usable:
        raise SiteRefusal(RefusalCode.LACKS_SEQUENCE, site.name, _what_lacks(site))
    if site.bad_share > plan.quality.max_bad_share:
        raise SiteRefusal(
            RefusalCode.TOO_MANY_BAD_CASES,
            site.name,
            f"{site.bad_share:.1%} of the cases are unusable, the plan allows {plan.quality.max_bad_share:.1%}; "
            f"mend them: {dict(site.quarantined)}{f'; {_what_lacks(site)}' if site.lacking else ''}",
        )
    if not site.training_cases:
        raise SiteRefusal(RefusalCode.NO_TRAINING_CASES, site.name, "the split left no case for training")
    if plan.federation.up != "float32" and site.state is None:
        raise SiteRefusal(
            RefusalCode.NO_STATE,
            site.name,
            f"updates go up as {plan.federation.up}, and there is no folder to keep what that loses",
        )


def _what_lacks(site: Site) -> str:
    """Which required sequences the site's cases lack and what to do."""
    usable = len(site.training_cases) + len(site.validation_cases) + len(site.test_cases)
    return what_lacks(site.lacking, usable + bad_count(site.quarantined), site.plan)
