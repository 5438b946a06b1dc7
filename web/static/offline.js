// The page's service worker: answers a visit without a network with a sentence. It keeps no file and no photo.
const PAGE = "put in by web.server.pwa";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
    if (event.request.mode !== "navigate") return;
    const offline = () => new Response(PAGE, { status: 503, headers: { "Content-Type": "text/html; charset=utf-8" } });
    event.respondWith(fetch(event.request).catch(offline));
});
