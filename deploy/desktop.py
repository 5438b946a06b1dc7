"""The program that deploy/desktop.spec builds: the window, unless its arguments say otherwise."""

import multiprocessing
import sys

from cat_model.__main__ import APP, command
from web import window
from web.windows import FROZEN_WORD

if __name__ == "__main__":
    multiprocessing.freeze_support()
    if sys.argv[1:2] == [FROZEN_WORD]:
        sys.exit(window.main(sys.argv[2]))
    sys.argv[1:] = sys.argv[1:] or [APP]
    sys.exit(command())
