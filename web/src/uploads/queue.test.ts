import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { Server } from "./fake-server";
import type * as Queue from "./queue";
import * as saved from "./saved";

const server = { current: new Server() };

vi.mock("./world", () => ({
  get world() {
    return { ...server.current.world, keep: saved.keep, forget: saved.forget };
  },
}));

/** As a tab that was just opened has it. */
async function tab(): Promise<typeof Queue> {
  vi.resetModules();
  return import("./queue");
}

const files = (count: number) =>
  Array.from({ length: count }, (_, at) => new File([new Uint8Array(1000 + at)], `${at}.png`, { type: "image/png" }));

beforeEach(() => {
  // Of a Node that has locks, one tab's are no hindrance to a test's next one.
  vi.stubGlobal("navigator", {});
  server.current = new Server();
});
afterEach(() => saved.forgetAll());

describe("more files than are sent at once", () => {
  test("wait for their turn, and all arrive", async () => {
    const queue = await tab();
    let sending = 0;
    let most = 0;
    const { world } = server.current;
    const real = { ...world };
    world.put = async (...all) => {
      most = Math.max(most, ++sending);
      try {
        return await real.put(...all);
      } finally {
        sending--;
      }
    };
    const uploads = queue.add(files(8), "ada");
    await vi.waitFor(() => expect(uploads.map(({ phase }) => phase.name)).toEqual(Array(8).fill("ready")));
    expect(most).toBeLessThanOrEqual(3);
    await vi.waitFor(async () => expect(await saved.saved("ada")).toEqual([]));
  });

  test("are found by a reload, those too that waited for their turn", async () => {
    server.current.world.put = () => new Promise(() => {});
    const queue = await tab();
    queue.add(files(5), "ada", "task1");
    await vi.waitFor(async () => expect(await saved.saved("ada")).toHaveLength(5));
    await vi.waitFor(() => expect(server.current.media.size).toBe(3));
    server.current = new Server();
    const reloaded = await tab();
    await reloaded.continueSaved("ada");
    await vi.waitFor(() => expect(reloaded.current().map(({ phase }) => phase.name)).toEqual(Array(5).fill("ready")));
    expect(server.current.attached.map(([task]) => task)).toEqual(Array(5).fill("task1"));
  });

  test("are not announced when their person has signed out before their turn", async () => {
    let isQuiet = 0;
    const { world } = server.current;
    const real = { ...world };
    world.put = (_to, _file, _sent, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          isQuiet++;
          reject(new DOMException("aborted", "AbortError"));
        });
      });
    const queue = await tab();
    const uploads = queue.add(files(6), "ada");
    await vi.waitFor(() => expect(server.current.media.size).toBe(3));
    await queue.clear();
    await vi.waitFor(() => expect(isQuiet).toBe(3));
    // Whoever comes next has all the turns.
    world.put = (...all) => real.put(...all);
    const next = queue.add(files(3), "bob");
    await vi.waitFor(() => expect(next.map(({ phase }) => phase.name)).toEqual(Array(3).fill("ready")));
    expect(server.current.media.size).toBe(6);
    expect(uploads.slice(3).map(({ phase }) => phase.name)).toEqual(Array(3).fill("waiting"));
    expect(await saved.saved("ada")).toEqual([]);
  });

  test("are nobody's when their person signs out while they are looked for", async () => {
    server.current.world.put = () => new Promise(() => {});
    (await tab()).add(files(2), "ada");
    await vi.waitFor(async () => expect(await saved.saved("ada")).toHaveLength(2));
    server.current = new Server();
    const queue = await tab();
    const looking = queue.continueSaved("ada");
    queue.lay();
    await looking;
    const next = queue.add(files(1), "bob");
    await vi.waitFor(() => expect(next[0]!.phase.name).toBe("ready"));
    expect([queue.current().length, server.current.media.size]).toEqual([1, 1]);
  });

  test("do not wait for the scanner that looks at others", async () => {
    server.current.neverSettles = true;
    const queue = await tab();
    const uploads = queue.add(files(7), "ada");
    await vi.waitFor(() => expect(uploads.map(({ phase }) => phase.name)).toEqual(Array(7).fill("checking")));
    queue.lay();
  });
});

test("a picture that was taken off its task is not the task's any more", async () => {
  server.current.neverSettles = true;
  const queue = await tab();
  const [upload] = queue.add(files(1), "ada", "task1");
  await vi.waitFor(() => expect(upload!.isAttached).toBe(true));
  queue.detached(upload!.mediaId!);
  expect(upload!.task).toBeUndefined();
  await vi.waitFor(async () => expect((await saved.saved("ada"))[0]).not.toHaveProperty("task"));
  queue.lay();
});
