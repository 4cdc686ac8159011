"""The index guard: a query that production would refuse is refused here, on every store.

The emulator answers queries whose composite index does not exist; Firestore does not. The
rules follow Google's page "Index types in Cloud Firestore": equality alone is served by merging
single-field indexes, a range or an order on the same single field by that field's own index,
everything else needs a composite index whose fields are the equalities (in any order; a list
that must contain a value counts as one, with the mode CONTAINS) and then the orders, with their
directions. A query may ask one list only.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.documents.model import KEY, Order, Where

Index = tuple[str, tuple[tuple[str, str], ...]]


class MissingIndex(Exception):
    """The query needs a composite index that infra/declaration.py does not declare."""


def check_query(
    collection: str, where: Sequence[Where], order: Sequence[Order], indexes: Sequence[Index]
) -> None:
    """Raise MissingIndex unless the declared indexes serve the query."""
    lists = [name for name, op, _ in where if op == "array-contains"]
    if len(lists) > 1:
        raise MissingIndex(f"{collection}: more than one list is asked: {lists}")
    equal = {name for name, op, _ in where if op in ("==", "in")} | set(lists)
    ranges = {name for name, op, _ in where if op not in ("==", "in", "array-contains")}
    if ranges and (len(ranges) > 1 or not order or order[0][0] not in ranges):
        raise MissingIndex(f"{collection}: a range must be on one field, the first of the order")
    plain = [(name, direction) for name, direction in order if name != KEY]
    if not plain and not ranges and not (lists and len(equal) > 1):
        return
    # The key follows the last direction by itself; asked for in the other one, it is a field.
    natural = len(order) < 2 or order[-1][0] != KEY or order[-1][1] == order[-2][1]
    if not equal and len(plain) == 1 and natural:
        return
    wanted = [(name, direction) for name, direction in order] or [(KEY, "ASCENDING")]
    if wanted[-1][0] != KEY:
        wanted.append((KEY, wanted[-1][1]))
    for owner, fields in indexes:
        head = fields[: len(equal)]
        if (
            owner == collection
            and {name for name, _ in head} == equal
            and [name for name, mode in head if mode == "CONTAINS"] == lists
            and list(fields[len(equal) :]) == wanted
        ):
            return
    raise MissingIndex(f"{collection}: no index for {sorted(equal)} then {wanted}")
