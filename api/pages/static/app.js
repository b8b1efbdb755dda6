// On every page: light or dark, kept in a cookie so that the server sends the page in the right colours at once; and what
// is left behind when one signs out.

const root = document.documentElement;

for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  button.addEventListener("click", () => {
    const isDark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
  });
}

// Of the counter nothing stays in the browser that tells who was here, but scans that the ledger has not taken yet.
async function forget() {
  for (const name of (await caches.keys()).filter((each) => each.startsWith("counter-"))) {
    const cache = await caches.open(name);
    for (const page of ["/counter", "/counter/camera"]) await cache.delete(page, { ignoreVary: true });
  }
  if (!(await indexedDB.databases()).some(({ name }) => name === "counter")) return; // opening it would make it
  const done = (request) => new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: reject }));
  const database = await done(indexedDB.open("counter"));
  const { settings, scans } = Object.fromEntries(["settings", "scans"].map((each) => [each, database.transaction(each, "readwrite").objectStore(each)]));
  await Promise.all([
    done(settings.delete(IDBKeyRange.bound("here:", "here:\uffff"))),
    done(scans.getAll()).then((all) => all.filter(({ state }) => state === "sent" || state === "aside").forEach(({ id }) => scans.delete(id))),
  ]);
  database.close();
}

const signOut = document.querySelector('form[action="/sign-out"]');
signOut?.addEventListener("submit", async (event) => {
  event.preventDefault();
  await forget().catch(() => {});
  signOut.submit();
});
