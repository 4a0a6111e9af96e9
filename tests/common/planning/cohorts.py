"""Fingerprints to plan for, given as (z, y, x), as the literature gives them."""

from collections.abc import Sequence

from common.planning.fingerprint import CaseFingerprint, Fingerprint, summarise
from common.planning.network_plan import NetworkPlan, Request, plan_network
from common.planning.planners import PlannerName

Triple = tuple[float, float, float]


def cohort(
    spacing_zyx_mm: Triple,
    shape_zyx: Triple,
    cases: int,
    p10_zyx_mm: Triple | None = None,
    cropped_share: float = 0.5,
) -> Fingerprint:
    z, y, x = spacing_zyx_mm
    p10 = p10_zyx_mm or spacing_zyx_mm
    depth, height, width = shape_zyx
    return Fingerprint(
        cases=cases,
        patients=cases,
        spacing_mm=(x, y, z),
        spacing_p10_mm=(p10[2], p10[1], p10[0]),
        shape=(width, height, depth),
        extent_mm=(width * x, height * y, depth * z),
        cropped_share=cropped_share,
    )


def counted(cases: Sequence[tuple[Triple, tuple[int, int, int]]]) -> Fingerprint:
    """The fingerprint of cases given as (spacing, shape), both (z, y, x)."""
    return summarise(
        [
            CaseFingerprint(
                exam=f"{number:04}",
                patient=f"{number:04}",
                spacing_mm=spacing_mm[::-1],
                shape=shape[::-1],
                cropped_share=0.5,
                intensities={},
            )
            for number, (spacing_mm, shape) in enumerate(cases)
        ]
    )


UCSF_BMSR = cohort((1.5, 0.8594, 0.8594), (100.5, 227, 215), 324)
FOUR_SEQUENCES = Request(("t1", "t1c", "t2", "flair"), ("netc", "snfh", "et"))
BRATS = cohort((1.0, 1.0, 1.0), (140, 171, 136), 1251)
SLICES = cohort((3.6, 0.62, 0.62), (20, 320, 319), 32)
SMALL = cohort((1.0, 1.0, 1.0), (36, 50, 35), 260)
LARGE = cohort((1.0, 0.7676, 0.7676), (482, 512, 512), 131)


def zyx(plan: NetworkPlan) -> tuple[int, ...]:
    """The patch along z, y, x, whatever order it was planned in."""
    return plan.order.to_xyz(plan.topology.patch_size)[::-1]


def planned(fingerprint: Fingerprint, memory_gb: float = 8.0, planner: PlannerName = "unet") -> NetworkPlan:
    return plan_network(fingerprint, Request(FOUR_SEQUENCES.sequences, FOUR_SEQUENCES.labels, memory_gb, planner))
