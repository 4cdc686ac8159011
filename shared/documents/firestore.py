"""Firestore as a document store, spoken over its own gRPC methods with bare protobuf messages.

Bare, because google-cloud-firestore's wrappers double the CPU of a read of 20 documents (`make
bench` prints it). Every call is bounded (`connection.py`). A commit is sent again with the same
commit id: when an earlier reply was lost, the second one meets our own write, and the nonce in
the stored documents tells that case from a real conflict.

Source: "Firestore RPC API", google.firestore.v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from shared.access_token import AccessTokens
from shared.documents.connection import Connection
from shared.documents.indexes import Index, check_query
from shared.documents.model import (
    COMMIT_ID,
    KEY,
    Add,
    AlreadyExists,
    Count,
    Create,
    Delete,
    Document,
    Order,
    PreconditionFailed,
    Set,
    Sums,
    Update,
    Where,
    Write,
    check_commit,
    check_counts,
    check_item,
    check_path,
    new_commit_id,
    summed,
)
from shared.grpc_api import messages

_PACKAGE = "google.cloud.firestore_v1"
document_types = messages(_PACKAGE, "document")
request_types = messages(_PACKAGE, "firestore")
query_types = messages(_PACKAGE, "query")
write_types = messages(_PACKAGE, "write")
_Value = document_types.Value.pb()
_Document = document_types.Document.pb()
_Write = write_types.Write.pb()
_Query = query_types.StructuredQuery.pb()
_AND = _Query.CompositeFilter.Operator.Value("AND")
_Cursor = query_types.Cursor.pb()
_BatchGet = request_types.BatchGetDocumentsRequest.pb()
_RunQuery = request_types.RunQueryRequest.pb()
_RunAggregation = request_types.RunAggregationQueryRequest.pb()
_Commit = request_types.CommitRequest.pb()

_CONFLICT = frozenset(
    {
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.NOT_FOUND,
    }
)
_OPERATORS = {
    "==": "EQUAL",
    "<": "LESS_THAN",
    "<=": "LESS_THAN_OR_EQUAL",
    ">": "GREATER_THAN",
    ">=": "GREATER_THAN_OR_EQUAL",
    "in": "IN",
    "array-contains": "ARRAY_CONTAINS",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FirestoreDocuments:
    """The default database of `project`; with FIRESTORE_EMULATOR_HOST set, the emulator's.

    `indexes` turns the index guard on, for tests: the emulator itself would answer. `tokens` are
    somebody's who is no function.
    """

    def __init__(
        self,
        project: str,
        indexes: Sequence[Index] | None = None,
        tokens: AccessTokens | None = None,
    ) -> None:
        self._database = f"projects/{project}/databases/(default)"
        self._prefix = f"{self._database}/documents/"
        self._indexes = indexes
        self._connection = Connection(self._database, tokens)

    def get(self, path: str) -> Document | None:
        return self.get_all([path]).get(path)

    def get_all(self, paths: Iterable[str]) -> dict[str, Document]:
        names = [self._prefix + check_path(path) for path in dict.fromkeys(paths)]
        if not names:
            return {}
        request = _BatchGet(database=self._database, documents=names)
        found = (
            self._document(answer.found)
            for answer in self._connection.read(lambda m: m.batch_get, request)
            if answer.HasField("found")
        )
        return {doc.path: doc for doc in found}

    def query(
        self,
        collection: str,
        *,
        where: Sequence[Where] = (),
        order: Sequence[Order] = (),
        start_after: Sequence[Any] | None = None,
        limit: int = 100,
        fields: Sequence[str] = (),
    ) -> list[Document]:
        if self._indexes is not None:
            check_query(collection, where, order, self._indexes)
        query = self._structured(collection, where, order, start_after, limit)
        for name in fields:
            query.select.fields.add(field_path=name)
        request = _RunQuery(parent=self._prefix.rstrip("/"), structured_query=query)
        return [
            self._document(answer.document)
            for answer in self._connection.read(lambda m: m.run_query, request)
            if answer.HasField("document")
        ]

    def number(self, collection: str, *, where: Sequence[Where], most: int) -> int:
        if self._indexes is not None:
            check_query(collection, where, (), self._indexes)
        request = _RunAggregation(parent=self._prefix.rstrip("/"))
        asked = request.structured_aggregation_query
        asked.structured_query.CopyFrom(self._structured(collection, where, (), None, most))
        asked.aggregations.add(alias="number").count.SetInParent()
        (answer,) = self._connection.read(lambda m: m.run_aggregation, request)
        return int(answer.result.aggregate_fields["number"].integer_value)

    def commit(self, writes: Sequence[Write]) -> str:
        return self._commit(writes)[0]

    def commit_counted(self, writes: Sequence[Write]) -> Sums:
        answer = self._commit(writes)[1]
        if answer is None:
            return summed(writes, self.get_all(write.path for write in writes if _counts(write)))
        return {
            write.path: dict(zip(write.increment, map(_decode, one.transform_results), strict=True))
            for write, one in zip(writes, answer.write_results, strict=True)
            if isinstance(write, Update | Add) and write.increment
        }

    def _commit(self, writes: Sequence[Write]) -> tuple[str, Any]:
        """The commit's id and the database's answer; None when that was lost."""
        check_commit(writes)
        commit_id = new_commit_id()
        request = _Commit(
            database=self._database, writes=[self._write(write, commit_id) for write in writes]
        )

        def refused(error: grpc.RpcError, ambiguous: bool) -> None:
            # On the first try nobody but another writer can be in the way.
            if error.code() not in _CONFLICT:
                raise error
            if not ambiguous or not self._is_applied(writes, commit_id):
                raise _conflict(error, writes) from None

        return commit_id, self._connection.ask(
            lambda methods, left: methods.commit(request, timeout=left), refused
        )

    def count(self, counts: Sequence[Count]) -> list[int]:
        check_counts(counts)
        commit_id = new_commit_id()
        request = _Commit(
            database=self._database, writes=[self._added(one, commit_id) for one in counts]
        )
        answer = self._connection.ask(lambda methods, left: methods.commit(request, timeout=left))
        return [result.transform_results[0].integer_value for result in answer.write_results]

    def close(self) -> None:
        self._connection.close()

    def _is_applied(self, writes: Sequence[Write], commit_id: str) -> bool:
        """Whether an earlier try of this commit got through. All or nothing, so one nonce says
        it; when every document of it was since rewritten by others, the answer is no."""
        paths = [write.path for write in writes if not isinstance(write, Delete)]
        if not paths:
            return not self.get_all(write.path for write in writes)
        return any(doc.commit_id == commit_id for doc in self.get_all(paths).values())

    def _structured(
        self,
        collection: str,
        where: Sequence[Where],
        order: Sequence[Order],
        start_after: Sequence[Any] | None,
        limit: int,
    ) -> Any:
        query = _Query()
        query.from_.add(collection_id=collection)
        query.limit.value = limit
        if where:
            query.where.composite_filter.op = _AND
        for name, op, wanted in where:
            one = query.where.composite_filter.filters.add().field_filter
            one.field.field_path = name
            one.op = one.Operator.Value(_OPERATORS[op])
            one.value.CopyFrom(self._operand(collection, name, wanted))
        for name, direction in order:
            step = query.order_by.add(direction=_Query.Direction.Value(direction))
            step.field.field_path = name
        if start_after is not None:
            values = [
                self._operand(collection, name, value)
                for (name, _), value in zip(order, start_after, strict=True)
            ]
            query.start_at.CopyFrom(_Cursor(values=values, before=False))
        return query

    def _operand(self, collection: str, name: str, value: Any) -> Any:
        if name == KEY:
            path = check_path(f"{collection}/{value}")
            return _Value(reference_value=self._prefix + path)
        return _encode(value)

    def _document(self, found: Any) -> Document:
        return Document(
            found.name[len(self._prefix) :],
            {name: _decode(value) for name, value in found.fields.items()},
            (found.update_time.seconds, found.update_time.nanos),
        )

    def _added(self, one: Count, commit_id: str) -> Any:
        message = _Write()
        message.update.name = self._prefix + one.path
        for key, value in {**one.fields, COMMIT_ID: commit_id}.items():
            _fill(message.update.fields[key], value)
            message.update_mask.field_paths.append(key)
        message.update_transforms.add(field_path=one.name, increment=_encode(one.step))
        return message

    def _write(self, write: Write, commit_id: str) -> Any:
        name = self._prefix + write.path
        if isinstance(write, Delete):
            message = _Write(delete=name)
        else:
            message = _Write()
            message.update.name = name
            fields = write.fields if isinstance(write, Update | Add) else write.data
            for key, value in {**fields, COMMIT_ID: commit_id}.items():
                _fill(message.update.fields[key], value)
        if isinstance(write, Create):
            message.current_document.exists = False
        elif isinstance(write, Update | Add):
            removed = write.remove if isinstance(write, Update) else ()
            message.update_mask.field_paths.extend([*write.fields, *removed, COMMIT_ID])
            for key, step in write.increment.items():
                message.update_transforms.add(field_path=key, increment=_encode(step))
            if isinstance(write, Update):
                message.current_document.exists = True
        if isinstance(write, Update | Delete) and write.version is not None:
            seconds, nanos = write.version
            message.current_document.update_time.seconds = seconds
            message.current_document.update_time.nanos = nanos
        return message


def _counts(write: Write) -> bool:
    return isinstance(write, Update | Add) and bool(write.increment)


def _conflict(error: grpc.RpcError, writes: Sequence[Write]) -> Exception:
    if error.code() is grpc.StatusCode.ALREADY_EXISTS:
        return AlreadyExists(error.details())
    if all(isinstance(write, Create | Set | Add) for write in writes):
        return error  # Such a commit has no precondition to fail: a missing index or database.
    return PreconditionFailed(error.details())


def _encode(value: Any) -> Any:
    """A Python value as Firestore's `Value`. Raises TypeError for one that has no such form."""
    message = _Value()
    _fill(message, value)
    return message


def _fill(message: Any, value: Any) -> None:
    """As `_encode`, into a message where it stands: what is not copied costs nothing."""
    if isinstance(value, str):
        message.string_value = value
    elif value is None:
        message.null_value = 0
    elif isinstance(value, bool):
        message.boolean_value = value
    elif isinstance(value, int):
        message.integer_value = value
    elif isinstance(value, datetime):
        since = value - _EPOCH
        message.timestamp_value.seconds = since.days * 86400 + since.seconds
        message.timestamp_value.nanos = since.microseconds * 1000
    elif isinstance(value, float):
        message.double_value = value
    elif isinstance(value, bytes):
        message.bytes_value = value
    elif isinstance(value, Mapping):
        message.map_value.SetInParent()
        for key, item in value.items():
            _fill(message.map_value.fields[key], item)
    elif isinstance(value, Sequence):
        message.array_value.SetInParent()
        for item in value:
            _fill(message.array_value.values.add(), check_item(item))
    else:
        raise TypeError(f"Firestore has no form for {type(value).__name__}")


def _decode(value: Any) -> Any:
    kind = value.WhichOneof("value_type")
    if kind == "timestamp_value":
        stamp = value.timestamp_value
        return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)
    if kind == "map_value":
        return {key: _decode(item) for key, item in value.map_value.fields.items()}
    if kind == "array_value":
        return [_decode(item) for item in value.array_value.values]
    return None if kind in (None, "null_value") else getattr(value, kind)
