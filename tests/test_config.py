import os
import stat
import subprocess
import sys
from datetime import date

import pytest

from newsletter import config
from newsletter.errors import SettingsError
from newsletter.origins import BESIDE


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    """Start from an empty environment in an empty folder."""
    for name in list(os.environ):
        if name.startswith("NEWSLETTER_") or name in {"DATABASE_URL", "REDIS_URL"}:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _file(tmp_path, text, name="newsletter.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_everything_has_a_default():
    settings = config.load()

    assert settings.smtp.port == 587
    assert settings.database == f"sqlite:///{settings.data_dir}/newsletter.sqlite3"


def test_the_environment_goes_over_the_file_and_the_file_over_the_defaults(tmp_path, monkeypatch):
    _file(tmp_path, 'confirm_hours = 24\n[smtp]\nhost = "file.example.org"\nport = 25\n')
    monkeypatch.setenv("NEWSLETTER_SMTP__HOST", "environment.example.org")

    settings = config.load()

    assert (settings.smtp.host, settings.smtp.port, settings.confirm_hours) == ("environment.example.org", 25, 24)
    assert config.load(confirm_hours=1).confirm_hours == 1


def test_urls_go_without_the_prefix_as_hosts_expect_and_may_stand_in_the_file(tmp_path, monkeypatch):
    _file(tmp_path, 'database_url = "sqlite:///file"\nredis_url = "redis://file"\n')
    monkeypatch.setenv("DATABASE_URL", "sqlite:///environment")

    settings = config.load()

    assert (settings.database, settings.broker) == ("sqlite:///environment", "redis://file")


def test_the_file_may_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv("NEWSLETTER_CONFIG", str(_file(tmp_path, "log_json = true", "other.toml")))

    assert config.load().log_json


def test_a_file_that_is_named_must_be_there(monkeypatch):
    monkeypatch.setenv("NEWSLETTER_CONFIG", "missing.toml")

    with pytest.raises(SettingsError, match=r"missing\.toml"):
        config.load()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[smtp]\nport = 0", r"smtp\.port"),
        ('[smtp]\nprot = "25"', r"smtp\.prot"),
        ("confirm_hours = 0\n[smtp]\nmessages_per_connection = 0", r"(?=.*confirm_hours).*smtp\.messages_per_connection"),
        ('colour = "red"', "colour"),
        ('base_url = "news.example.com"', "base_url.*http"),
        ('base_url = "https://"', "base_url"),
        ('smtp = "mail.example.org"', "smtp"),
        ('unknown_policy = "forget"', "unknown_policy"),
    ],
)
def test_every_wrong_setting_is_named(tmp_path, text, named):
    _file(tmp_path, text)

    with pytest.raises(SettingsError, match=named) as caught:
        config.load()

    assert "newsletter.toml" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[smtp]\nprot = 25", r"newsletter\.toml: smtp\.prot: there is no such setting; did you mean smtp\.port\?"),
        ("base_ulr = 1", r"newsletter\.toml: base_ulr: there is no such setting; did you mean base_url\?"),
        ("[warm_up]\nfirst = 3", r"newsletter\.toml: warm_up\.start: Field required"),
        ('redis_url = ["x"]', r"newsletter\.toml: redis_url: "),
    ],
)
def test_a_wrong_setting_of_the_file_is_named_by_file_and_key(tmp_path, text, meant):
    _file(tmp_path, text)

    with pytest.raises(SettingsError, match=meant):
        config.load()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("NEWSLETTER_SMTP", "mail.example.org", "NEWSLETTER_SMTP: it is no JSON"),
        (
            "NEWSLETTER_SMTP",
            '{"hots": "x"}',
            r"NEWSLETTER_SMTP__HOTS: there is no such setting; did you mean NEWSLETTER_SMTP__HOST",
        ),
        ("NEWSLETTER_SMTP__PORT", "many", "NEWSLETTER_SMTP__PORT: Input should be a valid integer"),
        ("NEWSLETTER_WARM_UP__FIRST", "3", "NEWSLETTER_WARM_UP__START: Field required"),
        ("NEWSLETTER_LOG_LEVEL", "LOUD", "NEWSLETTER_LOG_LEVEL: .*must be one of DEBUG, INFO"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch, tmp_path, name, value, said):
    _file(tmp_path, '[smtp]\nhost = "file.example.org"\nport = 25\n')
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=said):
        config.load()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("NEWSLETTER_SMPT__HOST", "NEWSLETTER_SMTP__HOST"),
        ("NEWSLETTER_SMTP_HOST", "NEWSLETTER_SMTP__HOST"),
        ("NEWSLETTER_SMTP__PROT", "NEWSLETTER_SMTP__PORT"),
        ("newsletter_smpt__host", "NEWSLETTER_SMTP__HOST"),
        ("NEWSLETTER_DATABASE_URL", "DATABASE_URL"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_one_that_was_meant(monkeypatch, name, meant):
    monkeypatch.setenv(name, "x")

    with pytest.raises(SettingsError, match=f"{name}: there is no such setting; did you mean {meant}\\?"):
        config.load()


def test_an_unknown_variable_like_none_of_ours_is_refused_without_a_guess(monkeypatch):
    monkeypatch.setenv("NEWSLETTER_ZZZ", "x")
    monkeypatch.setenv("NEWSLETTER_SMTP__PORT", "0")

    with pytest.raises(SettingsError) as caught:
        config.load()

    assert "NEWSLETTER_ZZZ: there is no such setting; NEWSLETTER_SMTP__PORT: " in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "1") for name in sorted(BESIDE - {"NEWSLETTER_CONFIG"})),
        ("NEWSLETTER_DOMAINS__localhost__RATE", "2"),
        ("NEWSLETTER_SMTP", '{"host": "mail.example.org"}'),
        ("newsletter_smtp__host", "mail.example.org"),
        ("NEWSLETTER_SERVICE_HOST", "10.0.0.7"),
        ("NEWSLETTER_WEB_SERVICE_PORT_HTTP", "8000"),
        ("NEWSLETTER_PORT_8000_TCP_ADDR", "10.0.0.7"),
        ("NEWSLETTER_PAGES_PORT", "tcp://10.0.0.7:8000"),
    ],
)
def test_what_is_a_setting_or_somebody_elses_is_let_through(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    config.load()


def test_a_log_level_may_be_in_lower_case():
    assert config.load(log_level="debug").log_level == "DEBUG"


@pytest.mark.parametrize("content", [b"smtp = [", b"title = '\xff'"])
def test_a_file_that_is_no_toml_is_named(tmp_path, content):
    (tmp_path / "newsletter.toml").write_bytes(content)

    with pytest.raises(SettingsError, match=r"newsletter\.toml"):
        config.load()


def test_a_wrong_password_is_not_repeated(tmp_path):
    _file(tmp_path, '[smtp]\npassword = ["hunter2"]')

    with pytest.raises(SettingsError) as caught:
        config.load()

    assert "hunter2" not in f"{caught.value}{caught.value.hint}{caught.value.__cause__}"


def test_the_base_url_ends_without_a_slash():
    assert config.load(base_url="https://news.example.com/").base_url == "https://news.example.com"


def test_without_a_broker_the_hint_says_how_to_get_one():
    with pytest.raises(SettingsError, match="broker") as caught:
        _ = config.load().broker

    assert "REDIS_URL" in caught.value.hint


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path):
    first = config.load(data_dir=tmp_path / "data").keys()

    assert config.load(data_dir=tmp_path / "data").keys() == first
    assert len(first[0]) >= 43
    assert stat.S_IMODE((tmp_path / "data/secret.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret.key"]


def test_processes_that_make_the_secret_at_once_agree_on_one(tmp_path):
    program = "import sys; from newsletter import config; sys.stdin.read(1); print(config.load(data_dir=sys.argv[1]).keys())"
    command = [sys.executable, "-c", program, str(tmp_path / "data")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    several = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) for _ in range(3)
    ]

    for process in several:  # let them all go at the same moment
        process.stdin.write("\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=30)[0] for process in several}

    assert len(answers) == 1


def test_several_keys_may_be_given_the_newest_first(tmp_path):
    assert config.load(secret_key="new old").keys() == (b"new", b"old")
    assert config.load(secret_key_file=_file(tmp_path, "newer\nolder\n", "keys")).keys() == (b"newer", b"older")


@pytest.mark.parametrize("settings", [{"secret_key": " "}, {"secret_key_file": "empty"}])
def test_no_key_at_all_is_refused(tmp_path, settings):
    _file(tmp_path, "\n", "empty")

    with pytest.raises(SettingsError, match="secret"):
        config.load(**settings).keys()


def test_a_secret_that_cannot_be_made_is_named(tmp_path):
    _file(tmp_path, "", "data")

    with pytest.raises(SettingsError, match=r"secret\.key"):
        config.load(data_dir=tmp_path / "data").keys()


def test_a_second_relay_and_limits_are_read_from_the_file_and_the_environment(tmp_path, monkeypatch):
    _file(tmp_path, 'domains = { "Example.org" = { rate = 0.5 } }\nwarm_up = { start = 2024-03-14 }\n')
    monkeypatch.setenv("NEWSLETTER_SMTP_BACKUP__HOST", "second.example.net")

    settings = config.load()

    assert settings.domains["example.org"].rate == 0.5
    assert (settings.warm_up.start, settings.warm_up.first) == (date(2024, 3, 14), 50)
    assert (settings.smtp_backup.host, settings.smtp_backup.port) == ("second.example.net", 587)
