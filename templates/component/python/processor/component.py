"""What {{name}} does; main.py does the rest."""

import json

TYPE = "processor"


def configure(config):
    """Checks `with:` of the pipeline file. Raise ValueError to refuse it."""
    field = config.get("field", "seen")
    if not isinstance(field, str) or not field:
        raise ValueError("field has to be a name")
    return {"field": field}


def process(event, config):
    """Yields any number of events for each one. Raise for a bad event: it ends the component and is not lost."""
    content = json.loads(event.payload)
    content[config["field"]] = True
    yield {"type": event.type, "json": content}
