/**
 * Keeps the site's own files, so that it works without a network; nothing else is ever kept.
 *
 * FILES names each with a hash. A new version fetches what has changed, beside what is kept, and takes over once it
 * has all that the old one had: only then does that go. Whatever fails before leaves the old one as it is.
 */

/** @type {Record<string, string>} */
const FILES = JSON.parse('{"put in by":"deploy.static"}');
const FIRST = JSON.parse('["first, put in by deploy.static"]');
const LAST = JSON.parse('["last, put in by deploy.static"]');
const CACHE = "are-you-a-cat";
/** Kept after all else: a version without it is not whole, and nothing of it is used. */
const WHOLE = "manifest.json";
/** What has a hash in its name never changes: the browser need not ask for what it has. */
const FOREVER = /\.[0-9a-f]{16}\./;
const own = /** @type {any} */ (self);

/** @param {string} name */
const kind = (name) => name.replace(FOREVER, ".");

/** @param {string} name */
const key = (name) => new URL(`${name}?${FILES[name]}`, own.registration.scope).href;

/**
 * Return a file of the site from the cache, or from the network.
 *
 * @param {string} name
 * @param {Request} request
 */
async function file(name, request) {
  const cache = await caches.open(CACHE).catch(() => null);
  const kept = (await cache?.match(key(WHOLE))) && (await cache?.match(key(name)));
  return kept || fetch(request);
}

/**
 * Have a file of the site in the cache.
 *
 * @param {string} name
 * @param {string | URL} [url] under which the page asks for it.
 * @throws {Error} it cannot be had or kept, or is that of another version.
 */
async function keep(name, url = new URL(name, own.registration.scope)) {
  const cache = await caches.open(CACHE);
  if (await cache.match(key(name))) return;
  const response = await fetch(url, { cache: FOREVER.test(name) ? "force-cache" : "no-cache" });
  const content = await response.arrayBuffer();
  // A host in the middle of a change sends files of both versions; to its page, hosts may add something.
  const same = name === "index.html" || (await hash(content)) === FILES[name];
  if (!response.ok || !same) throw new Error(`${name} is not that of this version.`);
  const headers = new Headers(response.headers);
  for (const each of ["Content-Encoding", "Content-Length"]) headers.delete(each); // of what came over the line
  await cache.put(key(name), new Response(content, { headers }));
}

/** @param {ArrayBuffer} content */
async function hash(content) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return Array.from(digest.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Return the addresses of what is kept of this site; others of the same host may have the same cache.
 *
 * @param {Cache} cache
 */
async function keptOf(cache) {
  return (await cache.keys()).map(({ url }) => url).filter((url) => url.startsWith(own.registration.scope));
}

/** Keep what every visit needs, and of all else what the version before has kept. */
async function install() {
  const cache = await caches.open(CACHE);
  const { scope } = own.registration;
  const kept = new Set((await keptOf(cache)).map((url) => kind(url.slice(scope.length).replace(/\?.*/, ""))));
  const all = Object.keys(FILES);
  const wanted = all.filter((name) => name !== WHOLE && (FIRST.includes(name) || kept.has(kind(name))));
  const litert = all.filter((name) => name.startsWith("litert-"));
  // Of two builds of LiteRT a browser needs one, which the one of the version before tells by its name.
  if (kept.has(WHOLE) && !litert.some((name) => wanted.includes(name))) wanted.push(...litert);
  await Promise.all(wanted.map((name) => keep(name)));
  if (kept.has(WHOLE)) await keep(WHOLE);
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
  event.waitUntil(install());
});

own.addEventListener("activate", (/** @type {any} */ event) => {
  const clean = async () => {
    const wanted = new Set(Object.keys(FILES).map(key));
    const cache = await caches.open(CACHE);
    for (const url of await keptOf(cache)) if (!wanted.has(url)) await cache.delete(url);
  };
  event.waitUntil(clean().catch(() => undefined).then(() => own.clients.claim()));
});

/** @param {string[]} urls */
async function keepLoaded(urls) {
  const loaded = urls.filter((url) => named(url) !== WHOLE);
  if (loaded.some((url) => !named(url))) throw new Error("The page is of another version.");
  const last = LAST.map((/** @type {string} */ name) => keep(name));
  await Promise.all([...last, ...loaded.map((url) => keep(named(url), url))]);
  await keep(WHOLE);
}

/** Take over from the version before, unless a page is open besides the one that asks: it may just be loading. */
async function takeOverFromLast() {
  const all = await own.clients.matchAll({ type: "window", includeUncontrolled: true });
  const pages = all.filter((/** @type {{url: string}} */ { url }) => url.startsWith(own.registration.scope));
  if (pages.length <= 1) await own.skipWaiting();
}

/**
 * A page that has loaded all it needs says so: `{loaded}`, what its model's worker has loaded, to the version that it
 * came from, which answers whether that and the rest are kept; `{takeOver}` to a newer one.
 */
own.addEventListener("message", (/** @type {any} */ event) => {
  const { loaded, takeOver } = event.data;
  if (takeOver) event.waitUntil(takeOverFromLast());
  if (!loaded) return;
  const [port] = event.ports;
  const kept = keepLoaded(loaded).then(
    () => true,
    () => false,
  );
  event.waitUntil(kept.then((all) => port.postMessage(all)));
});

own.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  const name = request.method === "GET" ? named(request.url) : "";
  if (name) event.respondWith(file(name, request));
});
