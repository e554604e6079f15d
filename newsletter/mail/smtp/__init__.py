"""Our own SMTP client on asyncio: many connections to one relay that ask for their next message.

`Pool` takes `Parcel`s from a `Feed`, asks it for each content when the server wants it, and gives it an `Answer` for
every parcel, exactly one, whatever happens to the connection.
"""

from newsletter.mail.smtp.parcels import Answer, Feed, Kind, Parcel
from newsletter.mail.smtp.pool import Pool
from newsletter.mail.smtp.relay import Relay, Timeouts

__all__ = ["Answer", "Feed", "Kind", "Parcel", "Pool", "Relay", "Timeouts"]
