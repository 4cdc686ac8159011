// All media in justified rows, newest first. A page of them is one album of its own; far out of
// sight it is as high as before and empty, so that thousands scroll smoothly.

import { useQueryClient } from "@tanstack/react-query";
import { lazy, memo, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { RowsPhotoAlbum } from "react-photo-album";
import "react-photo-album/rows.css";
import { useLocation, useSearch } from "wouter";

import { isComing, type Medium } from "../api/client";
import { useMe } from "../app";
import { Failed, Waiting } from "../ui/failed";
import { useTitle } from "../ui/title";
import { DropZone, FileInput } from "../uploads/drop-zone";
import { add } from "../uploads/queue";
import { reasonWords } from "../uploads/tray";
import styles from "./media.module.css";
import { useNear, useWidth } from "./near";
import type { MediaPage, Wanted } from "./pages";
import { bytes, download, trash, useFreshPage, useMedia, useUsage } from "./queries";
import { Thumb } from "./thumb";

const Lightbox = lazy(() => import("./lightbox"));
type Kind = "all" | "image" | "document";

export default function GalleryPage({ open }: { open: string | undefined }) {
  useTitle("Pictures");
  const client = useQueryClient();
  const me = useMe().data;
  const [, go] = useLocation();
  const search = useSearch();
  const type = (["image", "document"] as const).find((one) => search === `type=${one}`);
  const wanted = useMemo<Wanted>(() => (type ? { type } : {}), [type]);
  const media = useMedia(wanted);
  const [place, width] = useWidth();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const items = media.data?.pages.flatMap((page) => page.items) ?? [];
  const choose = useCallback((id: string) => setChosen((before) => {
    const after = new Set(before);
    if (!after.delete(id)) after.add(id);
    return after;
  }), []);
  const show = useCallback((id: string) => go(`/media/${id}${search ? `?${search}` : ""}`), [go, search]);
  const take = (files: File[]) => { if (me) add(files, me.id); };
  const bin = async () => {
    const ids = [...chosen];
    setChosen(new Set());
    await trash(client, ids);
  };

  return (
    <DropZone take={take} className={styles.gallery}>
      <div className={styles.bar}>
        <h1>Pictures</h1>
        <Kinds type={type ?? "all"} go={go} />
        <label className={styles.pick}>
          <FileInput take={take} />
          <span>Upload</span>
        </label>
        <Usage />
      </div>
      {chosen.size ? (
        <div className={styles.selection} role="toolbar" aria-label="Selected">
          <span role="status">{chosen.size} selected</span>
          <button type="button" className="quiet bad" onClick={() => void bin()}>Into the trash</button>
          <button type="button" className="quiet" onClick={() => items.filter(({ id }) => chosen.has(id)).forEach(({ id, fileName }) => void download(id, fileName))}>Download</button>
          <button type="button" className="quiet" onClick={() => setChosen(new Set())}>Clear</button>
        </div>
      ) : null}
      {media.isError ? <Failed error={media.error} again={() => void (media.data ? media.fetchNextPage() : media.refetch())} /> : null}
      {media.isPending && !media.isError ? <Waiting failures={media.failureCount} /> : null}
      {media.isSuccess && items.length === 0 ? <p className={styles.hint}>{type === "document" ? "No documents yet." : "No pictures yet."} Drop, paste or upload some here.</p> : null}
      <div ref={place}>
        {width ? media.data?.pages.map((page, at) => (
          <Album key={(media.data.pageParams[at] as string | undefined) ?? "first"} wanted={wanted} at={at} page={page} width={width} chosen={chosen} choose={choose} show={show} />
        )) : null}
      </div>
      <More more={media.hasNextPage && !media.isFetchingNextPage && !media.isError} load={() => void media.fetchNextPage()} />
      {open ? (
        <Suspense>
          <Lightbox items={items.filter(({ state }) => state === "ready")} open={open} show={show} close={() => go(`/media${search ? `?${search}` : ""}`)} />
        </Suspense>
      ) : null}
    </DropZone>
  );
}

function Kinds({ type, go }: { type: Kind; go: (to: string) => void }) {
  return (
    <label><span className="unseen">Kind</span>
      <select value={type} onChange={({ target }) => go(target.value === "all" ? "/media" : `/media?type=${target.value}`)}>
        <option value="all">everything</option>
        <option value="image">pictures</option>
        <option value="document">documents</option>
      </select>
    </label>
  );
}

function Usage() {
  const usage = useUsage().data;
  // Its room is kept, or everything below would move when it is there.
  if (!usage) return <span className={styles.usage} aria-hidden="true" />;
  return (
    <span className={styles.usage}>
      <meter min={0} max={usage.limit} value={usage.used + usage.reserved} aria-label="Room taken" />
      {bytes(usage.used)} of {bytes(usage.limit)}
    </span>
  );
}

interface AlbumProps {
  wanted: Wanted;
  at: number;
  page: MediaPage;
  width: number;
  chosen: ReadonlySet<string>;
  choose: (id: string) => void;
  show: (id: string) => void;
}

/** What has no dimensions yet, or never will, stands in a square. */
const SQUARE = { width: 320, height: 320 };

const Album = memo(function Album({ wanted, at, page, width, chosen, choose, show }: AlbumProps) {
  const [placeRef, isNear, height] = useNear(width);
  useFreshPage(wanted, at, page, isNear);
  const photos = page.items.map((medium) => ({
    key: medium.id, src: medium.thumbnailUrl ?? "", alt: medium.fileName, medium,
    width: medium.width ?? SQUARE.width, height: medium.height ?? SQUARE.height,
  }));
  const setHeight = (element: HTMLElement | null) => {
    if (element) element.style.height = isNear ? "" : `${height}px`;
    placeRef.current = element;
  };
  return (
    <section ref={setHeight} className={styles.album} aria-label={at ? `Pictures, page ${at + 1}` : "Pictures"}>
      {isNear ? (
        <RowsPhotoAlbum
          photos={photos} targetRowHeight={180} spacing={8} rowConstraints={{ singleRowMaxHeight: width < 640 ? 320 : 240 }}
          defaultContainerWidth={width}
          render={{
            photo: (_, { photo, width: wide, height: high }) => (
              <Tile key={photo.key} medium={photo.medium} width={wide} height={high} isChosen={chosen.has(photo.key)} choose={choose} show={show} />
            ),
          }}
        />
      ) : null}
    </section>
  );
});

interface TileProps {
  medium: Medium;
  width: number;
  height: number;
  isChosen: boolean;
  choose: (id: string) => void;
  show: (id: string) => void;
}

function Tile({ medium, width, height, isChosen, choose, show }: TileProps) {
  const place = useRef<HTMLDivElement>(null);
  const setSize = (element: HTMLDivElement | null) => {
    place.current = element;
    if (!element) return;
    element.style.width = `${width}px`;
    element.style.height = `${height}px`;
  };
  const ready = medium.state === "ready";
  return (
    <div ref={setSize} className={styles.tile} data-state={medium.state} data-chosen={isChosen || undefined}>
      <button type="button" className={styles.open} disabled={!ready} aria-label={`Open ${medium.fileName}`} onClick={() => show(medium.id)}>
        <Thumb alt={medium.fileName} url={medium.thumbnailUrl} thumbhash={medium.thumbhash} color={medium.color} />
        {medium.thumbnailUrl ? null : <span className={styles.sheet}>{medium.fileName}</span>}
      </button>
      {isComing(medium) ? <span className={styles.state}>{medium.state === "scanning" ? "Checking" : "Arriving"}</span> : null}
      {medium.state === "rejected" ? <span className={styles.state}>{reasonWords(medium.reason)}</span> : null}
      {medium.taskCount ? <span className={styles.count}>on {medium.taskCount} {medium.taskCount === 1 ? "task" : "tasks"}</span> : null}
      <input type="checkbox" className={styles.choose} checked={isChosen} aria-label={`Select ${medium.fileName}`} onChange={() => choose(medium.id)} />
    </div>
  );
}

/** Loads the next page shortly before its place comes into sight. */
export function More({ more, load }: { more: boolean; load: () => void }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!more) return undefined;
    const observer = new IntersectionObserver(([entry]) => { if (entry?.isIntersecting) load(); }, { rootMargin: "800px" });
    observer.observe(place.current!);
    return () => observer.disconnect();
  });
  return <div ref={place} />;
}
