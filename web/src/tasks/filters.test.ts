import { expect, test } from "vitest";

import { dayWords, type Due, dueBetween, NO_DUE, readDue, writtenDue } from "./due";
import { asked, isNarrowed, PLAIN, read, written } from "./filters";

/** A Wednesday. */
const NOW = new Date(2026, 10, 25, 15, 30);

test("a filter survives the way through the URL", () => {
  const due: Due = { when: "between", from: "2026-11-01", to: "" };
  const filter = { ...PLAIN, view: "board" as const, q: "röntgen & co", status: "done" as const, label: "a b", due };
  expect(read(written(filter))).toEqual(filter);
});

test("what is plain is not written", () => {
  expect(written(PLAIN)).toBe("");
});

test("a URL that was made up is read as plain", () => {
  expect(read("?status=%3Cscript%3E&sort=__proto__&view=1&scope=x&due=never")).toEqual(PLAIN);
});

test.each(["", "   ", "--", "?!"])("a search for %j asks for nothing", (q) => {
  expect(asked({ ...PLAIN, q }, NOW)).not.toHaveProperty("q");
});

test.each(["overdue", "today", "week", "2026-11-01..2026-11-30", "..2026-11-30", "2026-11-01..", ".."])(
  "the due dates %s survive the way through the URL",
  (text) => expect(writtenDue(readDue(text))).toBe(text),
);

test.each(["x", "2026-11-01", "2026-13-45..", "1..2", "2026-11-01..2026-11-02..", "0001-01-01..", "9999-12-31.."])(
  "the due dates %s are none",
  (text) => expect(readDue(text)).toEqual(NO_DUE),
);

test("today is the whole day of whoever looks", () => {
  expect(dueBetween({ when: "today" }, NOW)).toEqual([new Date(2026, 10, 25), new Date(2026, 10, 26)]);
});

test.each([
  [new Date(2026, 10, 23), 23],
  [new Date(2026, 10, 29, 23, 59), 23],
  [new Date(2026, 10, 30), 30],
])("the week of %s begins on the %ith", (now, first) => {
  expect(dueBetween({ when: "week" }, now)).toEqual([new Date(2026, 10, first), new Date(2026, 10, first + 7)]);
});

test("a range holds both of its days", () => {
  const due: Due = { when: "between", from: "2026-11-01", to: "2026-11-01" };
  expect(dueBetween(due, NOW)).toEqual([new Date(2026, 10, 1), new Date(2026, 10, 2)]);
});

test("what is done is not late, unless it is asked for", () => {
  const late = { ...PLAIN, due: { when: "overdue" as const } };
  expect(asked(late, NOW)).toMatchObject({ dueTo: NOW.toISOString(), status: ["open", "doing"] });
  expect(asked({ ...late, status: "done" }, NOW)).toMatchObject({ status: ["done"] });
});

test("an order alone hides nothing", () => {
  expect(isNarrowed({ ...PLAIN, sort: "due", view: "board" })).toBe(false);
  expect(isNarrowed({ ...PLAIN, due: { when: "today" } })).toBe(true);
});

test("days nearby are said by their names, and others without the present year", () => {
  const said = (...day: [number, number, number]) => dayWords(new Date(...day), NOW);
  expect([said(2026, 10, 24), said(2026, 10, 25), said(2026, 10, 26)]).toEqual(["yesterday", "today", "tomorrow"]);
  expect(said(2026, 11, 24)).not.toContain("2026");
  expect(said(2027, 0, 1)).toContain("2027");
});
