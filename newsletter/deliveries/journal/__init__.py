"""The journal: which messages this process has begun, and what was answered, where kill -9 cannot take it away.

One file per sending process, its lock held for as long as the process lives. `begun` is written before the content of a
message leaves, `ended` after its final reply was read, and both are forgotten (`settled`) once the database knows.

What a file says after its process is gone (`abandoned`): ended, and that was the outcome; begun and not ended: unknown;
neither: it never began, if the file can prove that, which after the loss of a machine it cannot.
"""

from newsletter.deliveries.journal.keeping import ENTRIES, SYNC_EVERY, Journal, JournalFull, worker_name
from newsletter.deliveries.journal.layout import BOOT
from newsletter.deliveries.journal.settling import Abandoned, abandoned

__all__ = ["BOOT", "ENTRIES", "SYNC_EVERY", "Abandoned", "Journal", "JournalFull", "abandoned", "worker_name"]
