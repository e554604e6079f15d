"""On what terms a language model is asked."""

from dataclasses import dataclass

from newsletter.summarisers.model import Usage


@dataclass(frozen=True)
class Terms:
    """How often, how many at once, and for how much; 0 is no limit of tokens or cost."""

    model: str = ""  # its name; "": there is none
    tries: int = 3  # for a paper, on different occasions
    at_once: int = 4
    daily_tokens: int = 0  # (UTC)
    daily_micros: int = 0  # (UTC) millionths of the currency of the prices
    input_price: float = 0.0  # of a million tokens
    output_price: float = 0.0

    @property
    def limited(self) -> bool:
        """Whether there is a budget."""
        return bool(self.daily_tokens or self.daily_micros)

    def micros(self, used: Usage) -> int:
        """Return what was used in millionths of the currency: the price of a million tokens is that of one in millionths."""
        return round(used.input_tokens * self.input_price + used.output_tokens * self.output_price)

    def allows(self, tokens: int, micros: int) -> bool:
        """Whether a day's budget is enough for this."""
        return not (self.daily_tokens and tokens > self.daily_tokens) and not (self.daily_micros and micros > self.daily_micros)
