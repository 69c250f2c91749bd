/** The worker: runs the decoder's two graphs, so that the page itself never waits. */

import * as ort from "onnxruntime-web/wasm";
import glue from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import binary from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { Shape } from "../masks/shape";
import type { Candidate } from "../words";
import { lookAt, ranked } from "./choosing";
import { enlarge } from "./enlarge";
import type { Asked, OpenImage, Question, Said } from "./speech";

let prepare: ort.InferenceSession | null = null;
let decode: ort.InferenceSession | null = null;
let image: (OpenImage & { shared: Record<string, ort.Tensor> }) | null = null;

async function load({ graphs, threads }: Extract<Question, { kind: "load" }>): Promise<void> {
  ort.env.wasm.wasmPaths = { mjs: glue, wasm: binary };
  ort.env.wasm.numThreads = threads;
  const options: ort.InferenceSession.SessionOptions = {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "all",
    // Of casts and constants that it moves about.
    logSeverityLevel: 3,
  };
  // One after the other: both at once would hold both files twice.
  prepare = await ort.InferenceSession.create(await bytesOf(graphs.prepare), options);
  decode = await ort.InferenceSession.create(await bytesOf(graphs.decode), options);
}

async function bytesOf(url: string): Promise<Uint8Array> {
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(`${url} was answered with ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function open(opened: OpenImage): Promise<void> {
  if (!prepare) throw new Error("the graphs are not loaded");
  const halves = new Uint16Array((await bytesOf(opened.features)).buffer);
  const embedding = new ort.Tensor("float32", widened(halves), [1, ...opened.shape]);
  for (const old of Object.values(image?.shared ?? {})) old.dispose();
  image = null;
  const shared = await prepare.run({ embedding });
  image = { ...opened, shared };
}

/** float16 to float32: exponent and fraction move, and the power of two between their biases is multiplied in. */
function widened(halves: Uint16Array): Float32Array {
  const floats = new Float32Array(halves.length);
  const words = new Uint32Array(floats.buffer);
  for (let place = 0; place < halves.length; place++) {
    const half = halves[place]!;
    words[place] = ((half & 0x8000) << 16) | ((half & 0x7fff) << 13);
  }
  const scale = 2 ** 112;
  for (let place = 0; place < floats.length; place++) floats[place]! *= scale;
  return floats;
}

async function answer(asked: Asked): Promise<Candidate[]> {
  if (!decode || !image || image.record !== asked.record) throw new Error("this image is not open in the worker");
  const { frame, side, shared, choosing } = image;
  const scale = [frame.model[1] / frame.original[1], frame.model[0] / frame.original[0]];
  const { point, box } = asked;
  const corners = box ? [box.slice(0, 2), box.slice(2)] : [point!, [0, 0]];
  const coords = corners.flatMap(([x, y]) => [x! * scale[0]!, y! * scale[1]!]);
  const outputs = await decode.run({
    coords: new ort.Tensor("float32", coords, [1, 2, 2]),
    labels: new ort.Tensor("int32", box ? [2, 3] : [1, -1], [1, 2]),
    ...shared,
  });
  const logits = outputs.logits!.data as Float32Array;
  const scores = [...(outputs.iou_predictions!.data as Float32Array)];
  const mask = (level: number) => logits.subarray(level * side * side, (level + 1) * side * side);
  // Mask 0 answers what is not ambiguous; 1 to 3 are the whole, a part and a subpart.
  let levels = box ? [0] : [1, 2, 3];
  if (!box) {
    const at = [coords[0]!, coords[1]!] as const;
    const own = scores.slice(1);
    const seen = levels.map((level) => (choosing ? lookAt(mask(level), side, frame, at) : { depth: 0, share: 1 }));
    const by = choosing ?? { depth: 0, offsets: [0, 0, 0], size: 0, log_share: 0, sharpness: 0, floor: 0 };
    levels = ranked(own, seen, by).map((place) => levels[place]!);
  }
  const wanted = asked.alternatives ? levels : levels.slice(0, 1);
  return wanted.map((level) => {
    const crop = enlarge(mask(level), side, frame);
    const shape = crop ? Shape.from(frame.original, crop) : Shape.empty(frame.original);
    return {
      mask: shape.mask(),
      box: shape.box,
      area: shape.area,
      predicted_iou: Math.round(scores[level]! * 1e6) / 1e6,
      level,
      logits: "",
    };
  });
}

async function act(question: Question): Promise<Candidate[] | null> {
  switch (question.kind) {
    case "load":
      await load(question);
      return null;
    case "open":
      await open(question.image);
      return null;
    case "ask":
      return answer(question.asked);
  }
}

// In turn: a session runs one thing at a time.
let turn: Promise<unknown> = Promise.resolve();
self.onmessage = ({ data }: MessageEvent<{ id: number; question: Question }>) => {
  turn = turn.then(async () => {
    let said: Said;
    try {
      said = { id: data.id, candidates: await act(data.question) };
    } catch (error) {
      said = { id: data.id, candidates: null, error: error instanceof Error ? error.message : String(error) };
    }
    self.postMessage(said);
  });
};
