"""Seconds to render and write a phantom exam of 96 cubed voxels at 2 mm."""

import tempfile
import time
from pathlib import Path

from simulation.phantom.dataset import exam_list, write_exam
from simulation.phantom.profile import PhantomSection, SiteProfile

REACH_S = 0.5


def run(cases: int) -> str:
    """Write `cases` exams with calibrated lesions to a temporary folder and say how long one took, on one core."""
    section = PhantomSection(sites=(SiteProfile(name="bench", patients=cases + 1),))
    warm, *timed = exam_list(section, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_exam(warm, root)
        start, start_cpu = time.perf_counter(), time.process_time()
        for request in timed:
            write_exam(request, root)
        seconds = (time.perf_counter() - start) / len(timed)
        cpu = (time.process_time() - start_cpu) / len(timed)
    return (
        f"phantom: {seconds:.3f} s a case ({cpu:.3f} s of processor), {len(timed)} cases of 96x96x96 at 2 mm, "
        f"7 files each; asked for at most {REACH_S} s"
    )
