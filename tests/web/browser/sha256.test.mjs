import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";

import { digest, hexadecimal } from "../../../web/browser/sha256.js";

test("every length around a block's end gives what node gives", async () => {
  for (let length = 0; length < 140; length++) {
    const data = Uint8Array.from({ length }, (_, i) => (i * 37) % 256);
    const expected = createHash("sha256").update(data).digest("hex");
    assert.equal(Buffer.from(digest(data)).toString("hex"), expected);
    assert.equal(await hexadecimal(data), expected);
  }
});

test("a page that came by plain HTTP has no crypto.subtle, and gets the same", async () => {
  const data = new TextEncoder().encode("cat");
  const expected = await hexadecimal(data);
  const own = Object.getOwnPropertyDescriptor(globalThis, "crypto");
  Object.defineProperty(globalThis, "crypto", { value: {}, configurable: true });
  try {
    assert.equal(await hexadecimal(data), expected);
  } finally {
    if (own) Object.defineProperty(globalThis, "crypto", own);
  }
});
