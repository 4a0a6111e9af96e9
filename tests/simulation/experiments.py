"""An experiment, a cohort of records and a plan in memory, for the tests of this folder."""

from client.case_list import CaseRef, SiteCases
from common.metrics.scores import CaseScores, LesionScore
from common.plan import Plan
from simulation.config import Experiment
from simulation.phantom.profile import PhantomSection, SiteProfile
from simulation.sites import Prepared

SITES = ("north", "south", "west")


def make_experiment(rounds: int = 3, workers: int = 1, patients: int = 2) -> Experiment:
    sites = tuple(SiteProfile(name=name, patients=patients) for name in SITES)
    return Experiment.model_validate(
        {
            "name": "small",
            "seed": 5,
            "sequences": ("t1c",),
            "phantom": PhantomSection(sites=sites),
            "model": {"name": "unet_small", "channels": (2, 2)},
            "federation": {"rounds": rounds},
            "runtime": {"workers": workers},
        }
    )


def make_plan(rounds: int = 3) -> Plan:
    return make_experiment(rounds).plan_for(SITES)


def make_site(name: str, training: int = 2, test: int = 1, bad: int = 0) -> SiteCases:
    return SiteCases(
        name=name,
        training=tuple(_case(name, "train", number) for number in range(training)),
        validation=(),
        test=tuple(_case(name, "test", number) for number in range(test)),
        quarantined={"not-3d": bad} if bad else {},
    )


def make_prepared(*sites: SiteCases) -> Prepared:
    return Prepared(plan=make_plan(), sites=sites or tuple(make_site(name) for name in SITES), device="cpu")


def make_scores(site: str, dice: float, patient: str = "p1", found: bool = True) -> CaseScores:
    """One case with one lesion of 100 mm3 and two predicted components, one of them false."""
    return CaseScores(patient, f"{patient}A", site, dice, (LesionScore(100.0, found),), 2, 1)


def _case(site: str, role: str, number: int) -> CaseRef:
    return CaseRef(patient=f"{site}-{role}-{number}", exam=f"{site}-{role}-{number}A", key=f"{number:064x}")
