/**
 * The camera: its frames are looked at in the worker and never leave the device.
 *
 * @typedef {object} Words
 * @property {string} start what the button says.
 * @property {string} stop
 * @property {string} loading while the model is not there yet.
 * @property {string} rate with N for the looks in a second.
 * @property {string} spared the same, at half the rate.
 * @property {string} ended when the camera stops by itself.
 * @property {string} insecure where the page came by plain HTTP.
 * @property {string} denied
 * @property {string} none
 * @property {string} used when another program has it.
 * @property {string} other
 */

import { draw } from "./are-you-a-cat.js";
import { pause, spares, Steady } from "./steady.js";

const SIDES = { width: { ideal: 640 }, height: { ideal: 480 } };
/** Strength of the colours over the frame. */
const STRENGTH = 0.6;
/** How many of the frame's pixels share one of the colours, each way: they are soft, and cost less so. */
const COARSER = 2;
/** @type {Record<string, "denied" | "none" | "used">} */
const PROBLEMS = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "none",
  OverconstrainedError: "none",
  NotReadableError: "used",
  AbortError: "used",
};

/** @returns {Promise<{charging: boolean, level: number} | null>} */
async function batteryOf() {
  try {
    return await /** @type {any} */ (navigator).getBattery();
  } catch {
    return null; // Firefox and Safari do not tell, nor do frames of other sites
  }
}

/**
 * Wait until a video shows another frame; where a browser does not tell, until the page is drawn again.
 *
 * @param {HTMLVideoElement} video
 */
function nextFrame(video) {
  return new Promise((resolve) => {
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(resolve);
    else requestAnimationFrame(resolve);
  });
}

/**
 * Return what a video shows now: as the camera gave it, which copies nothing; null where that cannot be had.
 *
 * @param {HTMLVideoElement} video
 */
function frameOf(video) {
  try {
    const frame = new VideoFrame(video);
    // That of a phone held upright may lie on its side.
    if (frame.displayWidth === video.videoWidth && frame.displayHeight === video.videoHeight) return frame;
    frame.close();
  } catch {
    // A browser without VideoFrame.
  }
  return null;
}

/**
 * Wire the camera's part of a page.
 *
 * @param {Element} root with `.start`, `.switch` (buttons), `.problem`, `.rate` and `.film`, which has a video and
 *   a canvas over it.
 * @param {import("./looks.js").Looks} looks
 * @param {Words} words
 * @param {object} page
 * @param {(verdict: {label: string, probability: number} | null) => void} page.show null when nothing is watched.
 * @param {() => Promise<unknown>} page.ready called when the camera is opened; settles when the model can answer.
 */
export function wire(root, looks, words, { show, ready }) {
  /** @param {string} name */
  const part = (name) => /** @type {HTMLElement} */ (root.querySelector(name));
  const video = /** @type {HTMLVideoElement} */ (part(".film video"));
  const overlay = /** @type {HTMLCanvasElement} */ (part(".film canvas"));
  const [start, other, problem, rate, film] = [".start", ".switch", ".problem", ".rate", ".film"].map(part);
  let facing = "environment";
  /** @type {MediaStream | null} */
  let stream = null;
  let attempt = 0; // which start of the camera counts: one that was stopped meanwhile gives its camera back
  video.muted = video.playsInline = true; // else iPhones show one frame, or none

  const stop = (said = "") => {
    attempt++;
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
    start.textContent = words.start;
    problem.textContent = said;
    film.hidden = true;
    rate.textContent = "";
    show(null);
  };

  const open = async () => {
    stop();
    if (!isSecureContext || !navigator.mediaDevices) {
      problem.textContent = words.insecure;
      return;
    }
    const mine = attempt;
    try {
      const model = ready();
      model.catch(() => undefined);
      const opened = await navigator.mediaDevices.getUserMedia({
        video: { ...SIDES, facingMode: { ideal: facing } },
      });
      if (mine !== attempt) {
        opened.getTracks().forEach((track) => track.stop());
        return;
      }
      stream = opened;
      const [track] = opened.getVideoTracks();
      track.addEventListener("ended", () => stream === opened && stop(words.ended));
      film.classList.toggle("mirrored", track.getSettings().facingMode === "user");
      film.hidden = false;
      start.textContent = words.stop;
      rate.textContent = words.loading;
      video.srcObject = opened;
      await video.play();
      const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
      other.hidden = cameras.length < 2;
      await model;
      if (stream === opened) await watch(opened, track);
    } catch (error) {
      if (mine !== attempt) return;
      const name = error instanceof DOMException ? PROBLEMS[error.name] : undefined;
      stop(name ? words[name] : `${words.other} (${error instanceof Error ? error.message : error})`);
    }
  };

  /**
   * @param {MediaStream} watched
   * @param {MediaStreamTrack} track
   */
  const watch = async (watched, track) => {
    const steady = new Steady();
    const battery = await batteryOf();
    const context = overlay.getContext("2d");
    let seenLast = -1;
    let copied = false;
    /** @returns {Promise<(import("./looks.js").Look & {took: number}) | null>} null when the camera was stopped. */
    const look = async (rest = 0) => {
      if (rest) await new Promise((resolve) => setTimeout(resolve, rest));
      if (stream !== watched) return null;
      let frame = copied ? null : frameOf(video);
      if (frame?.timestamp === seenLast) {
        frame.close(); // a camera is slower than the model at times: nothing is looked at twice
        await nextFrame(video);
        if (stream !== watched) return null;
        frame = frameOf(video);
      }
      if (frame) seenLast = frame.timestamp;
      const asked = performance.now();
      try {
        const seen = await looks.look({ frame: frame ?? (await createImageBitmap(video)) });
        return { ...seen, took: performance.now() - asked };
      } catch (error) {
        if (!frame) throw error;
        copied = true; // a browser whose workers cannot read such frames
        return look();
      }
    };
    let next = look();
    let count = 0;
    let began = performance.now();
    while (stream === watched) {
      if (!part(".start").offsetParent) return stop(); // another tab of the page is shown
      const [waits, event] = document.hidden ? [document, "visibilitychange"] : [track, "unmute"];
      if (document.hidden || track.muted) {
        await new Promise((resolve) => {
          waits.addEventListener(event, resolve, { once: true });
          track.addEventListener("ended", resolve, { once: true });
        });
        next = next.then(() => look()); // what was seen before is old
        [count, began] = [0, performance.now()];
        continue;
      }
      const seen = await next;
      if (!seen || stream !== watched) return;
      next = look(pause(battery, seen.took)); // the worker looks at it while this one is drawn
      next.catch(() => undefined);
      await new Promise(requestAnimationFrame);
      show(steady.next(seen.verdict, performance.now()));
      const [width, height] = [video.videoWidth, video.videoHeight].map((side) => Math.round(side / COARSER));
      if (overlay.width !== width || overlay.height !== height) [overlay.width, overlay.height] = [width, height];
      context?.clearRect(0, 0, width, height);
      if (context) draw(context, seen.values, { strength: STRENGTH, closer: seen.closer });
      const seconds = (performance.now() - began) / 1000;
      count++;
      if (seconds > 1) {
        const said = spares(battery) ? words.spared : words.rate;
        rate.textContent = said.replace("N", String(Math.round(count / seconds)));
        [count, began] = [0, performance.now()];
      }
    }
  };

  start.onclick = () => (stream ? stop() : open());
  other.onclick = () => {
    facing = facing === "user" ? "environment" : "user";
    return open();
  };
  stop();
}
