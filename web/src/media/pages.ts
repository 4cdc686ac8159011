// A gallery of thousands is many pages. Each is looked at anew by itself: what is on its way every
// two seconds, the others before their links run out, and only where somebody can see them.

import type { InfiniteData, QueryClient } from "@tanstack/react-query";

import { api, body, isComing, type Medium } from "../api/client";

export interface Wanted {
  state?: "trashed" | "ready" | "rejected";
  type?: "image" | "document";
}

export interface MediaPage {
  items: Medium[];
  nextCursor: string | null;
  /** Milliseconds since 1970; links are five minutes good from then on. */
  askedAt: number;
}

export type Pages = InfiniteData<MediaPage, string | undefined>;

const SOON = 2000;
const BEFORE_LINKS_END = 240_000;

export async function pageOf(wanted: Wanted, cursor: string | undefined, signal?: AbortSignal): Promise<MediaPage> {
  const askedAt = Date.now();
  const query = { ...wanted, limit: 100, ...(cursor ? { cursor } : {}) };
  const page = await body(api.GET("/api/media", { params: { query }, ...(signal ? { signal } : {}) }));
  return { ...page, askedAt };
}

/** Milliseconds until a page that is in sight is to be looked at anew. */
export function dueIn(page: MediaPage, now = Date.now()): number {
  return Math.max(0, page.askedAt + (page.items.some(isComing) ? SOON : BEFORE_LINKS_END) - now);
}

export async function renewPage(client: QueryClient, wanted: Wanted, at: number, ask = pageOf): Promise<void> {
  const key = ["media", wanted];
  const before = client.getQueryData<Pages>(key);
  if (!before?.pages[at]) return;
  const cursor = before.pageParams[at];
  const fresh = await ask(wanted, cursor);
  changePage(client, key, at, (page, its) => {
    // Meanwhile the whole list may have been asked for anew, with other pages; and of two answers
    // the older one may come last.
    return its !== cursor || page.askedAt > fresh.askedAt ? page : merged(page, fresh);
  });
}

function changePage(
  client: QueryClient, key: readonly unknown[], at: number,
  change: (page: MediaPage, cursor: string | undefined) => MediaPage,
): void {
  client.setQueryData<Pages>(key, (data) => data && {
    ...data,
    pages: data.pages.map((page, index) => (index === at ? change(page, data.pageParams[at]) : page)),
  });
}

/** The page with what is known now. Its end stays, since the next page begins there: what came on
 * top makes it longer, and what the new answer has beyond that end is the next page's. */
export function merged(page: MediaPage, fresh: MediaPage): MediaPage {
  const end = page.items.at(-1);
  const seen = fresh.items.at(-1);
  const known = new Set(fresh.items.map(({ id }) => id));
  // Older than all of the new answer: pushed out by what came on top, and not gone.
  const pushed = page.items.filter((one) => !known.has(one.id) && fresh.nextCursor !== null && seen && isBehind(one, seen));
  const own = fresh.items.filter((one) => !end || page.nextCursor === null || !isBehind(one, end));
  return { items: [...own, ...pushed], nextCursor: page.nextCursor, askedAt: fresh.askedAt };
}

/** In the order of the list: the newest first, and by id where two are of one moment. */
function isBehind(one: Medium, other: Medium): boolean {
  const [mine, others] = [momentOf(one), momentOf(other)];
  return mine === others ? one.id < other.id : mine < others;
}

/** Sorts as text: a whole second is written without a fraction, and "Z" would stand behind one. */
function momentOf({ createdAt }: Medium): string {
  return createdAt.replace("Z", "");
}

/** New media stand on the first page, so that is what is looked at when one arrives. */
export async function renewNewest(client: QueryClient, ask = pageOf): Promise<void> {
  const shown = client.getQueryCache().findAll({ queryKey: ["media"], type: "active" });
  await Promise.all(shown.map(({ queryKey }) => renewFirst(client, queryKey, ask)));
}

async function renewFirst(client: QueryClient, queryKey: readonly unknown[], ask: typeof pageOf): Promise<void> {
  try {
    // An answer that is still on its way was asked for too early.
    if (!client.getQueryData(queryKey)) await client.refetchQueries({ queryKey, exact: true });
    await renewPage(client, queryKey[1] as Wanted, 0, ask);
  } catch {
    // Who shows the page asks again soon, until it is answered.
    const askedAt = Date.now() - BEFORE_LINKS_END + SOON;
    changePage(client, queryKey, 0, (page) => ({ ...page, askedAt: Math.min(page.askedAt, askedAt) }));
  }
}

/** Out of all lists at once; the server is asked afterwards. */
export function without(client: QueryClient, ids: readonly string[]): void {
  client.setQueriesData<Pages>({ queryKey: ["media"] }, (data) => data && {
    ...data,
    pages: data.pages.map((page) => ({ ...page, items: page.items.filter(({ id }) => !ids.includes(id)) })),
  });
}

/** Whoever comes back later begins at the top, and not with thirty requests. */
export function keepFirst(client: QueryClient, wanted: Wanted): void {
  client.setQueryData<Pages>(["media", wanted], (data) => data && {
    pages: data.pages.slice(0, 1), pageParams: data.pageParams.slice(0, 1),
  });
}
