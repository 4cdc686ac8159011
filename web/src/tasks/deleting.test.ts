import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { deleted, deleteLater, deleteNow } from "./deleting";

const told: string[] = [];
/** Told to a server that answers `isDone`. */
const to = (id: string, isDone = true) => deleteLater(id, async () => {
  told.push(id);
  return isDone;
});

beforeEach(() => vi.useFakeTimers());
afterEach(async () => {
  await deleteNow();
  vi.useRealTimers();
  told.length = 0;
});

test("two tasks that are deleted one after the other stay away, and the server is told of both", async () => {
  to("a1");
  to("a2");
  expect([deleted().has("a1"), deleted().has("a2"), told]).toEqual([true, true, []]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([deleted().has("a1"), deleted().has("a2"), told]).toEqual([true, true, ["a1", "a2"]]);
});

test("one that is taken back is shown again, and the other one is deleted all the same", async () => {
  const undo = to("b1");
  to("b2");
  expect(undo()).toBe(true);
  expect([deleted().has("b1"), deleted().has("b2")]).toEqual([false, true]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told).toEqual(["b2"]);
});

test("taking it back comes too late when the server was told", async () => {
  const undo = to("c1");
  await deleteNow();
  expect([undo(), deleted().has("c1"), told]).toEqual([false, true, ["c1"]]);
});

test("one that the server refuses to delete is shown again", async () => {
  to("d1", false);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([deleted().has("d1"), told]).toEqual([false, ["d1"]]);
});

test("leaving tells the server at once, and once", async () => {
  to("e1");
  await Promise.all([deleteNow(), deleteNow()]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told).toEqual(["e1"]);
});
