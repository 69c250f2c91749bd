/** Hotkeys: one table, which the keyboard and the overlay read alike. */

import { cancel, nudge, pointer, pressHere } from "../stage/pointer";
import { fit, zoom } from "../stage/view";
import { claim, finishTask, skip, step } from "./browsing";
import { duplicateToNext, fillHoles, merge, split, startPolygon } from "./drawing";
import { chosen, name, redo, remove, review, undo } from "./editing";
import { climb, findEverything, keepAll, stopFinding } from "./finding";
import { decide, passOver, reviewed, startReview } from "./reviewing";
import { take } from "./naming";
import { maskBefore, nextCandidate, nextRank, select } from "./segment";
import {
  annotations,
  brush,
  current,
  dialog,
  found,
  names,
  polygon,
  screen,
  selected,
  showMasks,
  task,
  type Tool,
  tool,
} from "./state";

export interface Hotkey {
  /** As `keyOf` writes them; the first is the one that is shown on buttons. */
  keys: string[];
  words: string;
  group: "Tools" | "Masks" | "Images" | "View" | "Review" | "Page";
  /** Where it works; everywhere when left out. */
  on?: "annotate" | "review";
  run: (key: string) => void;
}

export function choose(next: Tool): void {
  cancel();
  if (next !== "everything" && found.peek()) stopFinding();
  tool.value = next;
  if (next === "everything") void findEverything();
  if (next === "polygon" && selected.peek().length) startPolygon(0.8);
}

function another(by: number): void {
  const all = annotations.peek();
  if (!all.length) return;
  const at = all.findIndex(({ id }) => id === selected.peek()[0]);
  select(all[(at + by + all.length + (at < 0 && by < 0 ? 1 : 0)) % all.length]!.id);
}

export function zoomToMask(): void {
  const box = (screen.peek() === "review" ? reviewed.peek() : chosen()[0])?.box;
  const record = current.peek();
  if (record && box) fit(record.image.size, box);
}

export function zoomToImage(): void {
  const record = current.peek();
  if (record) fit(record.image.size);
}

function larger(): void {
  const at = pointer.peek().at;
  if (found.peek() && at) climb(Math.floor(at[0]), Math.floor(at[1]));
  else nextRank();
}

function escape(): void {
  if (dialog.peek()) dialog.value = null;
  else if (polygon.peek() || pointer.peek().start) cancel();
  else if (found.peek()) choose("point");
  else select(null);
}

const resize = (factor: number) => {
  brush.value = Math.min(200, Math.max(0.5, Math.round(brush.peek() * factor * 2) / 2));
};

export const HOTKEYS: Hotkey[] = [
  { keys: ["s"], words: "Point: hover previews, a click keeps", group: "Tools", on: "annotate", run: () => choose("point") },
  { keys: ["b"], words: "Box: drag round an object", group: "Tools", on: "annotate", run: () => choose("box") },
  { keys: ["p"], words: "Brush", group: "Tools", on: "annotate", run: () => choose("brush") },
  { keys: ["e"], words: "Eraser", group: "Tools", on: "annotate", run: () => choose("eraser") },
  { keys: ["o"], words: "Outline: move, add and remove corners", group: "Tools", on: "annotate", run: () => choose("polygon") },
  { keys: ["g"], words: "Everything: find all masks", group: "Tools", on: "annotate", run: () => choose("everything") },
  { keys: ["h"], words: "Hand: drag the image", group: "Tools", run: () => choose("hand") },
  { keys: ["[", "]"], words: "Smaller or larger brush", group: "Tools", on: "annotate", run: (key) => resize(key === "[" ? 0.8 : 1.25) },
  { keys: ["Arrows"], words: "Move the crosshair; with Shift in large steps", group: "Tools", on: "annotate", run: () => {} },
  { keys: ["Enter"], words: "Click at the crosshair; with Shift: also this, with Alt: not this", group: "Tools", on: "annotate", run: () => {} },
  { keys: ["c"], words: "Next candidate for the selected mask", group: "Masks", on: "annotate", run: () => void nextCandidate() },
  { keys: ["x"], words: "The mask before the last click", group: "Masks", on: "annotate", run: maskBefore },
  { keys: ["w"], words: "Preview whole, part or subpart", group: "Masks", on: "annotate", run: larger },
  { keys: ["n", "Shift+N"], words: "Select the next or the previous mask", group: "Masks", run: (key) => another(key === "n" ? 1 : -1) },
  { keys: ["Ctrl+A"], words: "Select all masks", group: "Masks", on: "annotate", run: () => (selected.value = annotations.peek().map(({ id }) => id)) },
  { keys: ["l"], words: "Write a label", group: "Masks", on: "annotate", run: () => document.getElementById("label")?.focus() },
  { keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"], words: "Give the first to ninth label", group: "Masks", on: "annotate", run: (key) => { const given = names.peek()[Number(key) - 1]; if (given) name(given); } },
  { keys: ["y"], words: "Give the suggested label", group: "Masks", on: "annotate", run: () => take() },
  { keys: ["Delete", "Backspace"], words: "Delete the selected masks", group: "Masks", run: remove },
  { keys: ["m"], words: "Merge the selected masks", group: "Masks", on: "annotate", run: merge },
  { keys: ["k"], words: "Split a mask into its pieces", group: "Masks", on: "annotate", run: split },
  { keys: ["j"], words: "Fill holes", group: "Masks", on: "annotate", run: fillHoles },
  { keys: ["d"], words: "Copy the selected masks to the next image", group: "Masks", on: "annotate", run: () => void duplicateToNext() },
  { keys: ["Shift+F"], words: "Flag the selected masks", group: "Masks", on: "annotate", run: () => void review("flagged") },
  { keys: ["Ctrl+K"], words: "Keep everything that was found", group: "Masks", on: "annotate", run: keepAll },
  { keys: ["Ctrl+Z"], words: "Undo", group: "Masks", run: undo },
  { keys: ["Ctrl+Shift+Z", "Ctrl+Y"], words: "Redo", group: "Masks", run: redo },
  { keys: [".", "PageDown"], words: "Next image", group: "Images", run: () => void step(1) },
  { keys: [",", "PageUp"], words: "Previous image", group: "Images", run: () => void step(-1) },
  { keys: ["t"], words: "Take the next task; finish the one in hand", group: "Images", run: () => void (taskHeld() ? finishTask() : claim()) },
  { keys: ["Shift+S"], words: "Skip this image", group: "Images", run: () => void skip() },
  { keys: ["+", "="], words: "Zoom in (or the wheel)", group: "View", run: () => zoom(1.25) },
  { keys: ["-"], words: "Zoom out", group: "View", run: () => zoom(0.8) },
  { keys: ["0"], words: "The whole image", group: "View", run: zoomToImage },
  { keys: ["z"], words: "Zoom to the mask", group: "View", run: zoomToMask },
  { keys: ["v"], words: "Hide or show the masks", group: "View", run: () => (showMasks.value = !showMasks.peek()) },
  { keys: ["a"], words: "Accept", group: "Review", on: "review", run: () => void decide("accepted") },
  { keys: ["r"], words: "Reject", group: "Review", on: "review", run: () => void decide("rejected") },
  { keys: ["f"], words: "Flag", group: "Review", on: "review", run: () => void decide("flagged") },
  { keys: ["u"], words: "Reopen", group: "Review", on: "review", run: () => void decide("unreviewed") },
  { keys: ["Space"], words: "Decide later", group: "Review", on: "review", run: () => void passOver() },
  { keys: ["q"], words: "Review, or back to annotating", group: "Page", run: () => (screen.peek() === "review" ? (screen.value = "annotate") : void startReview()) },
  { keys: ["?"], words: "This list", group: "Page", run: () => (dialog.value = dialog.peek() === "help" ? null : "help") },
  { keys: ["Escape"], words: "Cancel, close, or select nothing", group: "Page", run: escape },
];

const taskHeld = () => task.peek() !== null;

/** A key press as the table writes it. */
export function keyOf(event: KeyboardEvent): string {
  const key = event.key === " " ? "Space" : event.key;
  const control = event.ctrlKey || event.metaKey;
  const isLetter = key.length === 1 && key.toLowerCase() !== key.toUpperCase();
  const plain = isLetter && (control || event.shiftKey) ? key.toUpperCase() : key;
  return `${control ? "Ctrl+" : ""}${event.shiftKey && (isLetter || control) ? "Shift+" : ""}${plain}`;
}

const STEPS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export function onKey(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  const writes = target.matches("input:not([type=range]):not([type=checkbox]), textarea, select");
  const onStage = target.closest(".stage") !== null || target === document.body;
  if (dialog.peek() && event.key !== "Escape" && event.key !== "?") return;
  if (writes) {
    if (event.key === "Escape") document.querySelector<HTMLElement>(".stage")?.focus();
    return;
  }
  const arrow = STEPS[event.key];
  if (arrow && onStage && screen.peek() === "annotate") {
    nudge(...arrow, event.shiftKey);
    event.preventDefault();
    return;
  }
  if (event.key === "Enter" && onStage && screen.peek() === "annotate") {
    pressHere({ alt: event.altKey, shift: event.shiftKey, control: event.ctrlKey });
    event.preventDefault();
    return;
  }
  if (event.key === "Alt" || event.altKey) return;
  // A button that has the focus is pressed by the space bar.
  if (event.key === " " && !onStage) return;
  const key = keyOf(event);
  const on = screen.peek() === "review" ? "review" : "annotate";
  const hotkey = HOTKEYS.find((each) => each.keys.includes(key) && (!each.on || each.on === on));
  if (!hotkey || (screen.peek() === "progress" && hotkey.group !== "Page")) return;
  event.preventDefault();
  hotkey.run(key);
}
