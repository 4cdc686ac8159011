"""What a person can do with media that are there: see, load, throw away. Not yours is the same
as missing, and so is what was thrown away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from shared.documents import cursors
from shared.errors import Conflict, NotFound, Unavailable
from shared.events.model import Event
from shared.ids import checked_id, derived_id
from shared.media.api_model import MediaDetail, MediaFilter, MediaPage, MediaView, RenditionView
from shared.media.model import COMING, VISIBLE, MediaDeleted, MediaTrashed, Medium, State
from shared.media.shares import NoShares, Shares
from shared.media.store import MediaStore, PreconditionFailed
from shared.media.uses import NoTasks, TaskUse

# The smallest rendition is what lists and tasks show.
_THUMBNAIL = 320
# How long a person can have it back.
TRASH = timedelta(days=30)
# Each round loses only to a writer that moved the state forward, which happens three times.
_ROUNDS = 4


class ReadLinks(Protocol):
    """Signed URLs that live a few minutes; raises errors.Unavailable."""

    def of(self, bucket: str, names: Sequence[str]) -> list[str]: ...

    def attachment(self, bucket: str, name: str, file_name: str, content_type: str) -> str: ...


class Gallery:
    """`media_bucket` holds the originals and may be left out by who only shows renditions."""

    def __init__(
        self,
        store: MediaStore,
        links: ReadLinks,
        *,
        renditions_bucket: str,
        media_bucket: str = "",
        shares: Shares | None = None,
        uses: TaskUse | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._links = links
        self._renditions = renditions_bucket
        self._media = media_bucket
        self._shares = shares or NoShares()
        self._uses = uses or NoTasks()
        self._clock = clock

    def read(self, user: str, media_id: str, task: str | None = None) -> MediaDetail:
        """With `task`, also what somebody else attached to that task."""
        return self.detail(self.seen(user, media_id, task), user)

    def detail(self, medium: Medium, user: str) -> MediaDetail:
        made = medium.fields.get("renditions", ())
        urls = self._links.of(
            self._renditions, [medium.rendition_name(one["size"]) for one in made]
        )
        renditions = tuple(
            RenditionView.model_construct(
                size=one["size"],
                width=one["width"],
                height=one["height"],
                animated=one["animated"],
                url=url,
            )
            for one, url in zip(made, urls, strict=True)
        )
        thumbnail = next((r.url for r in renditions if r.size == _THUMBNAIL), None)
        # Whoever sees it through a task knows of that one; what else its owner does is not told.
        is_own = medium.owner == user
        tasks = self._uses.counts([medium.id]).get(medium.id, 0) if is_own else 1
        return MediaDetail.model_construct(
            **_values(medium, thumbnail, tasks), renditions=renditions
        )

    def find(self, owner: str, wanted: MediaFilter) -> MediaPage:
        scope = ("media", owner, wanted.state, wanted.type, wanted.task)
        after = cursors.decode(wanted.cursor, scope) if wanted.cursor else None
        # One more than asked tells whether there is a next page without a count.
        most = wanted.limit + 1
        if wanted.task is None:
            found = self._store.find(owner, wanted.state, wanted.type, after, most)
        else:
            found = self._on_task(owner, wanted, after)[:most]
        page = found[: wanted.limit]
        last = page[-1] if len(found) > len(page) else None
        counts = self._uses.counts([medium.id for medium in page])
        return MediaPage.model_construct(
            items=tuple(self._views(page, counts)),
            next_cursor=cursors.encode(last.fields["createdAt"], last.id, scope) if last else None,
        )

    def _on_task(
        self, owner: str, wanted: MediaFilter, after: tuple[datetime, str] | None
    ) -> list[Medium]:
        """A task carries a hundred media, so they are sorted here."""
        states = VISIBLE if wanted.state is None else (wanted.state,)
        media_ids = self._uses.media_of(owner, checked_id(str(wanted.task)))
        found = [
            one
            for one in self._store.get_all(media_ids)
            if one.owner == owner
            and one.state in states
            and wanted.type in (None, one.fields.get("kind"), one.fields["contentType"])
            and (after is None or (one.fields["createdAt"], one.id) < after)
        ]
        return sorted(found, key=lambda one: (one.fields["createdAt"], one.id), reverse=True)

    def pictures(self, media: Sequence[tuple[str, str]]) -> Sequence[MediaView]:
        """For tasks: those of `media`, as (id, owner), that are there, in that order."""
        owners = dict(media)
        found = self._store.get_all(list(owners))
        return self._views([m for m in found if m.owner == owners[m.id] and m.state in VISIBLE], {})

    def are_attachable(self, owner: str, media_ids: Sequence[str]) -> bool:
        """For tasks: a picture that is on its way may be attached, a rejected one not."""
        found = self._store.get_all(media_ids)
        return len(found) == len(media_ids) and all(
            one.owner == owner and one.state in (*COMING, "ready") for one in found
        )

    def download_url(self, user: str, media_id: str, task: str | None = None) -> str:
        medium = self._ready(user, media_id, task)
        fields = medium.fields
        return self._links.attachment(
            self._media, medium.media_name, fields["fileName"], fields["contentType"]
        )

    def thumbnail_url(self, user: str, media_id: str, size: int, task: str | None = None) -> str:
        """Raises NotFound for a document too: it has no preview."""
        medium = self._ready(user, media_id, task)
        if not medium.has_renditions:
            raise NotFound
        return self._links.of(self._renditions, [medium.rendition_name(size)])[0]

    def delete(self, owner: str, media_id: str) -> None:
        """A ready medium goes to the trash; what never became ready is given up."""
        for _ in range(_ROUNDS):
            medium = self.own(owner, media_id)
            state: State = "trashed" if medium.state == "ready" else "deleted"
            departure = self._departure(medium, state)
            now = departure.occurred_at
            fields = {"trashedAt": now, "eraseAt": now + TRASH} if state == "trashed" else {}
            try:
                self._store.change(medium, state, fields, departure)
            except PreconditionFailed:
                continue
            return
        raise Unavailable

    def cancel(self, owner: str, media_id: str) -> None:
        """Give up an upload; what still arrives for it deletes itself. Raises Conflict when it
        is no longer waiting for one, NotFound when it was given up already."""
        medium = self.own(owner, media_id)
        if medium.state == "pending":
            try:
                self._store.change(medium, "deleted", {}, self._departure(medium, "deleted"))
            except PreconditionFailed:
                self.own(owner, media_id)
            else:
                return
        raise Conflict("This upload has arrived already; delete the medium instead")

    def own(self, owner: str, media_id: str) -> Medium:
        """Raises NotFound for what is missing, another's, or thrown away."""
        medium = self._store.get(checked_id(media_id))
        if medium is None or medium.owner != owner or medium.state not in VISIBLE:
            raise NotFound
        return medium

    def seen(self, user: str, media_id: str, task: str | None) -> Medium:
        """Own, or carried by the task where it was attached by whose it is. Raises NotFound."""
        if task is None:
            return self.own(user, media_id)
        by = self._shares.attached_by(user, task, checked_id(media_id))
        if by is None:
            raise NotFound
        return self.own(by, media_id)

    def _ready(self, user: str, media_id: str, task: str | None) -> Medium:
        medium = self.seen(user, media_id, task)
        if medium.state in COMING:
            raise Conflict("This medium is not ready yet")
        if medium.state != "ready":
            raise Conflict("This medium was rejected and cannot be read")
        return medium

    def _views(self, media: Sequence[Medium], counts: Mapping[str, int]) -> list[MediaView]:
        # In the trash too: a person must see what there is to be restored.
        shown = [one for one in media if one.state in ("ready", "trashed") and one.has_renditions]
        urls = self._links.of(self._renditions, [one.rendition_name(_THUMBNAIL) for one in shown])
        by_id = {one.id: url for one, url in zip(shown, urls, strict=True)}
        return [
            MediaView.model_construct(**_values(one, by_id.get(one.id), counts.get(one.id, 0)))
            for one in media
        ]

    def _departure(self, medium: Medium, state: State) -> Event:
        kind = MediaTrashed if state == "trashed" else MediaDeleted
        return kind(
            id=derived_id(kind.type, medium.id, medium.etag),
            occurred_at=self._clock(),
            media_id=medium.id,
            owner=medium.owner,
        )


def _values(medium: Medium, thumbnail_url: str | None, task_count: int) -> dict[str, Any]:
    fields = medium.fields
    return {
        "id": medium.id,
        "state": medium.state,
        "reason": fields.get("reason"),
        "file_name": fields["fileName"],
        "content_type": fields["contentType"],
        "size": fields["size"],
        "width": fields.get("width"),
        "height": fields.get("height"),
        "thumbhash": fields.get("thumbhash"),
        "color": fields.get("color"),
        "captured_at": fields.get("capturedAt"),
        "thumbnail_url": thumbnail_url,
        "task_count": task_count,
        "created_at": fields["createdAt"],
        "updated_at": fields["updatedAt"],
        "erase_at": fields.get("eraseAt"),
    }
