/** The words of the server's API, as far as the page speaks them. Sizes are [height, width], boxes XYXY half-open. */

export interface Mask {
  size: [number, number];
  /** COCO's compressed run lengths, column-major. */
  counts: string;
}

export interface Prompt {
  points?: [number, number][] | null;
  labels?: number[] | null;
  box?: [number, number, number, number] | null;
  mask?: Mask | null;
  logits?: string | null;
}

export type Id = number | string;
export type ReviewState = "unreviewed" | "accepted" | "rejected" | "flagged";
export type ReviewAction = "accept" | "reject" | "flag" | "reopen";
export type Source = "manual" | "semi_automatic" | "automatic";

/** What the page may say of an annotation. */
export interface AnnotationInput {
  id: Id;
  mask: Mask;
  category: string | null;
  source: Source;
  iscrowd: boolean;
  predicted_iou: number | null;
  stability_score: number | null;
  prompts: Prompt[];
  seconds_spent: number | null;
  parent_id: Id | null;
  model_digest: string | null;
}

export interface Annotation extends AnnotationInput {
  box: [number, number, number, number];
  area: number;
  review_state: ReviewState;
  annotator: string | null;
  created_at: string | null;
}

export interface RecordSummary {
  id: number;
  file_name: string;
  size: [number, number];
  masks: Partial<Record<ReviewState, number>>;
  split: string | null;
  has_image: boolean;
  revision: number;
}

export interface ImageRecord {
  id: number;
  revision: number;
  image: { file_name: string; size: [number, number]; digest: string | null; licence: string | null };
  annotations: Annotation[];
  split: string | null;
  has_image: boolean;
  /** Whether `annotations` are only those that an edit put. */
  partial?: boolean;
}

export interface Candidate {
  mask: Mask;
  box: [number, number, number, number];
  area: number;
  predicted_iou: number;
  /** 0 the single answer; 1 whole, 2 part, 3 subpart. */
  level: number;
  logits: string;
}

export interface PredictReply {
  predictions: { candidates: Candidate[]; ambiguous: boolean }[];
  model_digest: string;
  milliseconds: Record<string, number>;
}

/** A name for a mask; the confidence from 0 to 1, among the names that were learned. */
export interface NameSuggestion {
  name: string;
  confidence: number;
}

/** How the candidates of a lone click are ranked; see the server's schema. */
export interface Choosing {
  depth: number;
  offsets: [number, number, number];
  size: number;
  log_share: number;
  sharpness: number;
  floor: number;
}

export interface Embedding {
  state: "ready" | "queued" | "running" | "missing";
  position: number;
  model: string;
  model_digest: string;
  shape: [number, number, number];
  low_res_side: number;
  frame: { original: [number, number]; model: [number, number]; padded: [number, number] } | null;
  choosing: Choosing | null;
  /** Which record it is of; put in by the page. */
  record?: number;
}

export interface Decoder {
  state: "ready" | "making" | "missing" | "unavailable";
  graphs: { name: string; bytes: number; sha256: string }[];
  message: string | null;
}

export interface Session {
  user: { name: string; role: "annotator" | "reviewer" | "admin" } | null;
  login_required: boolean;
  csrf_token: string | null;
  version: string;
}

export interface Category {
  name: string;
  supercategory: string | null;
  color: string | null;
  position: number;
}

export interface Job {
  id: number;
  kind: string;
  state: "queued" | "running" | "done" | "failed" | "cancelled";
  done: number;
  total: number | null;
  message: string | null;
  error: string | null;
  record_id: number | null;
  created_at: string;
  finished_at: string | null;
}

export interface Task {
  job: Job;
  token: string;
  lease_seconds: number;
}

export interface Revision {
  revision: number;
  at: string;
  actor: string;
  kind: string;
  added: Id[];
  changed: Id[];
  removed: Id[];
  note: string | null;
}

export interface Thresholds {
  pred_iou_thresh: number;
  stability_score_thresh: number;
}

export interface Run {
  run: string;
  state: "queued" | "running" | "done" | "failed";
  done: number;
  proposals: number;
  message: string | null;
}

/** Masks that came about within a length of time. */
export interface Span {
  start: string;
  sources: Record<string, number>;
  accepted: number;
  timed: number;
  seconds: number | null;
}

export interface Round {
  job: number;
  version: string | null;
  state: string;
  message: string | null;
  error: string | null;
  accepted: number | null;
  promoted: boolean | null;
}

export interface Verdict {
  set_name: string;
  role: "target" | "guard";
  metric: string;
  incumbent: number;
  candidate: number;
  /** Of the difference's interval. */
  low: number;
  high: number;
  passed: boolean;
}

export interface Decision {
  id: number;
  at: string;
  actor: string;
  promoted: boolean;
  candidate: string;
  incumbent: string;
  says: string[];
  verdicts: Verdict[];
}

/** What the data engine did. */
export interface Course {
  span_seconds: number;
  spans: Span[];
  undated: number;
  seconds_per_mask: number | null;
  rounds: Round[];
  decisions: Decision[];
  tasks: Record<string, number>;
}
