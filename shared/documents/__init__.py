"""Documents: the one way in which the domains keep state. Technical: knows no domain."""

from shared.documents.indexes import MissingIndex
from shared.documents.memory import MemoryDocuments
from shared.documents.model import (
    Add,
    AlreadyExists,
    Count,
    Create,
    Delete,
    Document,
    DocumentStore,
    Order,
    PreconditionFailed,
    Set,
    Sums,
    Update,
    Where,
    Write,
)

__all__ = [
    "Add",
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
    "Sums",
    "Update",
    "Where",
    "Write",
]
