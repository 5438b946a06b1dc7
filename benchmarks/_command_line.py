"""The command line that all benchmarks share: `--help` shows the module's docstring as it is written."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter


def parser(doc: str | None) -> ArgumentParser:
    """Return a parser that shows a module's docstring.

    Args:
        doc: `__doc__` of the module; None where Python was told to drop docstrings.
    """
    return ArgumentParser(description=doc, formatter_class=RawDescriptionHelpFormatter)
