/** The server's routes as functions. */

import type {
  AnnotationInput,
  Annotation,
  Category,
  Course,
  Decoder,
  Embedding,
  Id,
  ImageRecord,
  Job,
  NameSuggestion,
  PredictReply,
  Prompt,
  RecordSummary,
  ReviewAction,
  Revision,
  Run,
  Session,
  Task,
  Thresholds,
} from "../words";

const ROOT = "/api/v1";
const LONGEST_WAIT_MS = 4000;

/** What the server said no to. `status` 0: it was not reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly body: Record<string, unknown> = {},
  ) {
    super(message);
  }
}

let csrf: string | null = null;
let onSignedOut = () => {};

export function whenSignedOut(call: () => void): void {
  onSignedOut = call;
}

interface Asked {
  body?: unknown;
  signal?: AbortSignal;
  /** How often to wait and ask again after 429 and 503. */
  again?: number;
}

async function ask<T>(method: string, path: string, { body, signal, again = 3 }: Asked = {}): Promise<T> {
  const headers: Record<string, string> = {};
  if (csrf && method !== "GET") headers["X-CSRF-Token"] = csrf;
  const isForm = body instanceof FormData;
  if (body !== undefined && !isForm) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(ROOT + path, {
      method,
      headers,
      signal: signal ?? null,
      body: body === undefined ? null : isForm ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "offline", "the server cannot be reached.");
  }
  if (answer.status === 204) return undefined as T;
  const said = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
  if (answer.ok) return said as T;
  if ((answer.status === 429 || answer.status === 503) && again > 0) {
    const wait = 1000 * Number(said.retry_after ?? 1);
    await new Promise((resolve) => setTimeout(resolve, Math.min(wait, LONGEST_WAIT_MS)));
    return ask(method, path, { body, signal, again: again - 1 });
  }
  if (answer.status === 401) onSignedOut();
  throw new ApiError(answer.status, String(said.code ?? "internal"), String(said.message ?? answer.statusText), said);
}

const query = (values: Record<string, string | number | null | undefined>) => {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given.map(([key, value]) => [key, String(value)]))}` : "";
};

const keepToken = (session: Session) => {
  csrf = session.csrf_token;
  return session;
};

export const api = {
  session: () => ask<Session>("GET", "/session").then(keepToken),
  signIn: (name: string, password: string) =>
    ask<Session>("POST", "/session", { body: { name, password }, again: 0 }).then(keepToken),
  signOut: () => ask<void>("DELETE", "/session"),

  records: (after: number, limit: number, state: string | null) =>
    ask<{ records: RecordSummary[]; next: number | null }>("GET", `/records${query({ after, limit, state })}`),
  record: (id: number) => ask<ImageRecord>("GET", `/records/${id}`),
  upload: (files: File[]) => {
    const form = new FormData();
    for (const file of files) form.append("files", file);
    return ask<{
      records: { id: number; file_name: string; known: boolean }[];
      problems: { file_name: string; message: string }[];
    }>("POST", "/records", { body: form });
  },
  imageUrl: (id: number) => `${ROOT}/records/${id}/image`,
  thumbnailUrl: (id: number) => `${ROOT}/records/${id}/thumbnail?side=128`,

  edit: (id: number, body: Edit, partial = false) =>
    ask<ImageRecord>("POST", `/records/${id}/edits${query({ partial: partial ? "true" : null })}`, { body, again: 0 }),
  review: (id: number, body: { expected: number; key: string; steps: { id: Id; action: ReviewAction }[] }) =>
    ask<ImageRecord>("POST", `/records/${id}/review`, { body, again: 0 }),
  restore: (id: number, body: { expected: number; key: string; revision: number }) =>
    ask<ImageRecord>("POST", `/records/${id}/restore`, { body, again: 0 }),
  revisions: (id: number) => ask<{ revisions: Revision[] }>("GET", `/records/${id}/revisions`),

  embed: (id: number) => ask<Embedding>("POST", `/records/${id}/embedding`),
  embedding: (id: number) => ask<Embedding>("GET", `/records/${id}/embedding`),
  featuresUrl: (id: number) => `${ROOT}/records/${id}/embedding/features`,
  exportDecoder: () => ask<Decoder>("POST", "/decoder"),
  decoder: () => ask<Decoder>("GET", "/decoder"),
  graphUrl: (sha256: string) => `${ROOT}/decoder/graphs/${sha256}`,
  predict: (id: number, prompt: Prompt, alternatives = true) =>
    ask<PredictReply>("POST", `/records/${id}/predict`, { body: { prompts: [prompt], alternatives }, again: 1 }),
  predictSeveral: (id: number, prompt: Prompt) =>
    ask<PredictReply>("POST", `/records/${id}/predict`, { body: { prompts: [prompt], multimask: true } }),
  names: (id: number, annotation: Id) =>
    ask<{ names: NameSuggestion[] }>("POST", `/records/${id}/names`, { body: { annotation }, again: 0 }),

  everything: (id: number, adaptive: boolean) =>
    ask<Run>("POST", `/records/${id}/everything`, { body: { grid: { adaptive } } }),
  everythingState: (id: number, run: string) => ask<Run>("GET", `/records/${id}/everything/${run}`),
  stopEverything: (id: number, run: string) => ask<void>("DELETE", `/records/${id}/everything/${run}`),
  select: (id: number, run: string, thresholds: Thresholds, signal?: AbortSignal) =>
    ask<{ annotations: Annotation[] }>("POST", `/records/${id}/everything/${run}/select`, {
      body: { thresholds, link_parts: true },
      signal,
    }),

  categories: () => ask<{ categories: Category[] }>("GET", "/categories"),
  keepCategory: (name: string, color: string, position: number) =>
    ask<Category>("PUT", `/categories/${encodeURIComponent(name)}`, { body: { color, position } }),
  engine: () => ask<Course>("GET", "/engine"),
  stats: () => ask<Record<string, unknown>>("GET", "/stats"),
  jobs: () => ask<{ jobs: Job[] }>("GET", "/jobs?limit=50"),
  job: (id: number) => ask<Job>("GET", `/jobs/${id}`),
  cancelJob: (id: number) => ask<Job>("POST", `/jobs/${id}/cancel`),
  models: () => ask<{ current: { name: string; backend: string }; cards: ModelCard[] }>("GET", "/models"),

  claim: (skip: number[]) => ask<{ task: Task | null }>("POST", "/tasks/claim", { body: { skip_records: skip } }),
  heartbeat: (task: Task) => ask<void>("POST", `/tasks/${task.job.id}/heartbeat`, { body: { token: task.token } }),
  finish: (task: Task) => ask<void>("POST", `/tasks/${task.job.id}/finish`, { body: { token: task.token } }),
  release: (task: Task) => ask<void>("POST", `/tasks/${task.job.id}/release`, { body: { token: task.token } }),

  plan: (body: ExportWish) =>
    ask<ExportPlan>("POST", "/exports/plan", { body }),
  export: (body: ExportWish) => ask<Job>("POST", "/exports", { body }),
  exportUrl: (job: number) => `${ROOT}/exports/${job}/file`,
};

export interface Edit {
  expected: number;
  key: string;
  put: AnnotationInput[];
  remove: Id[];
  note?: string;
}

export interface ExportWish {
  format: string;
  version: string;
  images: "copy" | "none";
}

export interface ExportPlan {
  records: number;
  masks: number;
  losses: { what: string }[];
  /** Whether all records were looked at. */
  complete: boolean;
}

export interface ModelCard {
  name: string;
  status: string;
  parent: string | null;
  trained_on: string | null;
}
