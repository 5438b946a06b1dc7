"""Work that is done every few seconds beside everything else, and goes on whatever happens to it once."""

import logging
import threading
from collections.abc import Callable

LOG = logging.getLogger(__name__)


def regularly(work: Callable[[], object], every_s: float, name: str) -> Callable[[], None]:
    """Do something every few seconds, in a thread of its own that ends with the process.

    Args:
        work: what to do; whatever it raises is logged, and it is done again.
        every_s: seconds between the end of one and the beginning of the next.
        name: of the thread.

    Returns:
        Ends it; what is being done meanwhile is still done.
    """
    stop = threading.Event()

    def working() -> None:
        while not stop.wait(every_s):
            try:
                work()
            except Exception:  # a mistake once must not be the end of it
                LOG.exception("%s failed.", name)

    threading.Thread(target=working, name=name, daemon=True).start()
    return stop.set
