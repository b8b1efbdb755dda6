// Lets the counter open without a network. The server puts CACHE and FILES before this text.
// Scans are no business of this worker: the page keeps and sends them.

const PAGES = ["/counter", "/counter/camera"];
const PATIENCE_MS = 4000;

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  const { origin, pathname } = new URL(request.url);
  if (origin !== location.origin) return;
  if (request.mode === "navigate" && PAGES.includes(pathname)) event.respondWith(page(request, pathname));
  else if (pathname.startsWith("/assets/")) event.respondWith(file(request));
});

async function install() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES);
  const shell = await fetch("/counter", { redirect: "manual" });
  if (shell.ok) await cache.put("/counter", shell);
  await self.skipWaiting();
}

async function activate() {
  for (const name of await caches.keys()) if (name.startsWith("counter-") && name !== CACHE) await caches.delete(name);
  await self.clients.claim();
}

// From the network, so that a new version and a key that has ended are seen at once; else as it was last.
async function page(request, pathname) {
  const cache = await caches.open(CACHE);
  const kept = async () => (await cache.match(pathname, { ignoreVary: true })) ?? cache.match("/counter", { ignoreVary: true });
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.ok) await cache.put(pathname, answer.clone());
    else if (answer.type === "opaqueredirect" || answer.status === 403) for (const each of PAGES) await cache.delete(each, { ignoreVary: true });
    return answer.status >= 500 ? ((await kept()) ?? answer) : answer;
  } catch {
    return (await kept()) ?? Response.error();
  }
}

// An address of a file names its digest, so what is kept under it is right for ever.
async function file(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreVary: true });
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok && answer.headers.get("Cache-Control")?.includes("immutable")) await cache.put(request, answer.clone());
  return answer;
}
