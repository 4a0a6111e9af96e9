"""Which patients train, validate and test: by patient, never by exam, from a salted hash.

A patient's place depends on the salt and the patient alone, so nobody moves when cases are added. Two rules bend
this for small federations, and each time it is said in the notes:

1. A site that the hash leaves without a training patient keeps its patient of smallest hash for training.
2. If no test patient remains in the whole federation, one comes from the largest site that can spare it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from common.plan import SplitSpec

Role = Literal["train", "validation", "test"]
MOVED = "no test patient remained"  # how the note on rule 2 begins


@dataclass(frozen=True, slots=True)
class SiteSplits:
    """The role of every patient.

    Attributes:
        roles: by site, then by patient, both in alphabetical order.
        notes: one sentence for each exception that was made, empty as a rule.
    """

    roles: Mapping[str, Mapping[str, Role]]
    notes: tuple[str, ...]

    def patients(self, site: str, role: Role) -> tuple[str, ...]:
        """A site's patients of one role, in alphabetical order."""
        return tuple(patient for patient, own in self.roles[site].items() if own == role)


def patient_hash(patient: str, salt: str) -> float:
    """A number in [0, 1): the first 53 bits of sha256(salt + patient) over 2**53, exact in a double."""
    digest = hashlib.sha256((salt + patient).encode()).digest()
    return float((int.from_bytes(digest[:8], "big") >> 11) / 2**53)


def role_of(patient: str, spec: SplitSpec) -> Role:
    """The role that the hash alone gives: test below `test`, then validation, then training.

    Example: with test 0.2 and validation 0.1, a hash of 0.19 tests, 0.29 validates, 0.31 trains.
    """
    value = patient_hash(patient, spec.salt)
    if value < spec.test:
        return "test"
    return "validation" if value < spec.test + spec.validation else "train"


def split_sites(patients_by_site: Mapping[str, Iterable[str]], spec: SplitSpec) -> SiteSplits:
    """Split every site's patients.

    Args:
        patients_by_site: patients by site; order and repetition (several exams) do not matter.
        spec: shares and salt. With test = 0 no test patient is wanted, and rule 2 is not applied.

    Returns:
        Roles and the notes on exceptions. A site without patients has no roles.
    """
    roles = _roles_by_hash(patients_by_site, spec)
    notes = _keep_one_to_train(roles, spec)
    if spec.test > 0.0:
        notes += _keep_one_to_test(roles, spec)
    return SiteSplits(roles, tuple(notes))


def split_site(site: str, patients: Iterable[str], spec: SplitSpec) -> SiteSplits:
    """Split one site's patients without knowing of any other site: rule 1 holds, rule 2 cannot be applied.

    Agrees with `split_sites` wherever that leaves out rule 2, that is, while any site has a test patient.
    """
    roles = _roles_by_hash({site: patients}, spec)
    return SiteSplits(roles, tuple(_keep_one_to_train(roles, spec)))


def _roles_by_hash(patients_by_site: Mapping[str, Iterable[str]], spec: SplitSpec) -> dict[str, dict[str, Role]]:
    return {
        site: {patient: role_of(patient, spec) for patient in sorted(set(patients_by_site[site]))}
        for site in sorted(patients_by_site)
    }


def _keep_one_to_train(roles: dict[str, dict[str, Role]], spec: SplitSpec) -> list[str]:
    notes = []
    for site, own in roles.items():
        if own and "train" not in own.values():
            patient = min(own, key=lambda name: (patient_hash(name, spec.salt), name))
            notes.append(
                f"site {site}: the hash left no patient to train on; {patient} was {own[patient]} and trains, "
                "being the site's patient of smallest hash"
            )
            own[patient] = "train"
    return notes


def _keep_one_to_test(roles: dict[str, dict[str, Role]], spec: SplitSpec) -> list[str]:
    """Largest site by patients, then by name; of those that it can spare, the patient of smallest hash."""
    if any("test" in own.values() for own in roles.values()):
        return []
    for site in sorted(roles, key=lambda name: (-len(roles[name]), name)):
        spare = _sparable(roles[site])
        if spare:
            patient = min(spare, key=lambda name: (patient_hash(name, spec.salt), name))
            was = roles[site][patient]
            roles[site][patient] = "test"
            return [
                f"{MOVED} in the federation; {patient} of site {site}, the largest that can "
                f"spare one, was {was} and tests"
            ]
    return ["no test patient remains and no site can spare one: scores on test patients are null"]


def _sparable(own: Mapping[str, Role]) -> list[str]:
    """Patients that may leave without taking the site's last training patient."""
    training = sum(role == "train" for role in own.values())
    return [patient for patient, role in own.items() if role != "train" or training > 1]
