// Tasks as this tab knows them, and what a person does with them: shown at once, told to the
// server, taken back when it refuses.

import {
  type InfiniteData, keepPreviousData, type QueryClient, useInfiniteQuery, useMutation, useQuery, useQueryClient,
} from "@tanstack/react-query";
import { useCallback } from "react";

import { api, body, isComing, type Task, tagged } from "../api/client";
import { isWorthAnother, Problem } from "../api/problem";
import { tell, tellProblem } from "../ui/notices";
import { deleteLater, useDeleted } from "./deleting";
import { asked, type Filter } from "./filters";
import { moved, type Place } from "./places";

export interface Page {
  items: Task[];
  nextCursor: string | null;
}
type Pages = InfiniteData<Page, string | undefined>;
export type Change = Partial<Pick<Task, "title" | "description" | "status" | "priority" | "labels" | "dueAt" | "cover">>;
export interface Draft {
  title: string;
  mediaIds?: string[];
}

const LIST = ["tasks"];
const one = (id: string) => ["task", id];

export function useTasks(filter: Filter, now: Date) {
  const query = asked(filter, now);
  const gone = useDeleted();
  const select = useCallback((pages: Pages) => patched(pages, (task) => (gone.has(task.id) ? null : task)), [gone]);
  return useInfiniteQuery({
    select,
    // Until another list is there, the one before it stays.
    placeholderData: keepPreviousData,
    queryKey: [...LIST, query],
    queryFn: ({ pageParam, signal }) =>
      body(api.GET("/api/tasks", {
        params: { query: { ...query, limit: 50, ...(pageParam ? { cursor: pageParam } : {}) } },
        signal,
      })) as Promise<Page>,
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: Page) => page.nextCursor ?? undefined,
  });
}

export function useTask(id: string) {
  return useQuery({
    queryKey: one(id),
    queryFn: async ({ signal }) => {
      const params = { path: { task_id: id } };
      // The tag belongs to the fields; the pictures come with their own, short-lived links.
      const [{ data, etag }, full] = await Promise.all([
        tagged(api.GET("/api/tasks/{task_id}", { params, signal })),
        body(api.GET("/api/tasks/{task_id}/with-media", { params, signal })),
      ]);
      return { ...full, ...data, etag };
    },
    // Links to pictures live five minutes.
    refetchInterval: ({ state }) => (state.data?.media.some(isComing) ? 2000 : 240_000),
  });
}

export function useCreate() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ draft, key }: { draft: Draft; key: string }) =>
      body(api.POST("/api/tasks", {
        params: { header: { "Idempotency-Key": key } }, body: draft,
      })) as Promise<Task>,
    retry: isWorthAnother,
    onSettled: () => client.invalidateQueries({ queryKey: LIST }),
  });
}

/** `etag` makes the change meet exactly the state that was seen; without it the last one wins. */
export function useChange() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, change, etag }: { id: string; change: Change; etag?: string | null }) =>
      tagged(api.PATCH("/api/tasks/{task_id}", {
        params: { path: { task_id: id }, ...(etag ? { header: { "If-Match": etag } } : {}) },
        body: change,
      })),
    onMutate: async ({ id, change }) => {
      await client.cancelQueries({ queryKey: LIST });
      const before = client.getQueriesData<Pages>({ queryKey: LIST });
      patchLists(client, (task) => (task.id === id ? { ...task, ...change } : task));
      client.setQueryData(one(id), (task: object | undefined) => task && { ...task, ...change });
      return before;
    },
    onError: (_error, _change, before) => before?.forEach(([key, data]) => client.setQueryData(key, data)),
    onSettled: (_data, _error, { id }) =>
      Promise.all([
        client.invalidateQueries({ queryKey: LIST }),
        client.invalidateQueries({ queryKey: one(id) }),
      ]),
  });
}

interface Move {
  /** As it was shown when it was taken. */
  task: Task;
  status: Task["status"];
  place: Place | null;
}

/** What this page itself wrote last of each task it moved. */
const wroteLast = new Map<string, string>();
const standing = ({ status, position }: Pick<Task, "status" | "position">) => `${status} ${position}`;

/** A move meets the task where it was shown: what others write meanwhile in its words does no
 * harm to it, but if it was moved by somebody else, this move is not made. */
export function useMove() {
  const client = useQueryClient();
  return useMutation({
    mutationKey: ["move"],
    scope: { id: "move" },
    mutationFn: carryOutMove,
    onMutate: async ({ task, status, place }) => {
      await client.cancelQueries({ queryKey: LIST });
      const before = client.getQueriesData<Pages>({ queryKey: LIST });
      patchLists(client, (one) => (one.id === task.id ? { ...one, status } : one));
      if (place) reorderLists(client, task.id, place);
      return before;
    },
    onSuccess: ({ status, position }, { task }) =>
      patchLists(client, (one) => (one.id === task.id ? { ...one, status, position } : one)),
    onError: (error, _move, before) => {
      before?.forEach(([key, data]) => client.setQueryData(key, data));
      tellProblem(error);
    },
    onSettled: async (_data, _error, { task }) => {
      await client.invalidateQueries({ queryKey: one(task.id) });
      // While another move is on its way, what the server has is not what is shown.
      if (client.isMutating({ mutationKey: ["move"] }) <= 1) await client.invalidateQueries({ queryKey: LIST });
    },
  });
}

async function carryOutMove({ task, status, place }: Move): Promise<Task> {
  const path = { task_id: task.id };
  for (let attempt = 1; ; attempt++) {
    const present = await tagged(api.GET("/api/tasks/{task_id}", { params: { path } }));
    if (![standing(task), wroteLast.get(task.id)].includes(standing(present.data))) {
      throw new Problem(412, "stale", "Somebody else moved this task meanwhile. This is where it stands now.");
    }
    try {
      let { data, etag } = present;
      const wrote = (answer: typeof present) => {
        ({ data, etag } = answer);
        wroteLast.set(task.id, standing(data));
      };
      const params = () => ({ path, ...(etag ? { header: { "If-Match": etag } } : {}) });
      if (status !== data.status) wrote(await tagged(api.PATCH("/api/tasks/{task_id}", { params: params(), body: { status } })));
      if (place) wrote(await tagged(api.PUT("/api/tasks/{task_id}/position", { params: params(), body: place })));
      return data;
    } catch (error) {
      // Somebody wrote between the two requests; whether that matters is seen by looking again.
      if (!(error instanceof Problem) || error.status !== 412 || attempt === 3) throw error;
    }
  }
}

/** Milliseconds; a sign-out waits for it. */
const LONGEST_DELETION = 10_000;

/** What it does to the lists and to the server: deleting.ts. */
export function useDelete() {
  const client = useQueryClient();
  return (task: Task) => {
    const undo = deleteLater(task.id, async () => {
      try {
        await body(api.DELETE("/api/tasks/{task_id}", {
          params: { path: { task_id: task.id } }, keepalive: true, signal: AbortSignal.timeout(LONGEST_DELETION),
        }));
        return true;
      } catch (error) {
        tellProblem(error);
        return false;
      } finally {
        void client.invalidateQueries({ queryKey: LIST });
      }
    });
    tell(`“${short(task.title)}” was deleted.`, () => {
      if (!undo()) tell("It was too late to take it back.");
    });
  };
}

export async function attach(client: QueryClient, task: string, mediaId: string): Promise<void> {
  await body(api.POST("/api/tasks/{task_id}/attach-media", {
    params: { path: { task_id: task } }, body: { mediaId },
  }));
  await changedPictures(client, task);
}

export async function detach(client: QueryClient, task: string, media: string): Promise<void> {
  await body(api.DELETE("/api/tasks/{task_id}/detach-media/{media_id}", {
    params: { path: { task_id: task, media_id: media } },
  }));
  await changedPictures(client, task);
}

export function changedPictures(client: QueryClient, task: string): Promise<unknown> {
  return Promise.all([
    client.invalidateQueries({ queryKey: one(task) }),
    client.invalidateQueries({ queryKey: LIST }),
    client.invalidateQueries({ queryKey: ["media"] }),
  ]);
}

function patchLists(client: QueryClient, each: (task: Task) => Task): void {
  client.setQueriesData<Pages>({ queryKey: LIST }, (pages) => pages && patched(pages, each));
}

function patched(pages: Pages, each: (task: Task) => Task | null): Pages {
  const renewed = (page: Page) => ({ ...page, items: page.items.map(each).filter((task) => task !== null) });
  return { ...pages, pages: pages.pages.map(renewed) };
}

/** The order by hand, over all pages; each page keeps its length. */
function reorderLists(client: QueryClient, id: string, place: Place): void {
  for (const [key, pages] of client.getQueriesData<Pages>({ queryKey: LIST })) {
    if (!pages || !isByHand(key[1])) continue;
    const tasks = moved(pages.pages.flatMap(({ items }) => items), id, place);
    client.setQueryData<Pages>(key, {
      ...pages,
      pages: pages.pages.map((page) => ({ ...page, items: tasks.splice(0, page.items.length) })),
    });
  }
}

function isByHand(query: unknown): boolean {
  return typeof query === "object" && query !== null && "sort" in query && query.sort === "position";
}

export function short(title: string): string {
  return title.length > 40 ? `${title.slice(0, 39)}…` : title;
}
