"""Which setting a variable or a key of the file means, where a wrong one was given, and which one was meant by an unknown one.

Pure: settings are a tree of pydantic models, the environment and the file are mappings.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

PREFIX = "NEWSLETTER_"
# No settings, and ours all the same: which file is read, where `health web` asks, where compose publishes the pages and the
# inbox, and whether the tests write their golden files anew.
BESIDE = frozenset(f"{PREFIX}{name}" for name in ("CONFIG", "WEB_PORT", "BIND", "PORT", "INBOX_BIND", "UPDATE_GOLDEN"))
# What container hosts tell about a service that is called newsletter: NEWSLETTER_SERVICE_HOST, NEWSLETTER_PORT_8000_TCP …
_OF_HOSTS = re.compile(rf"{PREFIX}(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP)(_\w+)?)")
_ADDRESS_OF_HOSTS = re.compile(r"(tcp|udp)://")


@dataclass(frozen=True)
class Setting:
    """A setting by its two names; `open_ended` where the names below it are the operator's own, as those of domains are."""

    key: str  # in the file: smtp.host
    variable: str  # in the environment: NEWSLETTER_SMTP__HOST
    open_ended: bool = False


def settings_of(model: type[BaseModel]) -> Iterator[Setting]:
    """Yield every setting of a model, those with parts and the parts themselves."""
    for name, field in model.model_fields.items():
        variable = _alias(field) or f"{PREFIX}{name.upper()}"
        yield Setting(name, variable, open_ended=get_origin(field.annotation) is dict)
        for part in _parts(field):
            for below in part.model_fields:
                yield Setting(f"{name}.{below}", f"{variable}__{below.upper()}")


def _alias(field: FieldInfo) -> str:
    alias = field.validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else ""


def _parts(field: FieldInfo) -> list[type[BaseModel]]:
    """Return the models that a setting may be made of: SmtpSettings of `SmtpSettings | None`."""
    kinds = (field.annotation, *get_args(field.annotation))
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _meant(name: str, names: Sequence[str]) -> str:
    """Return a question that holds the likeliest name; the prefix that nearly all share says nothing."""
    shortened = {known.removeprefix(PREFIX): known for known in names}
    close = get_close_matches(name.removeprefix(PREFIX), shortened, n=1, cutoff=0.7)
    return f"; did you mean {shortened[close[0]]}?" if close else ""


@dataclass(frozen=True)
class Given:
    """Where settings come from: the environment over one file, and what the file holds."""

    environment: Mapping[str, str]
    path: Path
    content: Mapping[str, Any]

    def unknown_variables(self, model: type[BaseModel]) -> list[str]:
        """Return a sentence for each variable that begins like ours and is none of ours, with the one that was likely meant."""
        known = list(settings_of(model))
        names = {setting.variable for setting in known} | BESIDE
        open_ended = tuple(f"{setting.variable}__" for setting in known if setting.open_ended)
        return [
            f"{name}: there is no such setting{_meant(name.upper(), sorted(names))}"
            for name, value in self.environment.items()
            if name.upper().startswith(PREFIX)
            and name.upper() not in names
            and not name.upper().startswith(open_ended)
            and not (_OF_HOSTS.fullmatch(name) or _ADDRESS_OF_HOSTS.match(value))
        ]

    def unreadable(self, model: type[BaseModel], words: str) -> str:
        """Say that a variable cannot be read as JSON, by the name of the setting in pydantic's words."""
        found = re.search(r'field "(\w+)"', words)
        variable = _variable(list(settings_of(model)), found[1]) if found else "The environment"
        return f"{variable}: it is no JSON; its parts can be given one by one, as {variable}__…"

    def problem(self, model: type[BaseModel], error: Mapping[str, Any]) -> str:
        """Say one of pydantic's errors by the name of what has to be mended: the variable, or the file and the key in it.

        The wrong value itself is not repeated: it may be a password.
        """
        first, *rest = (str(part) for part in error["loc"])
        key = ".".join([first.lower(), *rest])  # DATABASE_URL is database_url in the file
        known = list(settings_of(model))
        variable = _variable(known, key)
        if self._by_environment(key, variable):
            place, named, names = variable, variable, [setting.variable for setting in known]
        else:
            place, named, names = self._place(key), key, [setting.key for setting in known]
        if error["type"] == "extra_forbidden":
            return f"{place}: there is no such setting{_meant(named, names)}"
        return f"{place}: {error['msg']}"

    def _by_environment(self, key: str, variable: str) -> bool:
        names, whole = {name.upper() for name in self.environment}, variable.partition("__")[0]
        if variable in names or _holds(self.content, key):
            return variable in names
        return any(name == whole or name.startswith(f"{whole}__") for name in names)  # it wants what was not given

    def _place(self, key: str) -> str:
        return f"{self.path}: {key}" if _holds(self.content, key.partition(".")[0]) else key


def _variable(known: Sequence[Setting], key: str) -> str:
    first, *rest = key.split(".")
    whole = next((setting.variable for setting in known if setting.key == first), f"{PREFIX}{first.upper()}")
    return "__".join([whole, *(part.upper() for part in rest)])


def _holds(content: object, key: str) -> bool:
    """Tell whether the file's content has the key."""
    for part in key.split("."):
        if not isinstance(content, Mapping) or part not in content:
            return False
        content = content[part]
    return True
