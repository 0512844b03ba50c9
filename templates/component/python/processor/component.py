"""The code of {{name}}; main.py implements the protocol."""

import json

TYPE = "processor"


def configure(config):
    """Validates `with:` of the pipeline file. Raise ValueError to reject it."""
    field = config.get("field", "seen")
    if not isinstance(field, str) or not field:
        raise ValueError("field must be a non-empty string")
    return {"field": field}


def process(event, config):
    """Yields any number of output events per input event. Raise for a bad event: the component exits, and the event is not lost."""
    content = json.loads(event.payload)
    content[config["field"]] = True
    yield {"type": event.type, "json": content}
