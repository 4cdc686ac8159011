// Tasks as this tab knows them, and what a person does with them: shown at once, told to the
// server, taken back when it refuses.

import {
  type InfiniteData, type QueryClient, useInfiniteQuery, useMutation, useQuery, useQueryClient,
} from "@tanstack/react-query";

import { api, body, isComing, type Task, tagged } from "../api/client";
import { tell, tellProblem } from "../ui/notices";
import { asked, type Filter } from "./filters";

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

export function useTasks(filter: Filter) {
  const query = asked(filter);
  return useInfiniteQuery({
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
    retry: 3,
    onError: tellProblem,
    onSettled: () => client.invalidateQueries({ queryKey: LIST }),
  });
}

/** `etag` makes the change meet exactly the state that was seen; without it the last one wins. */
export function useChange() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, change, etag }: { id: string; change: Change; etag?: string | null }) =>
      body(api.PATCH("/api/tasks/{task_id}", {
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

/** Milliseconds in which a deletion can be taken back; it is told to the server after them. */
const REGRET = 6500;

/** Deleting waits, so that it can be undone: the server keeps no deleted tasks. */
export function useDelete() {
  const client = useQueryClient();
  return (task: Task) => {
    const before = client.getQueriesData<Pages>({ queryKey: LIST });
    patchLists(client, (one) => (one.id === task.id ? null : one));
    const timer = setTimeout(() => void carryOut(), REGRET);
    const restore = () => before.forEach(([key, data]) => client.setQueryData(key, data));
    const hasten = () => {
      clearTimeout(timer);
      void carryOut();
    };
    addEventListener("pagehide", hasten, { once: true });
    async function carryOut() {
      removeEventListener("pagehide", hasten);
      try {
        await body(api.DELETE("/api/tasks/{task_id}", {
          params: { path: { task_id: task.id } }, keepalive: true,
        }));
      } catch (error) {
        restore();
        tellProblem(error);
      }
      await client.invalidateQueries({ queryKey: LIST });
    }
    tell(`“${short(task.title)}” was deleted.`, () => {
      clearTimeout(timer);
      removeEventListener("pagehide", hasten);
      restore();
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

function patchLists(client: QueryClient, each: (task: Task) => Task | null): void {
  client.setQueriesData<Pages>({ queryKey: LIST }, (pages) =>
    pages && {
      ...pages,
      pages: pages.pages.map((page) => ({
        ...page,
        items: page.items.map(each).filter((task) => task !== null),
      })),
    },
  );
}

export function short(title: string): string {
  return title.length > 40 ? `${title.slice(0, 39)}…` : title;
}
