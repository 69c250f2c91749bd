/** App: head, list, stage, side, foot. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../work/api";
import { claim, finishTask, skip, step, upload } from "../work/browsing";
import { choose, onKey, zoomToImage } from "../work/hotkeys";
import { startReview } from "../work/reviewing";
import { zoom, view } from "../stage/view";
import {
  brush,
  conflicts,
  current,
  dialog,
  message,
  offline,
  opacity,
  postponed,
  screen,
  type Screen,
  session,
  stopwatch,
  sync,
  task,
  theme,
  type Tool,
  tool,
  waiting,
} from "../work/state";
import { Conflicts, Export, Help, History, Refused, SignIn } from "./Dialogs";
import { Images } from "./Images";
import { Progress } from "./Progress";
import { Review } from "./Review";
import { Side } from "./Side";
import { Stage } from "./Stage";

export function App() {
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent) => {
      // What waits is kept in the browser; only a conflict needs a person.
      if (conflicts.peek().length) event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    window.addEventListener("beforeunload", warn);
    return () => {
      window.removeEventListener("keydown", onKey);
      window.removeEventListener("beforeunload", warn);
    };
  }, []);
  const now = session.value;
  if (!now) return <p class="hint begin">{message.value?.text ?? "…"}</p>;
  if (now.login_required && !now.user) return <SignIn />;
  return (
    <div
      class="app"
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void upload([...(event.dataTransfer?.files ?? [])]);
      }}
    >
      <Head />
      {screen.value === "annotate" && (
        <div class="work">
          <Images />
          <main class="middle" aria-label="Annotate">
            <Toolbar />
            <Stage compare={false} />
          </main>
          <Side />
        </div>
      )}
      {screen.value === "review" && <Review />}
      {screen.value === "progress" && <Progress />}
      <Foot />
      {dialog.value === "help" && <Help />}
      {dialog.value === "export" && <Export />}
      {dialog.value === "history" && <History />}
      <Conflicts />
      <Refused />
    </div>
  );
}

const SCREENS: [Screen, string][] = [
  ["annotate", "Annotate"],
  ["review", "Review"],
  ["progress", "Progress"],
];

function Head() {
  const go = (to: Screen) => (to === "review" ? void startReview() : (screen.value = to));
  const user = session.value?.user;
  return (
    <header class="head">
      <h1>segany</h1>
      <nav aria-label="Screens">
        {SCREENS.map(([name, words]) => (
          <button type="button" key={name} aria-current={screen.value === name ? "page" : undefined} onClick={() => go(name)}>
            {words}
          </button>
        ))}
      </nav>
      <button type="button" aria-label="Previous image" title="Previous image (,)" onClick={() => void step(-1)}>
        ‹
      </button>
      <button type="button" aria-label="Next image" title="Next image (.)" onClick={() => void step(1)}>
        ›
      </button>
      <span class="file-name">{current.value?.image.file_name}</span>
      <div class="head-right">
        {task.value ? (
          <>
            <button type="button" class="primary" onClick={() => void finishTask()}>
              Done, next <kbd aria-hidden="true">T</kbd>
            </button>
            <button type="button" onClick={() => void skip()}>
              Skip <kbd aria-hidden="true">⇧S</kbd>
            </button>
          </>
        ) : (
          <button type="button" onClick={() => void claim()} title="Take the next task of the queue">
            Next task <kbd aria-hidden="true">T</kbd>
          </button>
        )}
        <button type="button" onClick={() => (dialog.value = "history")} disabled={!current.value}>
          History
        </button>
        <button type="button" onClick={() => (dialog.value = "export")}>
          Export
        </button>
        <select
          aria-label="Colours"
          value={theme.value}
          onChange={(event) => (theme.value = event.currentTarget.value as typeof theme.value)}
        >
          <option value="auto">Auto</option>
          <option value="light">Light</option>
          <option value="dark">Dark</option>
        </select>
        <button type="button" onClick={() => (dialog.value = "help")} aria-label="Keys and clicks" title="Keys and clicks (?)">
          ?
        </button>
        {session.value?.login_required && user && (
          <button type="button" onClick={() => void api.signOut().then(() => window.location.reload())}>
            Sign out {user.name}
          </button>
        )}
      </div>
    </header>
  );
}

const TOOLS: [Tool, string, string][] = [
  ["point", "Point", "S"],
  ["box", "Box", "B"],
  ["brush", "Brush", "P"],
  ["eraser", "Eraser", "E"],
  ["polygon", "Outline", "O"],
  ["everything", "Everything", "G"],
  ["hand", "Hand", "H"],
];

function Toolbar() {
  return (
    <div class="toolbar" role="toolbar" aria-label="Tools">
      {TOOLS.map(([name, words, key]) => (
        <button type="button" key={name} aria-pressed={tool.value === name} onClick={() => choose(name)}>
          {words} <kbd aria-hidden="true">{key}</kbd>
        </button>
      ))}
      <span class="gap" />
      {/* One place for both, so that the toolbar fits beside the lists and the stage keeps its height. */}
      {tool.value === "brush" || tool.value === "eraser" ? (
        <label class="range" key="size">
          Size{" "}
          <input
            type="range"
            min={1}
            max={100}
            value={brush.value}
            onInput={(event) => (brush.value = Number(event.currentTarget.value))}
          />
        </label>
      ) : (
        <label class="range" key="opacity" title="Opacity of masks">
          Masks{" "}
          <input
            type="range"
            min={0}
            max={0.9}
            step={0.05}
            value={opacity.value}
            aria-label="Opacity of masks"
            onInput={(event) => (opacity.value = Number(event.currentTarget.value))}
          />
        </label>
      )}
      <button type="button" aria-label="Zoom out" onClick={() => zoom(0.8)}>
        −
      </button>
      <button type="button" class="zoom" onClick={zoomToImage} title="The whole image (0)">
        {Math.round(100 * view.value.scale)} %
      </button>
      <button type="button" aria-label="Zoom in" onClick={() => zoom(1.25)}>
        +
      </button>
    </div>
  );
}

function Foot() {
  const said = message.value;
  return (
    <footer class="foot">
      <span class={said?.bad ? "bad" : ""} role="status" aria-live="polite">
        {said?.text}
      </span>
      <span class="foot-right">
        <Clock />
        <SaveState />
      </span>
    </footer>
  );
}

function Clock() {
  const seconds = useSignal(0);
  useEffect(() => {
    const timer = setInterval(() => (seconds.value = stopwatch.seconds), 500);
    return () => clearInterval(timer);
  }, []);
  return (
    <span class="clock" title="Working time since the last mask">
      {seconds.value.toFixed(1)} s
    </span>
  );
}

function SaveState() {
  const left = waiting.value;
  const inConflict = conflicts.value.length > 0;
  const words = inConflict ? "conflict" : offline.value ? "offline" : left ? "saving" : "saved";
  return (
    <button
      type="button"
      class={`save-state ${words}`}
      data-waiting={left}
      onClick={() => {
        postponed.value = null;
        sync.wake();
      }}
      title={left ? `${left} edits wait to be saved; they are kept in this browser` : "Everything is saved"}
    >
      {words === "saved" && "Saved"}
      {words === "saving" && "Saving…"}
      {words === "offline" && `Offline: ${left} kept`}
      {words === "conflict" && "Conflict"}
    </button>
  );
}
