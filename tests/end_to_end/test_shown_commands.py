"""Every command that a guide shows is executed by a test; a new one fails here until some test does."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer
import typer.core
import typer.main

from client.cli import app as site_app
from server.cli import app as server_app
from tests.end_to_end.guided import blocks
from tests.end_to_end.shown import NO_COMMANDS, PAGES, blocks_of, fences, in_sentences, text_of
from tests.end_to_end.test_guide_services import SERVICE_PAGES, service_lines

ROOT = Path(__file__).parents[2]
TEXT = "tests/end_to_end/in_the_text.py"  # within the federation of test_guides.py
FIREWALL = "tests/end_to_end/test_guide_firewall.py::test_only_root_and_the_aggregators_user_reach_superlink"
SERVICES = "tests/end_to_end/test_guide_services.py::test_both_roles_as_services_of_a_real_systemd"
NGINX = "tests/end_to_end/test_guide_nginx.py::test_the_aggregator_behind_nginx_by_the_book"
SIDECAR = (
    "tests/server/test_nginx.py::"
    "test_a_sites_daemon_signs_in_through_its_sidecar_and_nobody_without_a_good_certificate"
)
TOOLS = "tests/end_to_end/test_guide_tools.py"
USER = "tests/end_to_end/chaos/test_network_user.py::give_the_supernode_a_user"

EXECUTED_BY: Mapping[str, str] = {
    "nft -f fedmets.nft": FIREWALL,
    "useradd --system --no-create-home --shell /usr/sbin/nologin fedmets-net": USER,
    "chown -R root:root /srv/fedmets": USER,
    "chmod -R go-rwx /srv/fedmets": USER,
    "chmod o+x /srv/fedmets": USER,
    "chmod o-rwx /data/metastases": USER,
    "systemctl stop fedmets-site": SERVICES,
    "fedmets-server up /srv/bmfed --no-gateway --superlink-port 18000": NGINX,
    "nginx -c /srv/bmfed/nginx/nginx.conf": NGINX,
    "nginx -c FILE -s reload": NGINX,
    "fedmets-site nginx SITE_DIR": SIDECAR,
    "fedmets-site run SITE_DIR --sidecar PORT": SIDECAR,
    "FLWR_HOME=DIR/flower flwr log NUMBER fedmets --show": f"{TEXT}::read_flowers_log",
    "fedmets-server status DIR --json": f"{TEXT}::look_at_the_aggregator",
    "fedmets-server verify DIR/runs/ID": f"{TEXT}::look_at_the_aggregator",
    "fedmets-site check SITE_DIR --all": f"{TEXT}::read_every_case",
    "chmod 600 SITE_DIR/site.toml": f"{TEXT}::close_files",
    "chmod o+x SITE_DIR": f"{TEXT}::close_files",
    "fedmets-site approve SITE_DIR plan.json": f"{TEXT}::approve_from_a_file",
    "fedmets-site segment MODEL_DIR --image t1c=PATH --out mask.nii.gz": f"{TEXT}::use_the_model",
    "fedmets-site score PREDICTION REFERENCE": f"{TEXT}::use_the_model",
    "fedmets-site compare-exams FIRST SECOND": f"{TEXT}::use_the_model",
    "fedmets-sim run": f"{TOOLS}::test_an_experiment_is_tried_out_in_one_process",
    "pip install": f"{TOOLS}::test_the_pinned_installation_holds_together",
    "pip install -c constraints.txt .": f"{TOOLS}::test_the_pinned_installation_holds_together",
    "make chaos": f"{TOOLS}::test_make_chaos_runs_the_faults",
}
AS_ROOT = {line for page in SERVICE_PAGES for line in service_lines(page)}  # SERVICES types these blocks whole
NO_COMMAND = {
    "23 of 461 cases read whole",
    "78 of 461 labels read",
    "fail server TLS certificate: expired",
    "not started",
    "not up",
    "quorum missed, the model stayed as it was",
    "superlink restarted",
}  # words that are printed


def typed_in_order() -> set[str]:
    """The commands of the numbered blocks, and of docs/enrolment.md, all of which are typed one after another."""
    enrolment = {line for kind, block in fences("enrolment.md") if kind == "console" for line in block}
    return enrolment | {command for block in blocks() for command in block.commands}


def is_typed(command: str) -> bool:
    """Whether all that it writes out stands in one of those, in its order."""
    here = re.sub(r"\bDIR\b", "bmfed", re.sub(r"\bSITE_DIR\b", "site", command)).split()
    lines = (iter(line.split()) for line in typed_in_order())
    return any(all(word in words for word in here) for words in lines)


def test_every_command_is_executed_by_a_test_and_no_test_is_named_in_vain() -> None:
    lines = {line for page in PAGES for block in blocks_of(page, "sh") for line in block}
    said = {span for page in PAGES for span in in_sentences(page)} - NO_COMMAND
    told, executed = lines | {span for span in said if not is_typed(span)}, set(EXECUTED_BY) | AS_ROOT
    assert told - executed == set(), "execute it in a test and name that here; or, if it is printed, say so here"
    assert executed - told == set(), "no guide shows it any more"


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_of_a_kind_that_nobody_types(page: str) -> None:
    numbered = sum(block.guide == page for block in blocks())
    kinds = [kind for kind, _ in fences(page) if kind not in NO_COMMANDS]
    assert sum(kind.startswith("console step=") for kind in kinds) == numbered
    assert {kind for kind in kinds if not kind.startswith("console step=")} <= {"sh", "nft"}
    assert len(re.findall(r"^ *```", text_of(page), re.MULTILINE)) == 2 * len(fences(page))


@pytest.mark.parametrize(("command", "test"), EXECUTED_BY.items(), ids=str)
def test_the_test_is_there_and_has_the_command(command: str, test: str) -> None:
    file, _, name = test.partition("::")
    source = (ROOT / file).read_text(encoding="utf-8")
    assert f"def {name}(" in source, test
    assert f'"{command}"' in source, f"{file} does not have {command}"


def test_every_option_in_the_sentences_is_one_of_the_commands() -> None:
    told = {option for page in PAGES for option in re.findall(r"`(--[a-z-]+)", text_of(page))}
    flowers = {"--isolation"}
    assert told - flowers - options(server_app) - options(site_app) == set()


def options(app: typer.Typer) -> set[str]:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return {
        name
        for command in group.commands.values()
        for param in command.params
        for name in (*param.opts, *param.secondary_opts)
    }
