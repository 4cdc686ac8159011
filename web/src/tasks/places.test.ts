import { expect, test } from "vitest";

import { type Column, gapOf, gapWords, moved, placeAt, stepped } from "./places";

const column = (id: string, ...tasks: string[]): Column => ({ id, name: id, tasks: tasks.map((one) => ({ id: one })) });
const BOARD = [column("open", "a", "b", "c"), column("doing"), column("done", "d")];

test("a task stands in the gap that it leaves", () => {
  expect(gapOf(BOARD, "b")).toEqual({ column: "open", index: 1 });
  expect(gapOf(BOARD, "gone")).toBeNull();
});

test("steps end at the ends of a column", () => {
  const at = (index: number) => ({ column: "open", index });
  expect(stepped(BOARD, "b", at(1), "up")).toEqual(at(0));
  expect(stepped(BOARD, "b", at(0), "up")).toEqual(at(0));
  expect(stepped(BOARD, "b", at(2), "down")).toEqual(at(2));
  expect(stepped(BOARD, "b", at(0), "last")).toEqual(at(2));
  expect(stepped(BOARD, "b", at(2), "first")).toEqual(at(0));
});

test("beside, a step keeps its height as far as the column has one", () => {
  const at = { column: "open", index: 2 };
  expect(stepped(BOARD, "c", at, "right")).toEqual({ column: "doing", index: 0 });
  expect(stepped(BOARD, "c", at, "left")).toEqual(at);
  expect(stepped(BOARD, "c", { column: "doing", index: 0 }, "right")).toEqual({ column: "done", index: 0 });
});

test("a place is told beside a task that is there, and never beside itself", () => {
  expect(placeAt(BOARD, "b", { column: "open", index: 0 })).toEqual({ before: "a" });
  expect(placeAt(BOARD, "b", { column: "open", index: 1 })).toEqual({ before: "c" });
  expect(placeAt(BOARD, "b", { column: "open", index: 2 })).toEqual({ after: "c" });
  expect(placeAt(BOARD, "b", { column: "doing", index: 0 })).toBeNull();
});

test.each([
  ["a", { before: "c" }, "bac"],
  ["c", { before: "a" }, "cab"],
  ["a", { after: "c" }, "bca"],
  ["b", { after: "b" }, "abc"],
  ["a", { before: "gone" }, "abc"],
  ["gone", { before: "a" }, "abc"],
])("%s %j makes %s", (id, place, expected) => {
  const tasks = [...BOARD[0]!.tasks];
  expect(moved(tasks, id, place as never).map((one) => one.id).join("")).toBe(expected);
});

test("places are counted from one, with the name of the column where there are several", () => {
  expect(gapWords(BOARD, "b", { column: "open", index: 2 })).toBe("open, place 3 of 3");
  expect(gapWords([BOARD[0]!], "b", { column: "open", index: 0 })).toBe("place 1 of 3");
});
