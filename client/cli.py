"""The hospital's command: `fedmets-site`."""

import sys

from client.check_cli import add_check_command
from client.compare_cli import add_compare_command
from client.plan_cli import add_plan_commands
from client.run_cli import add_run_commands
from client.score_cli import add_score_command
from client.segment_cli import add_segment_command
from client.sidecar_cli import add_sidecar_commands
from client.trust_cli import add_trust_commands
from common.cli import new_app, run_app

app = new_app("A hospital's end of fedmets. Research software, not a medical device.")
add_trust_commands(app)
add_check_command(app)
add_compare_command(app)
add_plan_commands(app)
add_run_commands(app)
add_score_command(app)
add_segment_command(app)
add_sidecar_commands(app)


def main() -> None:
    """Entry point of `fedmets-site`."""
    sys.exit(run_app(app, "fedmets-site"))


if __name__ == "__main__":
    main()
