/** Speech: what page and worker say to each other. */

import type { Candidate, Choosing } from "../words";
import type { Frame } from "./enlarge";

export interface OpenImage {
  record: number;
  /** Address of the embedding, float16. */
  features: string;
  shape: readonly [number, number, number];
  /** Side of the logits. */
  side: number;
  frame: Frame;
  choosing: Choosing | null;
}

/** A click or a box, in pixels of the image. */
export interface Asked {
  record: number;
  point?: readonly [number, number];
  box?: readonly [number, number, number, number];
  /** Whether the candidates after the best are wanted. */
  alternatives: boolean;
}

export type Question =
  | { kind: "load"; graphs: { prepare: string; decode: string }; threads: number }
  | { kind: "open"; image: OpenImage }
  | { kind: "ask"; asked: Asked };

export interface Said {
  id: number;
  candidates: Candidate[] | null;
  error?: string;
}
