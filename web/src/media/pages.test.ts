import { InfiniteQueryObserver, QueryClient } from "@tanstack/react-query";
import { describe, expect, onTestFinished, test } from "vitest";

import type { Medium } from "../api/client";
import { dueIn, type MediaPage, merged, type Pages, renewNewest, renewPage } from "./pages";

/** The newest has the highest number. */
function medium(number: number, state = "ready"): Medium {
  return { id: `m${number}`, state, createdAt: new Date(1e12 + number).toISOString() } as Medium;
}

function page(from: number, to: number, nextCursor: string | null = "next", askedAt = 0): MediaPage {
  const items = Array.from({ length: from - to + 1 }, (_, at) => medium(from - at));
  return { items, nextCursor, askedAt };
}

const ids = ({ items }: MediaPage) => items.map(({ id }) => id).join(" ");

describe("a page that is looked at anew", () => {
  test("grows by what came on top and loses nothing at its end", () => {
    expect(ids(merged(page(5, 3), page(7, 5)))).toBe("m7 m6 m5 m4 m3");
    expect(ids(merged(page(5, 3), page(20, 18)))).toBe("m20 m19 m18 m5 m4 m3");
  });

  test("loses what is gone, and takes nothing of the next page", () => {
    const fresh = { ...page(5, 1), items: [5, 3, 2, 1].map((number) => medium(number)) };
    expect(ids(merged(page(5, 3), fresh))).toBe("m5 m3");
  });

  test("shows anew what was restored in its middle", () => {
    const before = { ...page(5, 3), items: [medium(5), medium(3)] };
    expect(ids(merged(before, page(5, 3)))).toBe("m5 m4 m3");
  });

  test("that was the last one takes all, and an empty one too", () => {
    expect(ids(merged(page(5, 3, null), page(6, 1, null)))).toBe("m6 m5 m4 m3 m2 m1");
    expect(ids(merged(page(0, 1, null), page(2, 1, null)))).toBe("m2 m1");
    expect(ids(merged(page(5, 3, null), page(0, 1, null)))).toBe("");
  });

  test("is due soon while something is on its way, and else before its links end", () => {
    expect(dueIn(page(2, 1), 0)).toBe(240_000);
    expect(dueIn(page(2, 1), 999_999)).toBe(0);
    expect(dueIn({ ...page(2, 1), items: [medium(2, "scanning")] }, 500)).toBe(1500);
  });
});

function later() {
  let resolve: (answer: MediaPage) => void = () => {};
  const promise = new Promise<MediaPage>((done) => { resolve = done; });
  return { promise, resolve };
}

describe("the newest page of a list that is shown", () => {
  const queryKey = ["media", {}];

  function shown(first: () => Promise<MediaPage>): QueryClient {
    const client = new QueryClient();
    const list = new InfiniteQueryObserver<MediaPage, Error, Pages, typeof queryKey, string | undefined>(client, {
      queryKey, queryFn: first, retry: false, staleTime: Infinity,
      initialPageParam: undefined, getNextPageParam: (last: MediaPage) => last.nextCursor,
    });
    onTestFinished(list.subscribe(() => {}));
    return client;
  }

  const seen = (client: QueryClient) => client.getQueryData<Pages>(queryKey)?.pages[0];

  test("is not put back by an older answer that comes last", async () => {
    const client = shown(() => Promise.resolve(page(0, 1, null)));
    await client.refetchQueries({ queryKey });
    const [older, newer] = [later(), later()];
    const asked = [renewPage(client, {}, 0, () => older.promise), renewPage(client, {}, 0, () => newer.promise)];
    newer.resolve(page(1, 1, null, 2));
    await asked[1];
    older.resolve(page(0, 1, null, 1));
    await asked[0];
    expect(ids(seen(client)!)).toBe("m1");
  });

  test("is asked for once more when its first answer was on its way", async () => {
    const first = later();
    const client = shown(() => first.promise);
    const renewing = renewNewest(client, () => Promise.resolve(page(1, 1, null, 2)));
    first.resolve(page(0, 1, null, 1));
    await renewing;
    expect(ids(seen(client)!)).toBe("m1");
  });

  test("is due soon when nothing answered", async () => {
    const client = shown(() => Promise.resolve(page(0, 1, null, Date.now())));
    await client.refetchQueries({ queryKey });
    expect(dueIn(seen(client)!)).toBeGreaterThan(100_000);
    await renewNewest(client, () => Promise.reject(new Error("no answer")));
    expect(dueIn(seen(client)!)).toBeLessThanOrEqual(2000);
  });
});
