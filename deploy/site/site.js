/**
 * The static site: tabs, one photo, several photos, figures. Nothing here sends anything.
 */

import { Looks, percent } from "./looks.js";

/** Before all else: the worker has the model to load. */
const looks = new Looks("./");

const MOST = 50;
/** Pixels of the longer side of the photo that is shown. */
const SHOWN = 1024;
/** Milliseconds after which the site is kept: the visitor's first photo comes first. */
const KEPT_AFTER_MS = 1000;
const LIVE = {
  start: "Start the camera",
  stop: "Stop the camera",
  loading: "The model is being loaded …",
  rate: "N looks a second",
  spared: "N looks a second, half as many as could be: your battery is low",
  ended: "The camera has stopped. Start it again when you like.",
  insecure: "Browsers give the camera only to https pages and to this computer itself.",
  denied: "Your browser does not let me use the camera. You can allow it beside the page's address.",
  none: "I find no camera here.",
  used: "Another program uses the camera.",
  other: "The camera cannot be used.",
};
/** @type {Record<string, [kind: string, headline: string]>} */
const WORDS = {
  cat: ["cat", "Yes, I see a cat"],
  "not a cat": ["other", "No cat here"],
  "not sure": ["unsure", "I am not sure"],
};

/**
 * @template {HTMLElement} Kind
 * @param {string} id
 */
const part = (id) => /** @type {Kind} */ (document.getElementById(id));

/**
 * @param {Element} panel
 * @param {{label: string, probability: number}} verdict
 */
function show(panel, { label, probability }) {
  const [kind, headline] = WORDS[label];
  tell(panel, kind, headline, `${percent(probability)} % that there is a cat`);
}

/**
 * @param {Element} panel
 * @param {string} kind
 * @param {string} headline
 * @param {string} detail
 */
function tell(panel, kind, headline, detail = "") {
  panel.className = `verdict ${kind}`;
  for (const [name, words] of Object.entries({ headline, detail })) {
    const line = panel.querySelector(`.${name}`);
    if (line && line.textContent !== words) line.textContent = words;
  }
}

/**
 * Return the service worker's registration, which keeps the program for the next visit; null where there is none.
 * It is started last: it takes processor time from the model while that is made ready.
 *
 * @returns {Promise<ServiceWorkerRegistration | null>}
 */
async function keeper() {
  try {
    const { serviceWorker } = navigator;
    await serviceWorker.register("service-worker.js");
    return await serviceWorker.ready;
  } catch {
    return null; // a private window, a frame of another site, or plain HTTP
  }
}

/**
 * Let a newer version take over as soon as it is whole: this page has all that it needs, and the next visit gets it.
 *
 * @param {ServiceWorkerRegistration} registration
 */
function takeUp(registration) {
  const { installing, waiting } = registration;
  const takeOver = () => registration.waiting?.postMessage({ takeOver: true });
  installing?.addEventListener("statechange", takeOver);
  if (waiting) takeOver();
}

/**
 * Return whether all that the site needs is kept.
 *
 * @param {ServiceWorker | null} worker
 * @param {string[]} files addresses of what the model's worker has loaded.
 * @returns {Promise<boolean>}
 */
async function keep(worker, files) {
  if (!worker) return false;
  const { port1, port2 } = new MessageChannel();
  const said = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
  worker.postMessage({ loaded: files }, [port2]);
  return said;
}

function wireTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")].map((tab) => /** @type {HTMLElement} */ (tab));
  /** @param {HTMLElement} chosen */
  const choose = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      part(tab.getAttribute("aria-controls") ?? "").hidden = tab !== chosen;
    }
  };
  tabs.forEach((tab, index) => {
    tab.onclick = () => choose(tab);
    tab.onkeydown = ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (!step) return;
      const next = tabs[(index + step + tabs.length) % tabs.length];
      next.focus();
      choose(next);
    };
  });
}

/** @param {Looks} looks */
function wirePhoto(looks) {
  const panel = part("photo-verdict");
  const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById("photo-canvas"));
  const strength = /** @type {HTMLInputElement} */ (document.getElementById("strength"));
  const thorough = /** @type {HTMLInputElement} */ (document.getElementById("thorough"));
  /** @type {{photo: ImageBitmap, look: import("./looks.js").Look} | null} */
  let shown = null;
  let latest = 0;

  const paint = () => {
    if (!shown) return;
    const { photo, look } = shown;
    const scale = Math.min(SHOWN / Math.max(photo.width, photo.height), 1);
    [canvas.width, canvas.height] = [photo.width * scale, photo.height * scale].map(Math.round);
    const context = canvas.getContext("2d");
    if (!context) return;
    context.drawImage(photo, 0, 0, canvas.width, canvas.height);
    draw(context, look.values, { strength: Number(strength.value) / 100, closer: look.closer });
  };

  /** @param {Blob | Promise<Blob>} given */
  const look = async (given) => {
    const mine = ++latest;
    tell(panel, "idle", "Looking …");
    part("feedback").hidden = true;
    try {
      const file = await given;
      const decoding = createImageBitmap(file); // while the worker looks, whose sentence counts if it cannot be read
      decoding.catch(() => undefined);
      const seen = await looks.look({ file, thorough: thorough.checked });
      const photo = await decoding;
      if (mine !== latest) return photo.close();
      shown?.photo.close();
      shown = { photo, look: seen };
      show(panel, seen.verdict);
      part("photo-shown").hidden = part("feedback").hidden = false;
      paint();
    } catch (error) {
      if (mine !== latest) return;
      part("photo-shown").hidden = true;
      tell(panel, "wrong", "I could not look at it", error instanceof Error ? error.message : String(error));
    }
  };

  part("photo-file").onchange = ({ target }) => {
    const [file] = /** @type {HTMLInputElement} */ (target).files ?? [];
    if (file) void look(file);
  };
  strength.oninput = paint;
  for (const button of document.querySelectorAll("[data-photo]")) {
    const example = /** @type {HTMLElement} */ (button);
    example.onclick = () => look(fetched(example.dataset.photo ?? ""));
  }
  document.ondragover = (event) => event.preventDefault();
  document.ondrop = (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer?.files ?? [];
    if (file && !part("photo").hidden) void look(file);
  };
  document.onpaste = (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file && !part("photo").hidden) void look(file);
  };
  for (const button of document.querySelectorAll("[data-says]")) {
    const answer = /** @type {HTMLElement} */ (button);
    answer.onclick = () => {
      if (!shown) return;
      const said = { ...shown.look.verdict, answer: answer.dataset.says };
      save("feedback.json", "application/json", JSON.stringify(said, null, 1));
    };
  }
}

/**
 * @param {string} address
 * @throws {Error} it cannot be had.
 */
async function fetched(address) {
  const response = await fetch(address).catch(() => null);
  if (!response?.ok) throw new Error("This photo cannot be fetched. Is there a network?");
  return response.blob();
}

/**
 * @param {string} name
 * @param {string} type
 * @param {string} content
 */
function save(name, type, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** @param {Looks} looks */
function wireSeveral(looks) {
  const tiles = part("tiles");
  const list = part("list");
  /** @type {string[][]} */
  let rows = [];
  let latest = 0;
  part("several-files").onchange = async ({ target }) => {
    const mine = ++latest;
    const all = [...(/** @type {HTMLInputElement} */ (target).files ?? [])];
    const files = all.slice(0, MOST);
    for (const image of tiles.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    tiles.replaceChildren();
    rows = [];
    for (const [index, file] of files.entries()) {
      part("several-state").textContent = `${index + 1} of ${files.length} …`;
      /** @type {string[]} */
      let told;
      try {
        const { verdict } = await looks.look({ file });
        told = [WORDS[verdict.label][1], verdict.label, String(verdict.probability)];
      } catch (error) {
        told = [error instanceof Error ? error.message : String(error), "", ""];
      }
      if (mine !== latest) return;
      rows.push([file.name, told[1], told[2]]);
      tiles.append(tile(file, told));
    }
    const left = all.length - files.length;
    const cats = rows.filter(([, label]) => label === "cat").length;
    part("several-state").textContent = `${cats} of ${files.length} show a cat.${left ? ` ${left} were left out.` : ""}`;
    list.hidden = !rows.length;
  };
  list.onclick = () => save("cats.csv", "text/csv", [["file", "label", "probability"], ...rows].map(line).join(""));
}

/** @param {string[]} row */
function line(row) {
  // A spreadsheet takes what begins so for a formula.
  const safe = row.map((cell) => (/^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell));
  return `${safe.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(",")}\r\n`;
}

/**
 * @param {File} file
 * @param {string[]} told
 */
function tile(file, [headline, label]) {
  const item = document.createElement("li");
  if (label) {
    const image = document.createElement("img");
    image.src = URL.createObjectURL(file);
    image.alt = file.name;
    item.append(image);
  }
  for (const words of [headline, file.name]) {
    item.append(Object.assign(document.createElement("p"), { textContent: words }));
  }
  return item;
}

async function wireAbout() {
  try {
    const manifest = await (await fetch("manifest.json")).json();
    part("version").textContent = manifest.version;
    /** @param {any} found */
    const rate = (found) => {
      if (!found) return "not measured";
      const [value, low, high] = [found.value, found.low, found.high].map((each) => (100 * each).toFixed(1));
      return `${value} % (${low} to ${high})`;
    };
    for (const [name, metrics] of Object.entries(manifest.metrics ?? {})) {
      const row = document.createElement("tr");
      for (const words of [name, rate(metrics.recall), rate(metrics.precision)]) {
        row.append(Object.assign(document.createElement("td"), { textContent: words }));
      }
      part("figures").append(row);
    }
  } catch {
    part("version").textContent = "unknown";
  }
}

part("state").textContent = "The model is being loaded …";
wireTabs();
const [{ draw }, { wire }] = await Promise.all([import("./are-you-a-cat.js"), import("./live.js")]);
wirePhoto(looks);
wireSeveral(looks);
wire(part("live"), looks, LIVE, {
  show: (verdict) => {
    if (verdict) show(part("live-verdict"), verdict);
    else tell(part("live-verdict"), "idle", LIVE.start);
  },
  ready: () => looks.ready,
});
try {
  const { files } = await looks.ready;
  part("state").textContent = "The model is here.";
  await wireAbout();
  await new Promise((resolve) => setTimeout(resolve, KEPT_AFTER_MS));
  const registration = await keeper();
  if (await keep(registration?.active ?? null, files)) {
    part("state").textContent = "The model is here. It works without a network now, too.";
  }
  if (registration) {
    registration.onupdatefound = () => takeUp(registration);
    takeUp(registration);
  }
} catch (error) {
  const why = error instanceof Error ? error.message : String(error);
  part("state").textContent = `I cannot look at photos here: ${why}`;
  for (const panel of document.querySelectorAll(".verdict")) tell(panel, "wrong", "I cannot look at photos here", why);
  await wireAbout();
}
