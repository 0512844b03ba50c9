"""What {{name}} does; main.py does the rest."""

TYPE = "source"


def configure(config):
    """Checks `with:` of the pipeline file. Raise ValueError to refuse it."""
    count = config.get("count", 10)
    if not isinstance(count, int) or count < 1:
        raise ValueError("count has to be a whole number from 1")
    return {"count": count}


def produce(config, position):
    """Yields (event, position): where to go on after that event. `position` is None on the very first start."""
    for number in range((position or 0) + 1, config["count"] + 1):
        yield {"type": "number.v1", "json": {"number": number}}, number
