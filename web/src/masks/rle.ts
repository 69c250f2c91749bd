/** COCO's compressed run lengths: text to runs and back. */

/** Run lengths, background first, down the columns. Throws on text that is none, or of another number of pixels. */
export function decodeRuns(counts: string, pixels: number): number[] {
  const runs: number[] = [];
  let place = 0;
  let total = 0;
  while (place < counts.length) {
    let value = 0;
    let factor = 1;
    for (;;) {
      if (place >= counts.length) throw new Error("run lengths that end within a number");
      const word = counts.charCodeAt(place++) - 48;
      if (word < 0 || word > 63) throw new Error("not run lengths");
      value += (word & 0x1f) * factor;
      factor *= 32;
      if (!(word & 0x20)) {
        // The sixth bit goes on, the fifth of the last word is the sign.
        if (word & 0x10) value -= factor;
        break;
      }
    }
    if (runs.length > 2) value += runs[runs.length - 2]!;
    if (value < 0) throw new Error("a run of negative length");
    runs.push(value);
    total += value;
  }
  if (total !== pixels) throw new Error(`run lengths of ${total} pixels for a mask of ${pixels}`);
  return runs;
}

/** The shortest text of run lengths. */
export function encodeRuns(runs: readonly number[]): string {
  let text = "";
  for (let index = 0; index < runs.length; index++) {
    let value = runs[index]! - (index > 2 ? runs[index - 2]! : 0);
    for (;;) {
      const low = ((value % 32) + 32) % 32;
      value = Math.floor(value / 32);
      const last = low & 0x10 ? value === -1 : value === 0;
      text += String.fromCharCode(48 + (last ? low : low | 0x20));
      if (last) break;
    }
  }
  return text;
}
