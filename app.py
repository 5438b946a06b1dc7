"""The page "Are you a cat?": `python app.py`, then http://127.0.0.1:7860. Settings: docs/configuration.md."""

import sys

from web.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
