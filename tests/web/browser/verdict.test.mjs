import assert from "node:assert/strict";
import test from "node:test";

import { logit, sigmoid, verdict } from "../../../web/browser/verdict.js";

/** @type {import("../../../web/browser/verdict.js").Threshold} */
const threshold = { cat: 0.6, unsure: [0.2, 0.7] };

test("the label follows threshold and band, whose lower end belongs to it", () => {
  const labels = [0.19, 0.2, 0.65, 0.7].map((probability) => verdict(threshold, probability, "m").label);
  assert.deepEqual(labels, ["not a cat", "not sure", "not sure", "cat"]);
});

test("an unsure verdict still leans to one side", () => {
  assert.deepEqual(verdict(threshold, 0.6, "m"), {
    probability: 0.6,
    isCat: true,
    unsure: true,
    label: "not sure",
    modelVersion: "m",
  });
});

test("logits of 0 and 1 are finite, and sigmoid turns logits back", () => {
  assert.equal(logit(0), -logit(1));
  assert.ok(Number.isFinite(logit(0)));
  for (const probability of [0.01, 0.5, 0.9]) assert.ok(Math.abs(sigmoid(logit(probability)) - probability) < 1e-12);
});
