/**
 * SHA-256 without `crypto.subtle`, which browsers keep from pages that came by plain HTTP.
 */

const PRIMES = firstPrimes(64);
const ROUND = Uint32Array.from(PRIMES, (prime) => fraction(Math.cbrt(prime)));
const START = Uint32Array.from(PRIMES.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
const BLOCK = 64;

/**
 * Return the SHA-256 of some bytes.
 *
 * @param {Uint8Array} data
 * @returns {Uint8Array} 32 bytes.
 */
export function digest(data) {
  const state = START.slice();
  const words = new Uint32Array(64);
  const whole = data.length - (data.length % BLOCK);
  for (let at = 0; at < whole; at += BLOCK) mix(state, words, data, at);
  const rest = data.length - whole;
  const tail = new Uint8Array(rest < BLOCK - 8 ? BLOCK : 2 * BLOCK);
  tail.set(data.subarray(whole));
  tail[rest] = 0x80;
  const view = new DataView(tail.buffer);
  view.setUint32(tail.length - 8, Math.floor((data.length * 8) / 2 ** 32));
  view.setUint32(tail.length - 4, (data.length * 8) >>> 0);
  for (let at = 0; at < tail.length; at += BLOCK) mix(state, words, tail, at);
  const found = new DataView(new ArrayBuffer(32));
  state.forEach((word, index) => found.setUint32(4 * index, word));
  return new Uint8Array(found.buffer);
}

/**
 * Return the SHA-256 of some bytes as 64 hexadecimal digits, by the browser's own code where it may be used.
 *
 * @param {Uint8Array<ArrayBuffer>} data
 * @returns {Promise<string>}
 */
export async function hexadecimal(data) {
  const own = globalThis.crypto?.subtle;
  const bytes = own ? new Uint8Array(await own.digest("SHA-256", data)) : digest(data);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {Uint32Array} state eight words, which are changed.
 * @param {Uint32Array} words 64 of them, for the work.
 * @param {Uint8Array} data
 * @param {number} at where the block begins.
 */
function mix(state, words, data, at) {
  for (let i = 0; i < 16; i++) {
    const from = at + 4 * i;
    words[i] = (data[from] << 24) | (data[from + 1] << 16) | (data[from + 2] << 8) | data[from + 3];
  }
  for (let i = 16; i < 64; i++) {
    const near = words[i - 2];
    const far = words[i - 15];
    const small = turned(far, 7) ^ turned(far, 18) ^ (far >>> 3);
    const large = turned(near, 17) ^ turned(near, 19) ^ (near >>> 10);
    words[i] = words[i - 16] + small + words[i - 7] + large;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const high = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25);
    const first = (h + high + ((e & f) ^ (~e & g)) + ROUND[i] + words[i]) | 0;
    const low = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22);
    const second = (low + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, index) => {
    state[index] += word;
  });
}

/**
 * @param {number} word of 32 bits.
 * @param {number} by bits to the right.
 */
function turned(word, by) {
  return (word >>> by) | (word << (32 - by));
}

/** @param {number} value */
function fraction(value) {
  return Math.floor((value - Math.floor(value)) * 2 ** 32);
}

/** @param {number} count */
function firstPrimes(count) {
  /** @type {number[]} */
  const found = [];
  for (let number = 2; found.length < count; number++) {
    if (found.every((prime) => number % prime)) found.push(number);
  }
  return found;
}
