/**
 * Files that are stored compressed, so that no host need know how to send them so.
 */

const SUFFIX = ".gz.bin";

/**
 * Return whether a file is one of those, by its name.
 *
 * @param {string} name
 */
export function isPacked(name) {
  return name.endsWith(SUFFIX);
}

/**
 * Return the content of a response to a request for a compressed file.
 *
 * @param {Response} response
 * @returns {ReadableStream<Uint8Array<ArrayBuffer>>}
 */
export function unpacked({ body }) {
  if (!body) throw new Error("The response is empty.");
  return body.pipeThrough(new DecompressionStream("gzip"));
}
