"""The app's log: one line of JSON an event, without a visitor's control characters, and each traceback once."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections import Counter
from typing import Any

MAX_MESSAGE = 2000
"""Characters of a message; a visitor decides some of them."""
MAX_PLACES = 1000
"""Places in the code of which errors are counted."""


class OneLine(logging.Formatter):
    """A record as one line of JSON; a traceback that was written before is replaced by how often it has occurred."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[tuple[str, str]] = Counter()

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage()[:MAX_MESSAGE],
        }
        if record.exc_info and record.exc_info[1] is not None:
            kind, error, trace = record.exc_info
            frames = traceback.extract_tb(trace)
            place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
            key = (kind.__name__, place) if len(self.seen) < MAX_PLACES else ("other", "")
            self.seen[key] += 1
            event["error"] = f"{kind.__name__}: {error}"[:MAX_MESSAGE]
            if self.seen[key] == 1:
                event["traceback"] = "".join(traceback.format_exception(kind, error, trace))[-10 * MAX_MESSAGE :]
            else:
                event["occurrences"] = self.seen[key]
        return json.dumps(event)  # which escapes every control character


def configure() -> None:
    """Send all logging to stderr in this form; for the process of the app."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("hfvae").setLevel(logging.INFO)
