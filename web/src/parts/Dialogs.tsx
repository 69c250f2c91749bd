/** Dialogs: hotkeys, conflicts, export, history, signing in. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { api, type ExportPlan } from "../work/api";
import { enter } from "../work/entering";
import { forgetHistory, restore } from "../work/editing";
import { HOTKEYS } from "../work/hotkeys";
import { complain, conflicts, current, dialog, postponed, refusals, session, sync } from "../work/state";
import type { Job, Revision } from "../words";

function Modal({ title, close, children }: { title: string; close?: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const shown = element.current!;
    shown.showModal();
    return () => shown.close();
  }, []);
  return (
    <dialog
      ref={element}
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault();
        close?.();
      }}
      onClick={(event) => event.target === element.current && close?.()}
    >
      <div class="dialog">
        <header>
          <h2 id="dialog-title">{title}</h2>
          {close && (
            <button type="button" class="quiet" aria-label="Close" onClick={close}>
              ✕
            </button>
          )}
        </header>
        {children}
      </div>
    </dialog>
  );
}

const GROUPS = ["Tools", "Masks", "Images", "View", "Review", "Page"] as const;
const MOUSE: [string, string][] = [
  ["Click", "Keep the mask that is previewed"],
  ["Shift+Click", "Also this: a further click for the selected mask"],
  ["Alt+Click, right click", "Not this: a negative click for the selected mask"],
  ["Ctrl+Click", "Select the mask there; again for several"],
  ["Wheel; Space or middle button + drag", "Zoom; move the image"],
];

export function Help() {
  return (
    <Modal title="Keys and clicks" close={() => (dialog.value = null)}>
      <div class="help">
        <section>
          <h3>Mouse</h3>
          <dl>{MOUSE.map(([keys, words]) => <Line key={keys} keys={[keys]} words={words} />)}</dl>
        </section>
        {GROUPS.map((group) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {HOTKEYS.filter((each) => each.group === group).map(({ keys, words }) => (
                <Line key={words} keys={keys.length > 3 ? [`${keys[0]} – ${keys.at(-1)}`] : keys} words={words} />
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Modal>
  );
}

function Line({ keys, words }: { keys: string[]; words: string }) {
  return (
    <div class="line">
      <dt>{keys.map((each) => <kbd key={each}>{each.length === 1 ? each.toUpperCase() : each}</kbd>)}</dt>
      <dd>{words}</dd>
    </div>
  );
}

/** Someone else changed the image that was worked on: nothing is overwritten without being asked for. */
export function Conflicts() {
  const conflict = conflicts.value.find(({ record }) => record !== postponed.value);
  if (!conflict) return null;
  const { record, theirs } = conflict;
  const mine = sync.of(record);
  return (
    <Modal title="Someone else changed this image" close={() => (postponed.value = record)}>
      <p>
        <strong>{theirs.image.file_name}</strong> was changed by someone else while you worked on it. Your edits are kept
        here and were not saved:
      </p>
      <ul>{mine.map((each) => <li key={each.key}>{each.label}</li>)}</ul>
      <p>Theirs has {theirs.annotations.length === 1 ? "1 mask" : `${theirs.annotations.length} masks`}.</p>
      <div class="buttons">
        <button type="button" class="primary" onClick={() => sync.keepMine(record)}>
          Apply mine on top of theirs
        </button>
        <button
          type="button"
          onClick={() => {
            const now = sync.takeTheirs(record);
            if (now && current.value?.id === record) {
              current.value = now;
              sync.opened(now);
              forgetHistory();
            }
          }}
        >
          Take theirs, drop mine
        </button>
        <button type="button" onClick={() => (postponed.value = record)}>
          Decide later
        </button>
      </div>
    </Modal>
  );
}

export function Refused() {
  const refusal = refusals.value[0];
  if (!refusal) return null;
  return (
    <Modal title="An edit was refused" close={() => sync.forget(refusal)}>
      <p>
        “{refusal.operation.label}” could not be saved: {refusal.message}
      </p>
      <div class="buttons">
        <button type="button" class="primary" onClick={() => sync.forget(refusal)}>
          Go on without it
        </button>
      </div>
    </Modal>
  );
}

const FORMATS = [
  ["coco", "COCO"],
  ["sa1b", "SA-1B"],
  ["yolo", "YOLO"],
  ["voc", "Pascal VOC"],
  ["labelme", "LabelMe"],
  ["labels", "Label maps"],
  ["sav", "SA-V"],
  ["geojson", "GeoJSON"],
  ["parquet", "Parquet"],
] as const;

export function Export() {
  const format = useSignal("coco");
  const pictures = useSignal(false);
  const plan = useSignal<ExportPlan | null>(null);
  const job = useSignal<Job | null>(null);
  const images = pictures.value ? "copy" : "none";
  const wish = { format: format.value, version: "live", images } as const;
  useEffect(() => {
    plan.value = null;
    job.value = null;
    let stale = false;
    api
      .plan(wish)
      .then((made) => !stale && (plan.value = made))
      .catch(complain);
    return () => (stale = true);
  }, [format.value, pictures.value]);
  const start = async () => {
    try {
      await sync.written();
      let now = await api.export(wish);
      while (now.state === "queued" || now.state === "running") {
        job.value = now;
        await new Promise((resolve) => setTimeout(resolve, 300));
        now = await api.job(now.id);
      }
      job.value = now;
    } catch (error) {
      complain(error);
    }
  };
  return (
    <Modal title="Export" close={() => (dialog.value = null)}>
      <div class="fields">
        <label>
          Format{" "}
          <select value={format.value} onChange={(event) => (format.value = event.currentTarget.value)}>
            {FORMATS.map(([value, words]) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
          </select>
        </label>
        <label>
          <input type="checkbox" checked={pictures.value} onChange={(event) => (pictures.value = event.currentTarget.checked)} />{" "}
          with the images
        </label>
      </div>
      {plan.value && (
        <p>
          {plan.value.complete ? "" : "More than "}
          {plan.value.masks.toLocaleString("en")} masks of {plan.value.records.toLocaleString("en")} images.
        </p>
      )}
      {!!plan.value?.losses.length && (
        <>
          <p>This format cannot hold:</p>
          <ul>{plan.value.losses.map(({ what }) => <li key={what}>{what}</li>)}</ul>
        </>
      )}
      <div class="buttons">
        {job.value?.state === "done" ? (
          <a class="button primary" href={api.exportUrl(job.value.id)} download>
            Download
          </a>
        ) : (
          <button type="button" class="primary" onClick={() => void start()} disabled={job.value !== null}>
            {job.value ? `${job.value.state}…` : "Export"}
          </button>
        )}
      </div>
      {job.value?.error && <p class="bad">{job.value.error}</p>}
    </Modal>
  );
}

const KINDS: Record<string, string> = {
  "record.added": "added",
  "record.edited": "edited",
  "record.reviewed": "reviewed",
  "record.restored": "restored",
};

export function History() {
  const revisions = useSignal<Revision[]>([]);
  const record = current.value;
  useEffect(() => {
    if (!record) return;
    api
      .revisions(record.id)
      .then((reply) => (revisions.value = reply.revisions.toReversed()))
      .catch(complain);
  }, [record?.id, record?.revision]);
  return (
    <Modal title="History of this image" close={() => (dialog.value = null)}>
      <ol class="history">
        {revisions.value.map((each, index) => (
          <li key={each.revision}>
            <span>
              <strong>{each.actor}</strong> {KINDS[each.kind] ?? each.kind}
              {each.note ? `: ${each.note}` : ""}
            </span>
            <time dateTime={each.at}>{new Date(each.at).toLocaleString()}</time>
            {index > 0 && (
              <button type="button" onClick={() => void restore(each.revision)}>
                Go back to this
              </button>
            )}
          </li>
        ))}
      </ol>
    </Modal>
  );
}

export function SignIn() {
  const wrong = useSignal("");
  return (
    <main class="sign-in">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const given = new FormData(event.currentTarget);
          wrong.value = "";
          api
            .signIn(String(given.get("name")), String(given.get("password")))
            .then((now) => {
              session.value = now;
              return enter();
            })
            .catch((error: Error) => (wrong.value = error.message));
        }}
      >
        <h1>segany</h1>
        <label>
          Name
          <input name="name" autocomplete="username" required autofocus />
        </label>
        <label>
          Password
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        <button type="submit" class="primary">
          Sign in
        </button>
        <p class="bad" role="alert">
          {wrong.value}
        </p>
      </form>
    </main>
  );
}
