"""What {{name}} does; main.py does the rest."""

import sys

TYPE = "sink"


def configure(config):
    """Checks `with:` of the pipeline file. Raise ValueError to refuse it."""
    return config


def write(event, config):
    """Returns when the event is safe: it is acknowledged then. Raise when it cannot be written."""
    sys.stdout.write(event.payload.decode(errors="replace") + "\n")
    sys.stdout.flush()
