import assert from "node:assert/strict";
import test from "node:test";

import { percent } from "../../../web/browser/page/looks.js";

test("a percentage is from 1 to 99, and halves go to the even number, as in Python", () => {
  assert.deepEqual([0, 32 / 256, 96 / 256, 0.5, 1].map(percent), [1, 12, 38, 50, 99]);
});
