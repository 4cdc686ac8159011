import { expect, test } from "vitest";

import { putBack } from "./form";

test.each([
  ["Paint the fence", "", "Paint the fence"],
  ["Paint the fence", " ", "Paint the fence"],
  ["Paint the fence", "and the gate", "Paint the fence and the gate"],
])("%o goes back into a field with %o", (sent, typed, whole) => {
  expect(putBack(sent, typed)).toBe(whole);
});
