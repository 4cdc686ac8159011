"""What Google answers to creates, and whether the hook of a first deployment tries again."""

from __future__ import annotations

import runpy
from pathlib import Path

SPREADING = [
    "Error 403: Cloud Pub/Sub API has not been used in project 12345 before or it is disabled.",
    "Error 403: Cloud Functions API is disabled.",
    "Error 400: Permission denied while using the Eventarc Service Agent.",
    "Error 400: Service account fn-media@acme.iam.gserviceaccount.com does not exist.",
    "Error 404: Cannot find metric that matches type = logging.googleapis.com/user/x",
]
LASTING = [
    "Error 409: already exists",
    "Error 400: Invalid value at 'runtime'",
    "Error 403: The caller does not have permission",
    "Error waiting to create function: the service agent does not exist",
]


def findings(root: Path) -> list[str]:
    """What the hook of the program at `root` would do wrong."""
    again = runpy.run_path(str(root / "infra" / "retries.py"))["worth_another_try"]
    wrong = [f"gives up: {one}" for one in SPREADING if not again("create", [one])]
    return wrong + [f"tries again: {one}" for one in LASTING if again("create", [one])]
