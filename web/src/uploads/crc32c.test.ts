import { expect, test } from "vitest";

import { base64, crc32cOf, extend } from "./crc32c";

// RFC 3720, appendix B.4, "CRC Examples".
test.each([
  [new Uint8Array(32), 0x8a9136aa],
  [new Uint8Array(32).fill(0xff), 0x62a8ab43],
  [Uint8Array.from({ length: 32 }, (_, at) => at), 0x46dd794e],
  [Uint8Array.from({ length: 32 }, (_, at) => 31 - at), 0x113fdb5c],
  [new TextEncoder().encode("123456789"), 0xe3069283],
])("the checksum of the RFC's example is right", (bytes, expected) => {
  expect(extend(0, bytes)).toBe(expected);
});

test("pieces of any length give the checksum of the whole", () => {
  const whole = Uint8Array.from({ length: 1000 }, (_, at) => (at * 7) & 0xff);
  for (const cut of [0, 1, 7, 8, 9, 500, 999, 1000]) {
    expect(extend(extend(0, whole.subarray(0, cut)), whole.subarray(cut))).toBe(extend(0, whole));
  }
});

test("it is written as Cloud Storage writes it", async () => {
  expect(base64(0)).toBe("AAAAAA==");
  expect(await crc32cOf(new Blob(["123456789"]))).toBe("4waSgw==");
});
