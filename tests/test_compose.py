import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from newsletter.config import Settings
from newsletter.deliveries import Pace
from newsletter.deliveries.books import PATIENCE as DATABASE_PATIENCE
from newsletter.local import OTHERS_GRACE, WORKER_GRACE
from newsletter.origins import Given

ROOT = Path(__file__).parent.parent
OURS = {"migrate", "web", "worker", "beat", "inbox", "mailbox"}
OF_COMPOSE = {"BIND", "PORT", "INBOX_BIND"}


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def services(compose):
    return compose["services"]


def variables(text):
    return set(re.findall(r"\$\{(\w+)", text))


def seconds(text):
    amount, unit = re.fullmatch(r"(\d+)([sm])", text).groups()
    return timedelta(seconds=int(amount) * {"s": 1, "m": 60}[unit])


def test_what_runs_is_what_the_newsletter_needs(services):
    default = {name for name, service in services.items() if "profiles" not in service}

    assert default == {"postgres", "valkey", "migrate", "web", "worker", "beat"}
    assert services["mailbox"]["profiles"] == ["mailbox"]


def test_every_long_running_service_has_a_health_check_a_grace_time_and_comes_back(services):
    for name in services.keys() - {"migrate", "postgres", "valkey"}:
        assert services[name]["healthcheck"]["test"][0] == "CMD", name
        assert seconds(services[name]["stop_grace_period"]), name
    assert {service["restart"] for name, service in services.items() if name != "migrate"} == {"unless-stopped"}
    assert services["migrate"]["restart"] == "no"


def test_a_worker_may_wait_for_the_answer_to_its_last_message_as_long_as_everywhere(services):
    grace = seconds(services["worker"]["stop_grace_period"])

    assert grace == timedelta(seconds=WORKER_GRACE)
    assert grace > Pace().grace + timedelta(seconds=DATABASE_PATIENCE)


def test_the_example_of_a_systemd_unit_waits_for_all_that_up_stops():
    unit = (ROOT / "docs" / "operating.md").read_text()
    minutes = int(re.search(r"^TimeoutStopSec=(\d+)min$", unit, re.MULTILINE)[1])

    assert timedelta(minutes=minutes) > timedelta(seconds=WORKER_GRACE + 3 * OTHERS_GRACE)


def test_nothing_starts_before_what_it_needs(services):
    for name in ("web", "worker", "beat"):
        assert services[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "postgres": {"condition": "service_healthy"},
            "valkey": {"condition": "service_healthy"},
        }
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_only_pages_and_the_inbox_are_published_and_only_to_this_machine(services):
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert published == {
        "web": ["${NEWSLETTER_BIND:-127.0.0.1}:${NEWSLETTER_PORT:-8000}:8000"],
        "inbox": ["${NEWSLETTER_INBOX_BIND:-127.0.0.1}:2525:2525"],
        "mailbox": ["127.0.0.1:8025:8025"],
    }


def test_data_journal_and_queue_are_on_volumes_with_names(compose, services):
    mounted = {volume.partition(":")[0] for service in services.values() for volume in service["volumes"]}

    assert mounted == set(compose["volumes"])
    assert all(services[name]["volumes"] == ["data:/data"] for name in OURS)
    assert all(services[name]["environment"]["NEWSLETTER_DATA_DIR"] == "/data" for name in OURS)


def test_no_container_of_ours_has_more_rights_than_it_needs(services):
    dockerfile = (ROOT / "Dockerfile").read_text()

    assert re.search(r"^USER newsletter$", dockerfile, re.MULTILINE)
    for name in OURS:
        assert services[name]["read_only"]
        assert services[name]["cap_drop"] == ["ALL"]


def test_the_example_of_the_environment_names_every_variable():
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", example, re.MULTILINE))

    assert variables((ROOT / "docker-compose.yml").read_text()) <= named


def test_the_services_take_what_is_for_compose_alone():
    given = Given({f"NEWSLETTER_{name}": "127.0.0.1" for name in OF_COMPOSE}, ROOT / "newsletter.toml", {})

    assert given.unknown_variables(Settings) == []


def test_every_variable_of_ours_is_a_setting(services):
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^(?:# )?NEWSLETTER_(\w+)=", example, re.MULTILINE)) - OF_COMPOSE
    named |= {
        key.removeprefix("NEWSLETTER_") for name in OURS for key in services[name]["environment"] if key.startswith("NEWSLETTER_")
    }

    for name in named:
        first, _, rest = name.lower().partition("__")
        field = Settings.model_fields[first]
        assert not rest or rest in field.annotation.model_fields, name


def test_the_image_is_made_of_files_that_are_there_and_pinned_by_hash():
    dockerfile = (ROOT / "Dockerfile").read_text()
    let_through = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = {source for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE) for source in line.split()}

    assert copied == let_through
    assert all((ROOT / name).exists() for name in copied)
    assert "--require-hashes" in dockerfile
    assert dockerfile.count("--no-index") == dockerfile.count(" .\n")
