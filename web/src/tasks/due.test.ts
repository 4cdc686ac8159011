import { describe, expect, test } from "vitest";

import { endOf, isDay, writtenDay } from "./due";

describe("a day in a date field", () => {
  test("becomes the end of that day here, and that day again", () => {
    const end = new Date(endOf("2026-11-26"));
    expect([end.getFullYear(), end.getMonth(), end.getDate(), end.getHours()]).toEqual([2026, 10, 26, 23]);
    expect(writtenDay(endOf("2026-11-26"))).toBe("2026-11-26");
  });

  test("has four digits in its year, or the field would show nothing", () => {
    expect(writtenDay(new Date("0002-11-26T12:00:00").toISOString())).toBe("0002-11-26");
  });

  test.each(["", "0002-11-26", "0202-11-26", "1899-12-31", "9999-01-01", "2026-13-01", "12026-11-26", "2026-11"])(
    "%o is none that is meant", (text) => expect(isDay(text)).toBe(false),
  );

  test("is meant as soon as its year is whole", () => expect(isDay("2026-11-26")).toBe(true));
});
