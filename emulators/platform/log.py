"""Log lines in the fields that Cloud Logging reads, as the functions write them."""

from __future__ import annotations

import json
import sys


def say(message: str, severity: str = "INFO") -> None:
    line = {"severity": severity, "message": message, "service": "platform"}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
