"""Whatever is kept about somebody is in his export, or has a reason not to be."""

from __future__ import annotations

import json

from tests.fixtures.product import Product
from tests.product.operations import Scene

# Collections that name an account and stay out.
LEFT_OUT = {
    "users": "stands in the export by itself",
    "emails": "says of a hash of the address, which is in the export, whose it is",
    "links": "open what was mailed: a copy would be a key",
    "invitations": "open a task to whoever holds the link: a copy would be a key",
    "blobs": "count who stands on the same bytes; each medium says its own hash",
    "rateLimits": "count tries, and end by themselves",
    "outbox": "events on their way into the audit trail",
}


def test_every_collection_that_names_an_account_is_exported_or_left_out_for_a_reason() -> None:
    scene = Scene(Product())
    answer = scene.ada.call("POST", "/api/auth/export")
    assert answer.status_code == 200
    told = json.loads(answer.get_data())
    assert told["complete"] is True
    naming = {
        path.partition("/")[0]
        for path, document in scene.product.stored().items()
        if scene.user in path or scene.user in json.dumps(document.data, default=str)
    }
    assert naming - told["collections"].keys() == LEFT_OUT.keys()
    (usage,) = told["collections"]["usage"]
    ready = [one for one in told["collections"]["media"] if one["state"] in ("ready", "trashed")]
    assert usage["usedBytes"] == sum(one["size"] for one in ready)
