"""Stacks as a user would configure them; everything optional is on in the second."""

from __future__ import annotations

import json
from collections.abc import Mapping

Config = Mapping[str, str]
DEV: Config = {
    "gcp:project": "acme-dev",
    "gcp:region": "europe-west1",
    "snaptask:production": "false",
    "snaptask:publicInvocation": "true",
    "snaptask:repository": "acme/tasks",
    "snaptask:origins": json.dumps(["https://app.example.com"]),
    "snaptask:environment": json.dumps(
        {"MAIL_FROM": "snaptask@example.com", "SMTP_HOST": "smtp.example.com", "SCANNER": "off"}
    ),
}
PROD: Config = {
    **DEV,
    # SCANNER is made.
    "snaptask:environment": json.dumps(
        {"MAIL_FROM": "snaptask@example.com", "SMTP_HOST": "smtp.example.com"}
    ),
    "snaptask:scannerImage": "europe-west1-docker.pkg.dev/acme-prod/snaptask/scanner:f98f09c",
    "gcp:project": "acme-prod",
    "snaptask:production": "true",
    "snaptask:alertEmail": "ops@example.com",
    "snaptask:domain": "tasks.example.com",
    "snaptask:billingAccount": "012345-6789AB-CDEF01",
    "snaptask:minInstances": json.dumps({"auth": 1}),
    "snaptask:backupDays": "30",
}
STACKS: Mapping[str, Config] = {"dev": DEV, "prod": PROD}
