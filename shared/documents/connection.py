"""How Firestore is called: four methods on one channel, bounded tries, and a breaker.

Every call has a timeout, its tries end within `_BUDGET`, and once a whole budget passed without
any answer the calls after it are refused at once, until a probe over a channel of its own is
answered: an old channel needs seconds to notice that an outage is over.

Source: "Firestore RPC API", google.firestore.v1.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import grpc

from shared.access_token import AccessTokens
from shared.breaker import Breaker
from shared.errors import Unavailable
from shared.grpc_api import Tries, is_transient, make_channel, messages, streamed, unary

_types = messages("google.cloud.firestore_v1", "firestore")
_BatchGet = _types.BatchGetDocumentsRequest.pb()
_BatchGetAnswer = _types.BatchGetDocumentsResponse.pb()
_RunQueryAnswer = _types.RunQueryResponse.pb()
_RunAggregationAnswer = _types.RunAggregationQueryResponse.pb()
_CommitAnswer = _types.CommitResponse.pb()

_EMULATOR = "FIRESTORE_EMULATOR_HOST"
_TARGET = "firestore.googleapis.com:443"
# Seconds. A healthy call takes 5-50 ms; two lost ones fit, and an outage is told within 3 s.
_TRY = 1.0
_BUDGET = 2.5
T = TypeVar("T")


class Connection:
    """To one database. Connects with the first call; `close` ends it."""

    def __init__(self, database: str, tokens: AccessTokens | None = None) -> None:
        self._database = database
        self._tokens = tokens
        self._lock = threading.Lock()
        self._methods: Methods | None = None
        self._breaker = Breaker("The database", self._probe)

    def read(self, method: Callable[[Methods], Any], request: Any) -> list[Any]:
        """All answers of a streaming read; a read can be sent again at will."""
        return self.ask(lambda methods, left: list(method(methods)(request, timeout=left)))

    def ask(
        self,
        call: Callable[[Methods, float], T],
        refused: Callable[[grpc.RpcError, bool], T] | None = None,
    ) -> T:
        """What `call`, given the methods and its seconds, gets. `refused` is asked about an error
        after which no other try makes sense, and whether an earlier try may have been carried
        out; without it the error is raised. Raises Unavailable."""
        began = self._breaker.check()
        tries = Tries(_BUDGET, _TRY)
        for left in tries:
            # Held here, because a channel that nobody holds ends its calls.
            methods = self._connected()
            try:
                answer = call(methods, left)
            except grpc.RpcError as error:
                if not is_transient(error):
                    self._breaker.succeed()
                    if refused is None:
                        raise
                    return refused(error, tries.ambiguous)
                tries.note(error)
            else:
                self._breaker.succeed()
                return answer
        if tries.silent:
            self._breaker.fail(began)
        raise Unavailable("The database does not answer") from None

    def close(self) -> None:
        self._breaker.close()
        with self._lock:
            if self._methods is not None:
                self._methods.channel.close()
                self._methods = None

    def _connected(self) -> Methods:
        with self._lock:
            if self._methods is None:
                self._methods = Methods(self._database, self._tokens)
            return self._methods

    def _probe(self) -> None:
        """Ask over a new channel for a document that is not there; keep the channel."""
        fresh = Methods(self._database, self._tokens)
        request = _BatchGet(
            database=self._database, documents=[f"{self._database}/documents/probes/none"]
        )
        try:
            list(fresh.batch_get(request, timeout=_TRY))
        except grpc.RpcError as error:
            if is_transient(error):
                fresh.channel.close()
                raise
        with self._lock:
            # The old one is not closed: it ends with the last call that holds it.
            self._methods = fresh


class Methods:
    """The four methods in use, on one channel."""

    def __init__(self, database: str, tokens: AccessTokens | None) -> None:
        self.channel = make_channel(_TARGET, _EMULATOR, tokens)
        metadata = [
            ("x-goog-request-params", f"database={quote(database, safe='')}"),
            ("google-cloud-resource-prefix", database),
        ]
        if _EMULATOR in os.environ:
            # It runs with deny-all rules; this is its documented way past them.
            metadata.append(("authorization", "Bearer owner"))
        service = "/google.firestore.v1.Firestore/"
        batch_get = streamed(self.channel, f"{service}BatchGetDocuments", _BatchGetAnswer)
        run_query = streamed(self.channel, f"{service}RunQuery", _RunQueryAnswer)
        run_aggregation = streamed(
            self.channel, f"{service}RunAggregationQuery", _RunAggregationAnswer
        )
        commit = unary(self.channel, f"{service}Commit", _CommitAnswer)
        self.batch_get = partial(batch_get, metadata=metadata)
        self.run_query = partial(run_query, metadata=metadata)
        self.run_aggregation = partial(run_aggregation, metadata=metadata)
        self.commit = partial(commit, metadata=metadata)
