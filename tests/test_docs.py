import re
import tomllib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest
import typer
from markdown_it import MarkdownIt
from pydantic import BaseModel, SecretStr

from newsletter import config
from newsletter.cli import app
from newsletter.config import Settings
from newsletter.lifecycle import DeliveryStatus

ROOT = Path(__file__).parent.parent
OPERATING = ROOT / "docs" / "operating.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", OPERATING, *DECISIONS]
EXAMPLE = ROOT / "newsletter.example.toml"
PARTS = ["Context", "Decision", "Consequences", "Alternatives", "Enforced by"]
PREFIXED_BY_HOSTS = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}
DEFAULT_DATA_DIR = "~/.local/share/newsletter"
MARKDOWN = MarkdownIt().enable("table")


def settings(model: type[BaseModel] = Settings, before: str = "") -> Iterator[tuple[str, object]]:
    """Yield every setting with its default, `smtp.host` for one within another."""
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            yield from settings(type(default), f"{before}{name}.")
        else:
            yield f"{before}{name}", default


def variable(name: str) -> str:
    return PREFIXED_BY_HOSTS.get(name, f"NEWSLETTER_{name.upper().replace('.', '__')}")


def in_a_table(name: str, default: object) -> str:
    """Return a default as the table of settings shows it."""
    if name == "data_dir":
        return f"`{DEFAULT_DATA_DIR}`"
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, bool):
        default = str(default).lower()
    if isinstance(default, Enum):
        default = default.value
    return f"`{default}`" if default not in ("", None, ()) else "–"


def commands(group: typer.core.TyperGroup | None = None, before: str = "newsletter") -> Iterator[str]:
    """Yield every command with the words that lead to it."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        words = f"{before} {name}"
        if not hasattr(command, "commands"):
            yield words
            continue
        if command.invoke_without_command:
            yield words
        yield from commands(command, words)


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def links(document: Path) -> list[str]:
    html = MARKDOWN.render(document.read_text())
    return re.findall(r'(?:href|src)="([^"]*)"', html)


@pytest.mark.parametrize(("name", "default"), list(settings()))
def test_every_setting_stands_in_the_table_with_its_variable_and_default(name, default):
    assert f"| `{name}` | `{variable(name)}` | {in_a_table(name, default)} |" in OPERATING.read_text()


def test_the_table_names_no_setting_that_is_none():
    named = re.findall(r"^\| `([a-z_.]+)` \| `[A-Z_]+` \|", OPERATING.read_text(), re.MULTILINE)

    assert sorted(named) == sorted(name for name, _ in settings())


def test_the_example_of_the_settings_loads(monkeypatch):
    monkeypatch.setenv("NEWSLETTER_CONFIG", str(EXAMPLE))

    read = config.load()

    assert (read.smtp.host, read.base_url) == ("smtp.example.com", "https://newsletter.example.com")


def test_the_example_names_every_setting_and_all_of_it_loads(monkeypatch, tmp_path):
    all_of_it = re.sub(r"^# ([a-z_]+ = )", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
    (tmp_path / "all.toml").write_text(all_of_it)
    monkeypatch.setenv("NEWSLETTER_CONFIG", str(tmp_path / "all.toml"))

    config.load()

    found = tomllib.loads(all_of_it)
    parts = [name for name, field in Settings.model_fields.items() if isinstance(field.default, BaseModel)]
    named = set(found) - set(parts) | {f"{part}.{name}" for part in parts for name in found[part]}
    assert named == {name for name, _ in settings()}


@pytest.mark.parametrize("words", list(commands()))
def test_every_command_is_named_for_the_operator(words):
    assert f"`{words}`" in OPERATING.read_text()


def test_no_command_is_named_that_is_none():
    named = re.findall(r"^\| (`newsletter .*?) \|", OPERATING.read_text(), re.MULTILINE)

    assert sorted(re.findall(r"`(newsletter [a-z -]+)`", " ".join(named))) == sorted(commands())


def test_every_state_of_a_mail_is_explained():
    rows = re.findall(r"^\| `([a-z]+)` \| ", OPERATING.read_text(), re.MULTILINE)

    assert {status.value for status in DeliveryStatus} <= set(rows)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_what_is_there(document):
    dead = []
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = (document.parent / path) if path else document
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)

    assert dead == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_is_told_nothing_it_does_not_know(document):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(), re.MULTILINE)) <= targets


def test_what_the_readme_says_is_where_is_there():
    fences = [token.content for token in MARKDOWN.parse((ROOT / "README.md").read_text()) if token.type == "fence"]
    tree = next(block for block in fences if "lifecycle.py " in block)
    missing, folder = [], ROOT
    for line in tree.splitlines():
        names = [line.split()[0]] if line[0] == " " else re.split(r"\s{2,}", line)[0].split(", ")
        for name in names:
            path = (folder if line[0] == " " else ROOT) / name
            if not path.exists():
                missing.append(name)
        if line[0] != " ":
            folder = ROOT / names[0]

    assert missing == []


@pytest.mark.parametrize("record", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_five_parts_in_their_order(record):
    title, *parts = [line for line in record.read_text().splitlines() if line]

    assert title.startswith(f"# {record.name[:4]}. ")
    assert [part.split("**")[1].rstrip(".") for part in parts] == PARTS


def test_decisions_are_numbered_without_gaps():
    assert [record.name[:4] for record in DECISIONS] == [f"{number:04d}" for number in range(1, len(DECISIONS) + 1)]


@pytest.mark.parametrize("record", DECISIONS, ids=lambda path: path.stem)
def test_what_enforces_a_decision_is_there(record):
    tests = set(
        re.findall(r"^def (test_\w+)", "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py")), re.MULTILINE)
    )
    named = re.findall(r"`([^`]+)`", record.read_text().partition("**Enforced by.**")[2])

    assert named
    assert [name for name in named if "/" in name and not (ROOT / name).exists()] == []
    assert [name for name in named if name.startswith("test_") and name not in tests] == []
