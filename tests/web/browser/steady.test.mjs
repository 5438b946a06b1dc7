import assert from "node:assert/strict";
import test from "node:test";

import { pause, Steady } from "../../../web/browser/page/steady.js";

const CAT = { label: "cat", probability: 0.9 };
const OTHER = { label: "not a cat", probability: 0.1 };

test("the first verdict is shown at once", () => {
  assert.deepEqual(new Steady().next(CAT, 0), CAT);
});

test("another label is shown when it has held, not when it flickers", () => {
  const steady = new Steady();
  const labels = [0, 40, 80, 120].map((now, index) => steady.next(index === 2 ? OTHER : CAT, now).label);
  assert.deepEqual(labels, ["cat", "cat", "cat", "cat"]);
  const later = [200, 400, 499, 500].map((now) => steady.next(OTHER, now).label);
  assert.deepEqual(later, ["cat", "cat", "cat", "not a cat"]);
});

test("the percentage belongs to the label that is shown", () => {
  const steady = new Steady();
  steady.next(CAT, 0);
  assert.equal(steady.next(OTHER, 100).probability, 0.9);
  assert.equal(steady.next(OTHER, 400).probability, 0.1);
});

test("the percentage is a mean that forgets", () => {
  const steady = new Steady();
  steady.next({ label: "cat", probability: 0.8 }, 0);
  const soon = steady.next({ label: "cat", probability: 1 }, 40).probability;
  assert.ok(soon > 0.8 && soon < 0.83, String(soon));
  const late = steady.next({ label: "cat", probability: 1 }, 5000).probability;
  assert.ok(late > 0.999, String(late));
});

test("on a low battery each look is followed by a rest as long as itself", () => {
  assert.equal(pause({ charging: false, level: 0.2 }, 30), 30);
  assert.equal(pause({ charging: true, level: 0.1 }, 30), 0);
  assert.equal(pause({ charging: false, level: 0.5 }, 30), 0);
  assert.equal(pause(null, 30), 0);
});
