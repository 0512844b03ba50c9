"""The code of {{name}}; main.py implements the protocol."""

TYPE = "source"


def configure(config):
    """Validates `with:` of the pipeline file. Raise ValueError to reject it."""
    count = config.get("count", 10)
    if not isinstance(count, int) or count < 1:
        raise ValueError("count must be an integer ≥ 1")
    return {"count": count}


def produce(config, position):
    """Yields (event, position), the position at which to resume after that event. `position` is None on the first start."""
    for number in range((position or 0) + 1, config["count"] + 1):
        yield {"type": "number.v1", "json": {"number": number}}, number
