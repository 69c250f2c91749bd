/** Layers: what is drawn of the state, the image with its masks below, what moves with the pointer above. */

import { Shape } from "../masks/shape";
import { clicks } from "../work/segment";
import {
  annotations,
  brush,
  colour,
  current,
  found,
  hover,
  opacity,
  paletteColour,
  picture,
  polygon,
  screen,
  selected,
  showMasks,
  tool,
} from "../work/state";
import { begin, drawOutline, drawPicture, drawShape, fitCanvas, pathOf } from "./paint";
import { pointer } from "./pointer";
import { reviewed } from "../work/reviewing";
import { stageSize, view } from "./view";

const PREVIEW = "#ffffff";
const POSITIVE = "#19c37d";
const NEGATIVE = "#ff3b4e";

export function drawBase(canvas: HTMLCanvasElement, withMasks: boolean): void {
  const { width, height } = stageSize.value;
  fitCanvas(canvas, width, height);
  const at = view.value;
  const context = begin(canvas, at);
  const record = current.value;
  const image = picture.value;
  if (!record || !image) return;
  drawPicture(context, image, record.image.size, at);
  if (!withMasks || !showMasks.value) return;
  const only = screen.value === "review" ? reviewed.value?.id : undefined;
  const finding = found.value;
  const ids = new Set(selected.value);
  annotations.value.forEach((each, place) => {
    if (screen.value === "review" && each.id !== only) return;
    const isSelected = ids.has(each.id);
    if (polygon.value?.id === each.id) return;
    const dim = finding ? 0.5 : 1;
    const look = {
      colour: colour(each, place),
      opacity: (isSelected && tool.value !== "brush" ? opacity.value + 0.1 : opacity.value) * dim,
      line: isSelected ? 2.5 : 1.2,
    };
    drawShape(context, Shape.of(each.mask), look, at);
  });
  finding?.masks.forEach((each, place) => {
    const pointed = each.id === finding.pointed;
    const look = { colour: pointed ? PREVIEW : paletteColour(place), opacity: pointed ? 0.5 : 0.28, line: pointed ? 2.5 : 1 };
    drawShape(context, Shape.of(each.mask), look, at);
  });
}

export function drawOverlay(canvas: HTMLCanvasElement): void {
  const { width, height } = stageSize.value;
  fitCanvas(canvas, width, height);
  const at = view.value;
  const context = begin(canvas, at);
  if (!current.value || screen.value === "review") return;
  const preview = hover.value;
  if (preview) drawShape(context, preview.shape, { colour: PREVIEW, opacity: 0.45, line: 2, dashed: true }, at);
  if (tool.value === "point" || tool.value === "box") {
    for (const { point, positive } of clicks()) {
      drawDot(context, point[0] + 0.5, point[1] + 0.5, positive ? POSITIVE : NEGATIVE, positive, at.scale);
    }
  }
  drawCorners(context);
  drawGesture(context);
}

function drawDot(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  fill: string,
  positive: boolean,
  scale: number,
): void {
  const r = 6 / scale;
  context.beginPath();
  context.arc(x, y, r, 0, 2 * Math.PI);
  context.fillStyle = fill;
  context.fill();
  context.lineWidth = 2 / scale;
  context.strokeStyle = "#fff";
  context.stroke();
  // Not by colour alone.
  context.beginPath();
  context.moveTo(x - r / 2, y);
  context.lineTo(x + r / 2, y);
  if (positive) {
    context.moveTo(x, y - r / 2);
    context.lineTo(x, y + r / 2);
  }
  context.stroke();
}

function drawCorners(context: CanvasRenderingContext2D): void {
  const drawn = polygon.value;
  if (!drawn) return;
  const { scale } = view.value;
  const path = pathOf(drawn.rings, !drawn.open);
  context.fillStyle = "rgba(255, 176, 0, 0.3)";
  context.fill(path, "evenodd");
  drawOutline(context, path, { colour: "#ffb000", opacity: 1, line: 2 }, view.value);
  const side = 7 / scale;
  context.lineWidth = 1.5 / scale;
  for (const [x, y] of drawn.rings.flat()) {
    context.fillStyle = "#fff";
    context.strokeStyle = "#15616d";
    context.fillRect(x - side / 2, y - side / 2, side, side);
    context.strokeRect(x - side / 2, y - side / 2, side, side);
  }
}

function drawGesture(context: CanvasRenderingContext2D): void {
  const { at, start, path, keyboard } = pointer.value;
  const { scale } = view.value;
  if (start && at && tool.value === "box") {
    const rectangle = new Path2D();
    rectangle.rect(start[0], start[1], at[0] - start[0], at[1] - start[1]);
    drawOutline(context, rectangle, { colour: PREVIEW, opacity: 1, line: 2, dashed: true }, view.value);
  }
  const painting = tool.value === "brush" || tool.value === "eraser";
  if (painting && path.length) {
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = 2 * brush.value;
    context.strokeStyle = tool.value === "brush" ? "rgba(255, 255, 255, 0.55)" : "rgba(20, 20, 20, 0.6)";
    context.stroke(pathOf([path.length > 1 ? path : [path[0]!, path[0]!]], false));
  }
  if (painting && at) {
    const ring = new Path2D();
    ring.arc(at[0], at[1], brush.value, 0, 2 * Math.PI);
    drawOutline(context, ring, { colour: PREVIEW, opacity: 1, line: 1.2 }, view.value);
  }
  if (keyboard && at) {
    const arm = 14 / scale;
    const cross = pathOf(
      [
        [[at[0] - arm, at[1]], [at[0] + arm, at[1]]],
        [[at[0], at[1] - arm], [at[0], at[1] + arm]],
      ],
      false,
    );
    drawOutline(context, cross, { colour: PREVIEW, opacity: 1, line: 1.5 }, view.value);
  }
}
