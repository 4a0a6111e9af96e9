"""A site that takes one step a round on noise: the real worker, desk and training process, over its SuperNode.

`python -m simulation.bench.warm_site SITE_DIR NUMBER HOST:PORT SECRET_FILE`, as `simulation.bench.idle_site`;
SITE_DIR/marks.txt takes the moment at which each forward pass begins, on the monotonic clock.
"""

import sys
from pathlib import Path

from client.site_folder import SiteFolder
from client.trainer import Trainer
from simulation.bench.idle_site import work
from simulation.bench.warm import watched_child

MARKS_FILE = "marks.txt"


def main(site_dir: Path, address: str, secret: Path) -> None:
    """Work until SIGTERM."""
    site = SiteFolder(site_dir).joined().kit().body.site
    trainer = Trainer(site, watched_child(site, site_dir / MARKS_FILE))
    try:
        work(site_dir, address, secret, trainer, trainer.warm)
    finally:
        trainer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[3], Path(sys.argv[4]))
