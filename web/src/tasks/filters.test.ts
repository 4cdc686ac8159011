import { expect, test } from "vitest";

import { asked, PLAIN, read, written } from "./filters";

test("a filter survives the way through the URL", () => {
  const filter = { ...PLAIN, view: "board" as const, q: "röntgen & co", status: "done" as const, label: "a b" };
  expect(read(written(filter))).toEqual(filter);
});

test("what is plain is not written", () => {
  expect(written(PLAIN)).toBe("");
});

test("a URL that was made up is read as plain", () => {
  expect(read("?status=%3Cscript%3E&sort=__proto__&view=1&scope=x")).toEqual(PLAIN);
});

test.each(["", "   ", "--", "?!"])("a search for %j asks for nothing", (q) => {
  expect(asked({ ...PLAIN, q })).not.toHaveProperty("q");
});
