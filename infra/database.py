"""Firestore: the database, what it may be asked (indexes), what it forgets (TTL), its backups."""

from __future__ import annotations

import pulumi
from pulumi_gcp import firestore

from infra.apis import APIs
from infra.declaration import DECLARATION, Index
from infra.grants import DATABASE
from infra.settings import Settings

_DAY = 86_400


class Database(pulumi.ComponentResource):
    def __init__(self, settings: Settings, apis: APIs) -> None:
        super().__init__("snaptask:infra:Database", "database")
        self._apis = apis
        kept = settings.production
        self.database = firestore.Database(
            "database",
            name=DATABASE,
            location_id=settings.region,
            type="FIRESTORE_NATIVE",
            point_in_time_recovery_enablement="POINT_IN_TIME_RECOVERY_ENABLED",
            delete_protection_state=(
                "DELETE_PROTECTION_ENABLED" if kept else "DELETE_PROTECTION_DISABLED"
            ),
            # The provider's default leaves the database behind, and the next `up` fails on it.
            deletion_policy="ABANDON" if kept else "DELETE",
            opts=apis.options(self, "firestore", protect=kept),
        )
        for declared in DECLARATION.indexes:
            self._index(declared)
        for collection, field in DECLARATION.ttl_fields:
            firestore.Field(
                f"ttl-{collection}-{field}",
                database=self.database.name,
                collection=collection,
                field=field,
                ttl_config={},
                opts=apis.options(self, "firestore"),
            )
        firestore.BackupSchedule(
            "backup-daily",
            database=self.database.name,
            retention=f"{settings.backup_days * _DAY}s",
            daily_recurrence={},
            opts=apis.options(self, "firestore"),
        )
        self.register_outputs({})

    def _index(self, declared: Index) -> firestore.Index:
        # Two indexes may differ in a direction alone.
        name = "-".join(f"{field.strip('_')}-{way[:1].lower()}" for field, way in declared.fields)
        return firestore.Index(
            f"index-{declared.collection}-{name}",
            database=self.database.name,
            collection=declared.collection,
            query_scope="COLLECTION",
            fields=[_field(*one) for one in declared.told],
            opts=self._apis.options(self, "firestore"),
        )


def _field(path: str, order: str) -> firestore.IndexFieldArgs:
    if order in ("ASCENDING", "DESCENDING"):
        return firestore.IndexFieldArgs(field_path=path, order=order)
    return firestore.IndexFieldArgs(field_path=path, array_config="CONTAINS")
