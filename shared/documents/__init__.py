"""Documents: the one way in which the domains keep state. Technical: knows no domain."""

from shared.documents.indexes import MissingIndex
from shared.documents.memory import MemoryDocuments
from shared.documents.model import (
    AlreadyExists,
    Count,
    Create,
    Delete,
    Document,
    DocumentStore,
    Order,
    PreconditionFailed,
    Set,
    Update,
    Where,
    Write,
)

__all__ = [
    "AlreadyExists",
    "Count",
    "Create",
    "Delete",
    "Document",
    "DocumentStore",
    "MemoryDocuments",
    "MissingIndex",
    "Order",
    "PreconditionFailed",
    "Set",
    "Update",
    "Where",
    "Write",
]
