/**
 * Keeps the site's own files, so that it works without a network; nothing else is ever kept.
 *
 * FILES names each with a hash: a new version fetches what has changed and drops what is gone.
 */

/** @type {Record<string, string>} */
const FILES = JSON.parse('{"put in by":"deploy.static"}');
const FIRST = JSON.parse('["first, put in by deploy.static"]');
const LAST = JSON.parse('["last, put in by deploy.static"]');
const CACHE = "are-you-a-cat";
const own = /** @type {any} */ (self);

/** @param {string} name */
const key = (name) => new URL(`${name}?${FILES[name]}`, own.registration.scope).href;

/**
 * Return a file of the site from the cache, or from the network into the cache.
 *
 * @param {string} name
 */
async function file(name) {
  const cache = await caches.open(CACHE).catch(() => null);
  const kept = await cache?.match(key(name));
  if (kept) return kept;
  const response = await fetch(new URL(name, own.registration.scope), { cache: "no-cache" });
  if (response.ok) await cache?.put(key(name), response.clone()).catch(() => undefined);
  return response;
}

/** @param {string} url */
function named(url) {
  const { scope } = own.registration;
  const address = new URL(url);
  if (!`${address.origin}${address.pathname}`.startsWith(scope)) return "";
  const name = decodeURIComponent(address.pathname.slice(new URL(scope).pathname.length)) || "index.html";
  return Object.hasOwn(FILES, name) ? name : "";
}

own.addEventListener("install", (/** @type {any} */ event) => {
  event.waitUntil(Promise.all(FIRST.map(file)).then(() => own.skipWaiting()));
});

own.addEventListener("activate", (/** @type {any} */ event) => {
  const clean = async () => {
    const wanted = new Set(Object.keys(FILES).map(key));
    const cache = await caches.open(CACHE);
    for (const { url } of await cache.keys()) if (!wanted.has(url)) await cache.delete(url);
  };
  event.waitUntil(clean().catch(() => undefined).then(() => own.clients.claim()));
});

own.addEventListener("message", (/** @type {any} */ event) => {
  if (event.data === "rest") event.waitUntil(Promise.allSettled(LAST.map(file)));
});

own.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  const name = request.method === "GET" ? named(request.url) : "";
  if (name) event.respondWith(file(name));
});
