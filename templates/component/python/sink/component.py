"""The code of {{name}}; main.py implements the protocol."""

import sys

TYPE = "sink"


def configure(config):
    """Validates `with:` of the pipeline file. Raise ValueError to reject it."""
    return config


def write(event, config):
    """Returns when the event is stored durably; it is then acknowledged. Raise if it cannot be written."""
    sys.stdout.write(event.payload.decode(errors="replace") + "\n")
    sys.stdout.flush()
