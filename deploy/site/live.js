/**
 * The tab "Live": the camera's frames are looked at in the worker and never leave the device.
 */

import { draw } from "./are-you-a-cat.js";
import { Steady } from "./looks.js";

const SIDES = { width: { ideal: 640 }, height: { ideal: 480 } };
/** @type {Record<string, string>} */
const PROBLEMS = {
  NotAllowedError: "Your browser does not let me use the camera. You can allow it beside the page's address.",
  SecurityError: "Your browser does not let me use the camera. You can allow it beside the page's address.",
  NotFoundError: "I find no camera here.",
  NotReadableError: "Another program uses the camera.",
  AbortError: "Another program uses the camera.",
};
const INSECURE = "Browsers give the camera only to https pages and to this computer itself.";
const ENDED = "The camera has stopped. Start it again when you like.";

/**
 * Wire the tab.
 *
 * @param {import("./looks.js").Looks} looks
 * @param {(element: Element, verdict: {label: string, probability: number}) => void} show
 */
export function wire(looks, show) {
  const video = /** @type {HTMLVideoElement} */ (document.getElementById("video"));
  const overlay = /** @type {HTMLCanvasElement} */ (document.getElementById("overlay"));
  const start = /** @type {HTMLButtonElement} */ (document.getElementById("start"));
  const other = /** @type {HTMLButtonElement} */ (document.getElementById("switch"));
  const panel = /** @type {HTMLElement} */ (document.getElementById("live-verdict"));
  const problem = /** @type {HTMLElement} */ (document.getElementById("live-problem"));
  const rate = /** @type {HTMLElement} */ (document.getElementById("rate"));
  let facing = "environment";
  /** @type {MediaStream | null} */
  let stream = null;

  const stop = (said = "") => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    start.textContent = "Start the camera";
    problem.textContent = said;
    overlay.width = 0;
    rate.textContent = "";
  };

  const open = async () => {
    stop();
    if (!navigator.mediaDevices) {
      problem.textContent = INSECURE;
      return;
    }
    try {
      const opened = await navigator.mediaDevices.getUserMedia({
        video: { ...SIDES, facingMode: { ideal: facing } },
      });
      stream = opened;
      const [track] = opened.getVideoTracks();
      track.addEventListener("ended", () => stream === opened && stop(ENDED));
      document.getElementById("stage")?.classList.toggle("mirrored", track.getSettings().facingMode === "user");
      video.srcObject = opened;
      await video.play();
      start.textContent = "Stop the camera";
      const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
      other.hidden = cameras.length < 2;
      void watch(opened);
    } catch (error) {
      const name = error instanceof DOMException ? error.name : "";
      stop(PROBLEMS[name] ?? `The camera cannot be used (${name || error}).`);
    }
  };

  /** @param {MediaStream} watched */
  const watch = async (watched) => {
    const steady = new Steady();
    let count = 0;
    let began = performance.now();
    while (stream === watched) {
      if (document.hidden) {
        await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
        [count, began] = [0, performance.now()];
        continue;
      }
      try {
        const { verdict, values, closer } = await looks.look({ bitmap: await createImageBitmap(video) });
        if (stream !== watched) return;
        show(panel, steady.next(verdict, performance.now()));
        [overlay.width, overlay.height] = [video.videoWidth, video.videoHeight];
        const context = overlay.getContext("2d");
        if (context) draw(context, values, { strength: 0.6, closer });
      } catch (error) {
        if (stream === watched) stop(String(error));
        return;
      }
      const seconds = (performance.now() - began) / 1000;
      count++;
      if (seconds > 1) {
        rate.textContent = `${Math.round(count / seconds)} looks a second`;
        [count, began] = [0, performance.now()];
      }
      await new Promise(requestAnimationFrame);
    }
  };

  start.onclick = () => (stream ? stop() : open());
  other.onclick = () => {
    facing = facing === "user" ? "environment" : "user";
    return open();
  };
  return { stop };
}
