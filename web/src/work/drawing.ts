/** Drawing: masks changed by hand, pixel by pixel and corner by corner; and masks made of masks. */

import { rasterise, type Ring, simplify, trace } from "../masks/outline";
import { type Crop, Shape } from "../masks/shape";
import type { Change } from "../edits/operations";
import { input } from "../edits/operations";
import { api } from "./api";
import { change, chosen, commit, create, remove } from "./editing";
import { active, annotations, complain, current, images, polygon, say, selected, session, sync } from "./state";

/** The pixels within `radius` of a line through points. */
export function stroke(size: readonly [number, number], points: readonly [number, number][], radius: number): Shape {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const x0 = Math.max(0, Math.floor(Math.min(...xs) - radius));
  const y0 = Math.max(0, Math.floor(Math.min(...ys) - radius));
  const x1 = Math.min(size[1], Math.ceil(Math.max(...xs) + radius) + 1);
  const y1 = Math.min(size[0], Math.ceil(Math.max(...ys) + radius) + 1);
  if (x1 <= x0 || y1 <= y0) return Shape.empty(size);
  const crop: Crop = { x0, y0, width: x1 - x0, height: y1 - y0, data: new Uint8Array((x1 - x0) * (y1 - y0)) };
  const disc = (cx: number, cy: number) => {
    for (let x = Math.max(x0, Math.floor(cx - radius)); x < Math.min(x1, cx + radius + 1); x++) {
      for (let y = Math.max(y0, Math.floor(cy - radius)); y < Math.min(y1, cy + radius + 1); y++) {
        if ((x + 0.5 - cx) ** 2 + (y + 0.5 - cy) ** 2 <= radius * radius) {
          crop.data[(x - x0) * crop.height + y - y0] = 1;
        }
      }
    }
  };
  points.forEach(([x, y], index) => {
    const [fromX, fromY] = points[Math.max(0, index - 1)]!;
    const steps = Math.max(1, Math.ceil(Math.hypot(x - fromX, y - fromY) / Math.max(0.5, radius / 3)));
    for (let step = 1; step <= steps; step++) {
      disc(fromX + ((x - fromX) * step) / steps, fromY + ((y - fromY) * step) / steps);
    }
  });
  return Shape.from(size, crop);
}

export function paint(points: [number, number][], radius: number, erase: boolean): void {
  const record = current.peek();
  if (!record) return;
  const drawn = stroke(record.image.size, points, radius);
  if (!drawn.area) return;
  const target = active.peek();
  if (!target) {
    if (erase) say("Select a mask first; then erase in it");
    else create("Mask painted", drawn.mask());
    return;
  }
  const before = Shape.of(target.mask);
  const after = erase ? before.minus(drawn) : before.union(drawn);
  if (!after.area) remove();
  else if (after.area !== before.area) change(erase ? "Erased" : "Painted", target, { mask: after.mask() });
}

/** The selected mask's outline as corners to be moved; without one, a new outline. */
export function startPolygon(tolerance: number): void {
  const target = active.peek();
  polygon.value = target
    ? { id: target.id, rings: trace(Shape.of(target.mask)).map((ring) => simplify(ring, tolerance)), open: false, moved: false }
    : { id: null, rings: [], open: true, moved: true };
}

export function finishPolygon(): void {
  const drawn = polygon.peek();
  const record = current.peek();
  polygon.value = null;
  // Fewer corners alone are no reason to change a mask.
  if (!drawn?.moved || !record) return;
  const shape = rasterise(record.image.size, drawn.rings.filter((ring) => ring.length > 2));
  if (!shape.area) {
    if (drawn.rings.length) say("An outline needs three corners");
    return;
  }
  const target = annotations.peek().find(({ id }) => id === drawn.id);
  if (target) change("Outline moved", target, { mask: shape.mask() });
  else create("Outline drawn", shape.mask());
}

export function moveCorner(ring: number, corner: number, to: [number, number]): void {
  const drawn = polygon.peek();
  if (!drawn) return;
  const rings: Ring[] = drawn.rings.map((points, index) =>
    index === ring ? points.map((point, place) => (place === corner ? to : point)) : points,
  );
  polygon.value = { ...drawn, rings, moved: true };
}

export function addCorner(ring: number, before: number, at: [number, number]): void {
  const drawn = polygon.peek();
  if (!drawn) return;
  const rings = drawn.rings.length ? [...drawn.rings] : [[]];
  const points = [...(rings[ring] ?? [])];
  points.splice(before, 0, at);
  rings[ring] = points;
  polygon.value = { ...drawn, rings, moved: true };
}

export function removeCorner(ring: number, corner: number): void {
  const drawn = polygon.peek();
  if (!drawn) return;
  const rings = drawn.rings.map((points, index) => (index === ring ? points.filter((_, at) => at !== corner) : points));
  polygon.value = { ...drawn, rings: drawn.open ? rings : rings.filter((points) => points.length > 2), moved: true };
}

export function merge(): void {
  const parts = chosen();
  const [first, ...others] = parts;
  if (!first || !others.length) {
    say("Select two or more masks to merge them");
    return;
  }
  const whole = others.reduce((sum, each) => sum.union(Shape.of(each.mask)), Shape.of(first.mask));
  const after = input({ ...first, mask: whole.mask(), prompts: [] });
  const gone = others.map((each): Change => ({ id: each.id, before: input(each), after: null }));
  commit(`${parts.length} masks merged`, [{ id: first.id, before: input(first), after }, ...gone]);
  selected.value = [first.id];
}

export function split(): void {
  const target = active.peek();
  if (!target) return;
  const [largest, ...others] = Shape.of(target.mask).pieces();
  if (!largest || !others.length) {
    say("This mask is one piece");
    return;
  }
  const made = others.map((piece): Change => {
    const id = crypto.randomUUID();
    return { id, before: null, after: input({ ...target, id, mask: piece.mask(), prompts: [], seconds_spent: null }) };
  });
  const after = input({ ...target, mask: largest.mask() });
  commit(`Split into ${others.length + 1}`, [{ id: target.id, before: input(target), after }, ...made]);
  selected.value = [target.id, ...made.map(({ id }) => id)];
}

export function fillHoles(): void {
  const target = active.peek();
  if (!target) return;
  const before = Shape.of(target.mask);
  const after = before.filled();
  if (after.area === before.area) say("There are no holes");
  else change("Holes filled", target, { mask: after.mask() });
}

/** The selected masks again, on the next image of the list. */
export async function duplicateToNext(): Promise<void> {
  const record = current.peek();
  const copied = chosen();
  const next = images.peek()[images.peek().findIndex(({ id }) => id === record?.id) + 1];
  if (!record || !copied.length || !next) {
    say(next ? "Select masks to copy them to the next image" : "There is no next image in the list");
    return;
  }
  if (next.size[0] !== record.image.size[0] || next.size[1] !== record.image.size[1]) {
    say("The next image has another size", true);
    return;
  }
  try {
    const there = await api.record(next.id);
    const before = sync.of(next.id).at(-1);
    sync.opened(there);
    sync.add({
      label: `Copied from ${record.image.file_name}`,
      changes: copied.map((each) => {
        const id = crypto.randomUUID();
        return { id, before: null, after: input({ ...each, id, seconds_spent: null, parent_id: null }) };
      }),
      steps: [],
      key: crypto.randomUUID(),
      record: next.id,
      digest: there.image.digest ?? "",
      user: session.peek()?.user?.name ?? "local",
      base: before?.base ?? there.revision,
      order: Date.now(),
    });
    say(`Copied to ${next.file_name}`);
  } catch (error) {
    complain(error);
  }
}

