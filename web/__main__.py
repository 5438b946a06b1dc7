"""Starts the page: `python -m web`, `python app.py` and `are-you-a-cat serve` are the same.

Settings: docs/configuration.md.
"""

import signal
import sys
from collections.abc import Callable

from cat_model import BundleError
from cat_model.settings import SettingsError
from web.settings import ServerSettings, ignore_gradio_variables, reach_this_machine_directly, without_proxies


def main() -> int:
    """Run the page until it is interrupted or terminated, at whatever moment; return the exit code."""
    return serve(ServerSettings.from_env, [])


def serve(
    choose: Callable[[], ServerSettings], stops: list[int], opened: Callable[[str], None] = lambda _: None
) -> int:
    """Run the page until a signal, or somebody else, adds to `stops`; return the exit code.

    Args:
        choose: returns the settings; what it raises as a SettingsError is told.
        stops: reasons to stop; numbers of signals are added here.
        opened: is called with the page's address once visitors may come.
    """
    # Both by name: a parent that ignores SIGINT (a script's background job) hands that on. The handler only
    # notes the signal: an exception at an arbitrary line can be swallowed there.
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda number, _: stops.append(number))
    try:
        settings = choose()
        ignore_gradio_variables()
        reach_this_machine_directly()
        with without_proxies():  # Gradio reads the environment while it is imported
            from web.server.app import run
            from web.server.uploads import own_folder
            from web.ui.page import create_app
        with own_folder(settings.uploads_dir):
            return run(create_app(settings), settings, stops, opened)
    except (BundleError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
