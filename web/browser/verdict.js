/**
 * The answer about one photo, and the logits it is made from.
 *
 * @typedef {object} Verdict
 * @property {number} probability that the photo shows a cat, 0 to 1.
 * @property {boolean} isCat whether the probability reaches the model's threshold.
 * @property {boolean} unsure whether it lies in the band around the threshold where the model is often wrong.
 * @property {string} label "cat", "not a cat" or "not sure".
 * @property {string} modelVersion which model said so.
 *
 * @typedef {object} Threshold Where the answer changes.
 * @property {number} cat probability from which a photo counts as a cat, 0 to 1.
 * @property {[number, number]} unsure lower and upper end of the band that is called "not sure".
 */

export const CAT = "cat";
export const NOT_A_CAT = "not a cat";
export const NOT_SURE = "not sure";

/** Half a step of the model's int8 output: how near to 0 or 1 a probability can be told. */
const FINEST = 1 / 512;

/**
 * Return the verdict at a probability.
 *
 * @param {Threshold} threshold
 * @param {number} probability 0 to 1.
 * @param {string} modelVersion
 * @returns {Verdict}
 */
export function verdict(threshold, probability, modelVersion) {
  const [low, high] = threshold.unsure;
  const isCat = probability >= threshold.cat;
  const unsure = low <= probability && probability < high;
  return { probability, isCat, unsure, label: unsure ? NOT_SURE : isCat ? CAT : NOT_A_CAT, modelVersion };
}

/**
 * Return the logit of a probability; one that an int8 output rounds to 0 or 1 stays finite.
 *
 * @param {number} probability 0 to 1.
 */
export function logit(probability) {
  const inside = Math.min(Math.max(probability, FINEST), 1 - FINEST);
  return Math.log(inside / (1 - inside));
}

/**
 * Return the probability of a logit.
 *
 * @param {number} value
 */
export function sigmoid(value) {
  return 1 / (1 + Math.exp(-value));
}
