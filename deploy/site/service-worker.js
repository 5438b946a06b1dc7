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
/** What has a hash in its name never changes: the browser need not ask for what it has. */
const FOREVER = /\.[0-9a-f]{16}\./;
const own = /** @type {any} */ (self);

/** @param {string} name */
const key = (name) => new URL(`${name}?${FILES[name]}`, own.registration.scope).href;

/**
 * Return a file of the site from the cache, or from the network into the cache.
 *
 * @param {string} name
 * @param {string | URL} [url] under which the page asks for it.
 */
async function file(name, url = new URL(name, own.registration.scope)) {
  const cache = await caches.open(CACHE).catch(() => null);
  const kept = await cache?.match(key(name));
  if (kept) return kept;
  const response = await fetch(url, { cache: FOREVER.test(name) ? "force-cache" : "no-cache" });
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
  event.waitUntil(Promise.all(FIRST.map((/** @type {string} */ name) => file(name))).then(() => own.skipWaiting()));
});

own.addEventListener("activate", (/** @type {any} */ event) => {
  const clean = async () => {
    const wanted = new Set(Object.keys(FILES).map(key));
    const cache = await caches.open(CACHE);
    for (const { url } of await cache.keys()) if (!wanted.has(url)) await cache.delete(url);
  };
  event.waitUntil(clean().catch(() => undefined).then(() => own.clients.claim()));
});

/** The page says what the model's worker has loaded; the answer is whether that and the rest are kept. */
own.addEventListener("message", (/** @type {any} */ event) => {
  const [port] = event.ports;
  const wanted = LAST.map((/** @type {string} */ name) => file(name));
  for (const url of event.data) if (named(url)) wanted.push(file(named(url), url));
  const kept = Promise.all(wanted).then((all) => all.every(({ ok }) => ok));
  event.waitUntil(kept.catch(() => false).then((all) => port.postMessage(all)));
});

own.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  const name = request.method === "GET" ? named(request.url) : "";
  if (name) event.respondWith(file(name, request.url));
});
