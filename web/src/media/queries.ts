import { type QueryClient, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";

import { api, body, type MediumDetail } from "../api/client";
import { tell, tellProblem } from "../ui/notices";
import { keepFirst, type MediaPage, pageOf, renewPage, dueIn, type Wanted, without } from "./pages";
import { saveFrom } from "./save";

export function useMedia(wanted: Wanted) {
  const client = useQueryClient();
  const key = JSON.stringify(wanted);
  useEffect(() => () => keepFirst(client, JSON.parse(key) as Wanted), [client, key]);
  return useInfiniteQuery({
    queryKey: ["media", wanted],
    queryFn: ({ pageParam, signal }) => pageOf(wanted, pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: MediaPage) => page.nextCursor ?? undefined,
  });
}

/** Keeps a page fresh while it is in sight. */
export function useFreshPage(wanted: Wanted, at: number, page: MediaPage, isSeen: boolean): void {
  const client = useQueryClient();
  useEffect(() => {
    if (!isSeen) return undefined;
    let timer = 0;
    const look = (after: number) => {
      timer = window.setTimeout(() => {
        // The next look follows from what it brings; without an answer, a while later.
        renewPage(client, wanted, at).catch(() => look(5000));
      }, after);
    };
    look(dueIn(page));
    return () => clearTimeout(timer);
  }, [client, wanted, at, page, isSeen]);
}

export function useMedium(id: string | undefined, task?: string) {
  return useQuery({
    queryKey: ["medium", id, task],
    enabled: Boolean(id),
    queryFn: ({ signal }) =>
      body(api.GET("/api/media/{media_id}", {
        params: { path: { media_id: id! }, ...(task ? { query: { task } } : {}) }, signal,
      })) as Promise<MediumDetail>,
    staleTime: 200_000,
  });
}

export function useUsage() {
  return useQuery({ queryKey: ["usage"], queryFn: () => body(api.GET("/api/media/usage")) });
}

const refresh = (client: QueryClient) =>
  Promise.all(["media", "medium", "task", "tasks", "usage"].map((key) =>
    client.invalidateQueries({ queryKey: [key] })));

export async function trash(client: QueryClient, ids: string[]): Promise<void> {
  without(client, ids);
  if (!(await each(client, "/api/media/bulk-trash", ids))) return;
  const words = ids.length === 1 ? "The picture is in the trash." : `${ids.length} are in the trash.`;
  tell(words, () => void restore(client, ids));
}

export async function restore(client: QueryClient, ids: string[]): Promise<void> {
  if (await each(client, "/api/media/bulk-restore", ids)) tell("They are back.");
}

export async function erase(client: QueryClient, id: string): Promise<void> {
  try {
    await body(api.DELETE("/api/media/{media_id}", {
      params: { path: { media_id: id }, query: { permanent: true } },
    }));
  } catch (error) {
    tellProblem(error);
  }
  await refresh(client);
}

async function each(
  client: QueryClient, path: "/api/media/bulk-trash" | "/api/media/bulk-restore", ids: string[],
): Promise<boolean> {
  try {
    for (let at = 0; at < ids.length; at += 100) {
      const { items } = await body(api.POST(path, { body: { mediaIds: ids.slice(at, at + 100) } }));
      const failed = items.filter(({ problem }) => problem !== null);
      if (failed.length) tell(`${failed.length} could not be changed: ${failed[0]!.problem!.title}.`);
    }
    return true;
  } catch (error) {
    tellProblem(error);
    return false;
  } finally {
    await refresh(client);
  }
}

/** Asks for a link that is good for minutes and goes there; the browser saves it. */
export async function download(id: string, fileName: string, task?: string): Promise<void> {
  try {
    const query = task ? `?task=${encodeURIComponent(task)}` : "";
    await saveFrom(`/api/media/${encodeURIComponent(id)}/download${query}`, fileName);
  } catch (error) {
    tellProblem(error);
  }
}

export function bytes(size: number): string {
  if (size < 1000) return `${size} B`;
  if (size < 1e6) return `${(size / 1e3).toFixed(0)} kB`;
  return size < 1e9 ? `${(size / 1e6).toFixed(1)} MB` : `${(size / 1e9).toFixed(2)} GB`;
}
