"""Papers: what sources list is collected, what each says of a paper is kept, and the paper is what they say together."""

from newsletter.papers.collecting import collect, days_to_collect, latest, store
from newsletter.papers.enriching import Enriched, LookUp, enrich, to_enrich
from newsletter.papers.storing import records_of

__all__ = ["Enriched", "LookUp", "collect", "days_to_collect", "enrich", "latest", "records_of", "store", "to_enrich"]
