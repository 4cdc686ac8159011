import { type QueryClient, useInfiniteQuery, useQuery } from "@tanstack/react-query";

import { api, body, isComing, type Medium, type MediumDetail } from "../api/client";
import { tell, tellProblem } from "../ui/notices";
import { saveFrom } from "./save";

export interface MediaPage {
  items: Medium[];
  nextCursor: string | null;
}

export interface Wanted {
  state?: "trashed" | "ready" | "rejected";
  type?: "image" | "document";
}

export function useMedia(wanted: Wanted) {
  return useInfiniteQuery({
    queryKey: ["media", wanted],
    queryFn: ({ pageParam, signal }) =>
      body(api.GET("/api/media", {
        params: { query: { ...wanted, limit: 100, ...(pageParam ? { cursor: pageParam } : {}) } },
        signal,
      })) as Promise<MediaPage>,
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: MediaPage) => page.nextCursor ?? undefined,
    // Links live five minutes; what is on its way is looked at more often.
    refetchInterval: ({ state }) =>
      state.data?.pages.some((page) => page.items.some(isComing)) ? 2000 : 240_000,
  });
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
