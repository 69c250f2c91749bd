/** Stage: the image, two canvases deep, and what is done on it. */

import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { drawBase, drawOverlay } from "../stage/layers";
import { holdSpace, leave, move, press, type Press, release, wheel } from "../stage/pointer";
import { resizeStage } from "../stage/view";
import { zoomToImage, zoomToMask } from "../work/hotkeys";
import { whenHovered } from "../work/segment";
import { current, embedding, picture, screen, stopwatch, tool } from "../work/state";

/** How long a preview took from the pointer's move until it stood on the canvas, as an entry of `performance`. */
const MEASURE = "segany.hover";
const KEPT_MEASURES = 1000;

export function Stage({ compare }: { compare: boolean }) {
  const host = useRef<HTMLDivElement>(null);
  const base = useRef<HTMLCanvasElement>(null);
  const overlay = useRef<HTMLCanvasElement>(null);

  useEffect(() => {
    const element = host.current!;
    const measure = () => resizeStage(element.clientWidth, element.clientHeight, frame);
    const watcher = new ResizeObserver(measure);
    watcher.observe(element);
    measure();
    const below = drawnBy(base.current!, (canvas) => drawBase(canvas, true));
    const above = drawnBy(overlay.current!, drawOverlay);
    // A preview is drawn at once; the next frame shows it.
    whenHovered((at) => {
      above.now();
      if (performance.getEntriesByName(MEASURE).length >= KEPT_MEASURES) performance.clearMeasures(MEASURE);
      performance.measure(MEASURE, { start: at, end: performance.now() });
    });
    const stopFitting = effect(() => {
      // New with every image that is opened; the record is new with every edit.
      void picture.value;
      frame();
    });
    const stops = listen(element);
    return () => {
      watcher.disconnect();
      for (const stop of [below.stop, above.stop, stopFitting, stops]) stop();
    };
  }, []);

  const state = embedding.value?.state;
  return (
    <div
      class={`stage tool-${tool.value}`}
      ref={host}
      tabIndex={0}
      role="application"
      aria-label={`Image ${current.value?.image.file_name ?? ""}. Arrow keys move a crosshair, Enter clicks, question mark lists all keys.`}
      data-embedding={state ?? "none"}
    >
      <canvas ref={base} aria-hidden="true" />
      <canvas ref={overlay} aria-hidden="true" />
      {compare && <span class="corner-note">with the mask</span>}
      {state && state !== "ready" && screen.value === "annotate" && (
        <div class="preparing" role="status">
          <span class="spinner" /> Preparing the image…
        </div>
      )}
    </div>
  );
}

/** The image alone, in the same place: for comparing. */
export function Plain() {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => drawnBy(canvas.current!, (each) => drawBase(each, false)).stop, []);
  return (
    <div class="plain" aria-hidden="true">
      <canvas ref={canvas} />
      <span class="corner-note">without</span>
    </div>
  );
}

/** The whole image; in a review the mask that is looked at. */
function frame(): void {
  zoomToImage();
  if (screen.peek() === "review") zoomToMask();
}

/** Draw in the next frame whenever something changes that was read while drawing; or now, instead. */
function drawnBy(
  canvas: HTMLCanvasElement,
  draw: (canvas: HTMLCanvasElement) => void,
): { now: () => void; stop: () => void } {
  let frame = 0;
  let stop = () => {};
  const redraw = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    stop();
    let first = true;
    stop = effect(() => {
      if (first) {
        first = false;
        draw(canvas);
      } else if (!frame) {
        frame = requestAnimationFrame(redraw);
      }
    });
  };
  redraw();
  return {
    now: redraw,
    stop: () => {
      cancelAnimationFrame(frame);
      stop();
    },
  };
}

function listen(element: HTMLElement): () => void {
  const abort = new AbortController();
  const on = <K extends keyof HTMLElementEventMap>(
    name: K,
    call: (event: HTMLElementEventMap[K]) => void,
    options: AddEventListenerOptions = {},
  ) => element.addEventListener(name, call, { signal: abort.signal, ...options });
  let rectangle = element.getBoundingClientRect();
  const place = (event: MouseEvent): [number, number] => [event.clientX - rectangle.left, event.clientY - rectangle.top];
  const said = (event: PointerEvent): Press => {
    const [x, y] = place(event);
    const { button, altKey: alt, shiftKey: shift } = event;
    return { x, y, button, alt, shift, control: event.ctrlKey || event.metaKey, time: event.timeStamp };
  };
  on("pointerenter", () => {
    rectangle = element.getBoundingClientRect();
  });
  on("pointerdown", (event) => {
    rectangle = element.getBoundingClientRect();
    element.focus({ preventScroll: true });
    element.setPointerCapture(event.pointerId);
    stopwatch.tick(performance.now());
    if (screen.peek() === "review") press({ ...said(event), button: 1 });
    else press(said(event));
    event.preventDefault();
  });
  on("pointermove", (event) => {
    stopwatch.tick(performance.now());
    const [x, y] = place(event);
    if (screen.peek() === "annotate" || event.buttons) move(x, y, event.timeStamp);
  });
  on("pointerup", release);
  on("pointercancel", release);
  on("pointerleave", leave);
  on("contextmenu", (event) => event.preventDefault());
  on(
    "wheel",
    (event) => {
      wheel(...place(event), event.deltaY * (event.deltaMode ? 30 : 1));
      event.preventDefault();
    },
    { passive: false },
  );
  on("keydown", (event) => event.key === " " && holdSpace(true));
  on("keyup", (event) => event.key === " " && holdSpace(false));
  return () => abort.abort();
}
